/**
 * The Dockerfile parser: text to instructions, grouped in stages. It follows the language of BuildKit's stable
 * frontend; what a builder cannot do is that builder's to refuse.
 */
import { InvalidParameterError } from '../../base/errors.ts';
import type {
  Argument,
  CopyInstruction,
  Dockerfile,
  EscapeCharacter,
  FromInstruction,
  HealthcheckInstruction,
  Heredoc,
  Instruction,
  Stage,
} from './ast.ts';
import { checkOptions, detectSyntax, linesOf } from './directives.ts';
import { parseDuration } from './duration.ts';
import { DockerfileError, parseError } from './errors.ts';
import { expandWord } from './expand.ts';
import { type FlagKind, Flags } from './flags.ts';
import { heredocContent, parseHeredocWord } from './heredoc.ts';
import { type LogicalLine, splitLines } from './lines.ts';
import { didYouMean } from './suggest.ts';
import {
  parseCommand,
  parseJsonWords,
  parseList,
  parsePairs,
  quotedWords,
  splitBlanks,
  splitFlags,
} from './words.ts';

/**
 * Throws DockerfileError: `dockerfile parse error on line 3: unknown instruction: FOO`. `seen` gets the instructions, also
 * those in front of the one that is wrong.
 */
export function parseDockerfile(text: string, filename = 'Dockerfile', seen: Instruction[] = []): Dockerfile {
  const syntax = detectSyntax(text);
  try {
    const file = { name: filename, content: text };
    return { ...parseText(text, seen), file, syntax, checkOptions: checkOptions(linesOf(text)) };
  } catch (error) {
    if (!(error instanceof DockerfileError)) throw error;
    const placed = error.inFile(filename, text);
    if (syntax === undefined || isDockerfileFrontend(syntax)) throw placed;
    const hint = `the file asks for the frontend ${syntax}, but all files are read as Dockerfiles`;
    throw new DockerfileError(`${placed.message} (${hint})`, placed);
  }
}

function isDockerfileFrontend(syntax: string): boolean {
  return /^(?:docker\.io\/)?docker\/dockerfile(?:-upstream)?(?:[:@]|$)/.test(syntax);
}

function parseText(text: string, seen: Instruction[]): Omit<Dockerfile, 'file' | 'syntax' | 'checkOptions'> {
  const { escapeChar, directives, lines, emptyContinuations } = splitLines(text);
  const globalArgs: Dockerfile['globalArgs'] = [];
  const stages: Stage[] = [];
  for (const line of lines) {
    const instruction = parseLine(line, escapeChar);
    seen.push(instruction);
    const stage = stages.at(-1);
    if (instruction.kind === 'from') stages.push({ from: instruction, instructions: [] });
    else if (stage !== undefined) stage.instructions.push(instruction);
    else if (instruction.kind === 'arg') globalArgs.push(instruction);
    else
      throw parseError(
        line.line,
        'no build stage in current context: expected FROM before any other instruction',
        line.endLine,
      );
  }
  const last = linesOf(text).length;
  if (lines.length === 0) throw parseError(last, 'file with no instructions');
  if (stages.length === 0) {
    throw parseError(last, 'dockerfile contains no stages to build: expected FROM after ARG');
  }
  return { escapeChar, directives, globalArgs, stages, emptyContinuations };
}

/** One instruction on its own: an ONBUILD trigger, or a change for commit. */
export function parseInstruction(text: string, escapeChar: EscapeCharacter = '\\'): Instruction {
  const { lines } = splitLines(text);
  const [line] = lines;
  if (line === undefined || lines.length > 1) {
    throw new InvalidParameterError(`expected one instruction, found ${lines.length}: ${text}`);
  }
  return parseLine(line, escapeChar);
}

interface Given {
  common: Pick<Instruction, 'line' | 'endLine' | 'source' | 'keyword' | 'comments'>;
  name: string;
  rest: string;
  flags: string[];
  heredocs: Heredoc[];
  escapeChar: EscapeCharacter;
}

type Reader = (given: Given) => Instruction;

function parseLine(line: LogicalLine, escapeChar: EscapeCharacter): Instruction {
  const match = /^(\S+)(?:[\t\v\f\r ]+(.*))?$/s.exec(line.text);
  const word = match?.[1] ?? '';
  const known = word.toLowerCase();
  const reader = Object.hasOwn(READERS, known) ? READERS[known] : undefined;
  if (reader === undefined) {
    throw parseError(line.line, `unknown instruction: ${word}${suggestion(word)}`, line.endLine);
  }
  try {
    const { flags, rest } = splitFlags(match?.[2] ?? '', escapeChar);
    return reader({
      common: {
        line: line.line,
        endLine: line.endLine,
        source: line.text,
        keyword: word,
        comments: line.comments,
      },
      name: word.toUpperCase(),
      rest,
      flags,
      heredocs: line.heredocs,
      escapeChar,
    });
  } catch (error) {
    if (!(error instanceof InvalidParameterError) || error instanceof DockerfileError) throw error;
    throw parseError(line.line, error.message, line.endLine);
  }
}

function refuse(problem: string): never {
  throw new InvalidParameterError(problem);
}

function noFlags({ flags }: Given): void {
  new Flags(flags, {});
}

function oneArgument(given: Given): string {
  noFlags(given);
  return given.rest === '' ? refuse(`${given.name} requires exactly one argument`) : given.rest;
}

function atLeastOne(given: Given, words: string[]): string[] {
  return words.length === 0 ? refuse(`${given.name} requires at least one argument`) : words;
}

const value =
  (kind: 'workdir' | 'user' | 'stopsignal' | 'maintainer'): Reader =>
  (given) => ({ ...given.common, kind, value: oneArgument(given) });

const pairs =
  (kind: 'env' | 'label'): Reader =>
  (given) => {
    noFlags(given);
    const { pairs, legacy } = parsePairs(given.rest, given.name, given.escapeChar);
    return { ...given.common, kind, pairs, legacy };
  };

const command =
  (kind: 'cmd' | 'entrypoint'): Reader =>
  (given) => {
    noFlags(given);
    return { ...given.common, kind, command: parseCommand(given.rest) };
  };

const READERS: Readonly<Record<string, Reader>> = {
  from: readFrom,
  arg: readArg,
  env: pairs('env'),
  label: pairs('label'),
  run: readRun,
  copy: readCopy('copy', {
    chown: 'string',
    chmod: 'string',
    from: 'string',
    link: 'boolean',
    parents: 'boolean',
    exclude: 'list',
  }),
  add: readCopy('add', {
    chown: 'string',
    chmod: 'string',
    link: 'boolean',
    'keep-git-dir': 'boolean',
    checksum: 'string',
    unpack: 'boolean',
    exclude: 'list',
  }),
  cmd: command('cmd'),
  entrypoint: command('entrypoint'),
  workdir: value('workdir'),
  user: value('user'),
  stopsignal: value('stopsignal'),
  maintainer: value('maintainer'),
  expose: readExpose,
  volume: readVolume,
  shell: readShell,
  healthcheck: readHealthcheck,
  onbuild: readOnbuild,
};

/** In the case in which the word is written. */
function suggestion(word: string): string {
  const names = Object.keys(READERS);
  if (word === word.toLowerCase()) return didYouMean(word, names);
  const upper = names.map((name) => name.toUpperCase());
  return didYouMean(word.toUpperCase(), upper);
}

/** What the comment says behind the name; empty where none does. */
function description({ common }: Given, name: string): string {
  if (name === '') return '';
  const found = common.comments.find((comment) => comment.startsWith(`${name} `));
  return found === undefined ? '' : found.slice(name.length + 1);
}

const STAGE_NAME = /^[a-z][a-z0-9-_.]*$/;

function readFrom(given: Given): FromInstruction {
  const flags = new Flags(given.flags, { platform: 'string' });
  const words = splitBlanks(given.rest);
  const [base = '', as = '', name = ''] = words;
  if (words.length !== 1 && (words.length !== 3 || as.toLowerCase() !== 'as')) {
    refuse('FROM requires either one or three arguments');
  }
  if (name !== '' && !STAGE_NAME.test(name.toLowerCase())) {
    refuse(`invalid name for build stage: "${name}", name can't start with a number or contain symbols`);
  }
  return {
    ...given.common,
    kind: 'from',
    base,
    name: name.toLowerCase(),
    asKeyword: as,
    writtenName: name,
    description: description(given, name.toLowerCase()),
    platform: flags.string('platform'),
  };
}

function readArg(given: Given): Instruction {
  noFlags(given);
  const args = atLeastOne(given, quotedWords(given.rest, given.escapeChar)).map((word): Argument => {
    const at = word.indexOf('=');
    if (at === 0) refuse('ARG names can not be blank');
    const name = at < 0 ? word : word.slice(0, at);
    const about = description(given, name);
    return at < 0 ? { name, description: about } : { name, value: word.slice(at + 1), description: about };
  });
  return { ...given.common, kind: 'arg', args };
}

function readRun(given: Given): Instruction {
  const flags = new Flags(given.flags, {
    mount: 'list',
    network: 'string',
    security: 'string',
    device: 'list',
  });
  if (flags.list('device').length > 0) {
    refuse('RUN --device is not supported: build steps get no devices');
  }
  const network = oneOf(flags.string('network'), NETWORKS, (text) => `invalid network mode ${text}`);
  const security = oneOf(flags.string('security'), SECURITY, (text) => `security ${text} is not valid`);
  return {
    ...given.common,
    kind: 'run',
    command: parseCommand(given.rest),
    heredocs: given.heredocs,
    mounts: flags.list('mount'),
    network,
    security,
  };
}

const NETWORKS = ['default', 'none', 'host'];
const SECURITY = ['sandbox', 'insecure'];

/** Empty where the flag is not given. Variables are not expanded in it. */
function oneOf(text: string, known: readonly string[], problem: (quoted: string) => string): string {
  if (text === '' || known.includes(text)) return text;
  return refuse(`${problem(JSON.stringify(text))}: expected one of ${known.join(', ')}`);
}

function readCopy(kind: 'copy' | 'add', known: Record<string, FlagKind>): Reader {
  return (given): CopyInstruction => {
    const flags = new Flags(given.flags, known);
    const words = given.heredocs.length > 0 ? heredocList(given.rest) : parseList(given.rest);
    if (words.length < 2) {
      refuse(
        `${given.name} requires at least two arguments, but only one was provided. Destination could not be determined`,
      );
    }
    const destination = words.at(-1) ?? '';
    if (parseHeredocWord(destination) !== undefined)
      refuse(`${given.name} cannot accept a heredoc as a destination`);
    const from = flags.string('from');
    if (hasVariables(from, given.escapeChar)) {
      refuse(
        'variable expansion is not supported for --from, define a new stage with FROM using ARG from global scope as a workaround',
      );
    }
    const keepGitDir = flags.boolean('keep-git-dir');
    const unpack = flags.boolean('unpack');
    return {
      ...given.common,
      kind,
      sources: words.slice(0, -1).filter((word) => parseHeredocWord(word) === undefined),
      inline: given.heredocs.map((heredoc) => ({ ...heredoc, content: heredocContent(heredoc) })),
      destination,
      from,
      chown: flags.string('chown'),
      chmod: flags.string('chmod'),
      link: flags.boolean('link') ?? false,
      parents: flags.boolean('parents') ?? false,
      excludes: flags.list('exclude'),
      checksum: flags.string('checksum'),
      ...(keepGitDir === undefined ? {} : { keepGitDir }),
      ...(unpack === undefined ? {} : { unpack }),
    };
  };
}

function hasVariables(text: string, escapeChar: EscapeCharacter): boolean {
  return expandWord(text, { escapeChar, lookup: () => undefined }) !== text;
}

/** Blanks between `<<` and its word do not separate. */
function heredocList(text: string): string[] {
  return splitBlanks(text.replace(/<<[\t\r ]+/g, '<<'));
}

function readExpose(given: Given): Instruction {
  noFlags(given);
  // In the order in which the history names them.
  const values = atLeastOne(given, splitBlanks(given.rest)).sort();
  return { ...given.common, kind: 'expose', values };
}

function readVolume(given: Given): Instruction {
  noFlags(given);
  const values = atLeastOne(given, parseList(given.rest)).map((path) => path.trim());
  if (values.includes('')) refuse('VOLUME specified can not be an empty string');
  return { ...given.common, kind: 'volume', values };
}

function readShell(given: Given): Instruction {
  noFlags(given);
  const words = parseJsonWords(given.rest);
  if (words === undefined && given.rest !== '') refuse(`SHELL requires the arguments to be in JSON form`);
  return { ...given.common, kind: 'shell', words: atLeastOne(given, words ?? []) };
}

function readHealthcheck(given: Given): HealthcheckInstruction {
  const { flags, rest } = given;
  const match = /^(\S+)(?:\s+(.*))?$/s.exec(rest);
  if (match === null) refuse('HEALTHCHECK requires at least one argument');
  const type = (match?.[1] ?? '').toUpperCase();
  const command = parseCommand(match?.[2] ?? '');
  const known = new Flags(flags, {
    interval: 'string',
    timeout: 'string',
    'start-period': 'string',
    'start-interval': 'string',
    retries: 'string',
  });
  if (type === 'NONE' && command.words.length > 0) refuse('HEALTHCHECK NONE takes no arguments');
  if (type !== 'NONE' && type !== 'CMD') refuse(`Unknown type "${type}" in HEALTHCHECK (try CMD)`);
  if (type === 'CMD' && command.words.length === 0) refuse('Missing command after HEALTHCHECK CMD');
  const retries = known.string('retries');
  if (!/^-?\d*$/.test(retries)) refuse(`--retries must be a number, not "${retries}"`);
  if (Number(retries) > 2 ** 31 - 1) refuse(`--retries ${retries} is out of range`);
  if (Number(retries) < 0) refuse(`--retries cannot be negative (${retries})`);
  return {
    ...given.common,
    kind: 'healthcheck',
    type: type === 'NONE' ? 'NONE' : 'CMD',
    command,
    interval: duration(known, 'interval'),
    timeout: duration(known, 'timeout'),
    startPeriod: duration(known, 'start-period'),
    startInterval: duration(known, 'start-interval'),
    retries: Number(retries),
  };
}

/** Nanoseconds. */
function duration(flags: Flags, name: string): number {
  const text = flags.string(name);
  if (text === '') return 0;
  const nanoseconds = parseDuration(text);
  if (nanoseconds === undefined) return refuse(`invalid duration "${text}" of --${name}`);
  if (nanoseconds !== 0 && nanoseconds < 1_000_000) refuse(`Interval "${name}" cannot be less than 1ms`);
  return nanoseconds;
}

function readOnbuild(given: Given): Instruction {
  noFlags(given);
  const word = (given.rest.split(/\s/, 1)[0] ?? '').toUpperCase();
  if (word === '') refuse('ONBUILD requires at least one argument');
  if (word === 'ONBUILD') refuse("Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed");
  if (word === 'MAINTAINER' || word === 'FROM') refuse(`${word} isn't allowed as an ONBUILD trigger`);
  const bodies = given.heredocs.map(({ content, name }) => `\n${content}${name}`).join('');
  const trigger = given.common.source.replace(/^\s*onbuild\s*/i, '') + bodies;
  // A trigger that cannot be parsed would break every build that uses the image.
  parseInstruction(trigger, given.escapeChar);
  return { ...given.common, kind: 'onbuild', trigger };
}
