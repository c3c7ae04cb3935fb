/**
 * The Dockerfile parser: text to instructions, grouped in stages. It follows the language of BuildKit's stable
 * frontend; what a builder cannot do is that builder's to refuse.
 */
import { InvalidParameterError } from '../../base/errors.ts';
import type {
  CopyInstruction,
  Dockerfile,
  EscapeCharacter,
  FromInstruction,
  HealthcheckInstruction,
  Heredoc,
  Instruction,
  Stage,
} from './ast.ts';
import { parseDuration } from './duration.ts';
import { type FlagKind, Flags } from './flags.ts';
import { type LogicalLine, parseError, parseHeredocWord, splitLines } from './lines.ts';
import {
  parseCommand,
  parseJsonWords,
  parseList,
  parsePairs,
  quotedWords,
  splitBlanks,
  splitFlags,
} from './words.ts';

/** Throws InvalidParameter: `dockerfile parse error on line 3: unknown instruction: FOO`. */
export function parseDockerfile(text: string): Dockerfile {
  const { escapeChar, directives, lines, warnings } = splitLines(text);
  const globalArgs: Dockerfile['globalArgs'] = [];
  const stages: Stage[] = [];
  for (const line of lines) {
    const instruction = parseLine(line, escapeChar);
    const stage = stages.at(-1);
    if (instruction.kind === 'from') stages.push({ from: instruction, instructions: [] });
    else if (stage !== undefined) stage.instructions.push(instruction);
    else if (instruction.kind === 'arg') globalArgs.push(instruction);
    else
      throw parseError(
        line.line,
        'no build stage in current context: expected FROM before any other instruction',
      );
  }
  if (lines.length === 0)
    throw new InvalidParameterError('the Dockerfile is empty: file with no instructions');
  if (stages.length === 0)
    throw new InvalidParameterError('the Dockerfile has no build stage: expected a FROM');
  return { escapeChar, directives, globalArgs, stages, warnings };
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
  common: { line: number; endLine: number; source: string };
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
  const reader = READERS[word.toLowerCase()];
  if (reader === undefined) throw parseError(line.line, `unknown instruction: ${word}${suggestion(word)}`);
  try {
    const { flags, rest } = splitFlags(match?.[2] ?? '', escapeChar);
    return reader({
      common: { line: line.line, endLine: line.endLine, source: line.text },
      name: word.toUpperCase(),
      rest,
      flags,
      heredocs: line.heredocs,
      escapeChar,
    });
  } catch (error) {
    if (error instanceof InvalidParameterError) throw parseError(line.line, error.message);
    throw error;
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
    return { ...given.common, kind, pairs: parsePairs(given.rest, given.name, given.escapeChar) };
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

/** The known instruction that a misspelt one is closest to. */
function suggestion(word: string): string {
  const letters = (text: string) => [...text.toLowerCase()].sort().join('');
  const near = Object.keys(READERS).find(
    (name) => letters(name) === letters(word) || name === word.toLowerCase().slice(0, -1),
  );
  return near === undefined ? '' : ` (did you mean ${near.toUpperCase()}?)`;
}

const STAGE_NAME = /^[a-z][a-z0-9-_.]*$/;

function readFrom(given: Given): FromInstruction {
  const flags = new Flags(given.flags, { platform: 'string' });
  const words = splitBlanks(given.rest);
  const [base = '', as, name = ''] = words;
  if (words.length !== 1 && (words.length !== 3 || as?.toLowerCase() !== 'as')) {
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
    platform: flags.string('platform'),
  };
}

function readArg(given: Given): Instruction {
  noFlags(given);
  const args = atLeastOne(given, quotedWords(given.rest, given.escapeChar)).map((word) => {
    const at = word.indexOf('=');
    if (at === 0) refuse('ARG names can not be blank');
    return at < 0 ? { name: word } : { name: word.slice(0, at), value: word.slice(at + 1) };
  });
  return { ...given.common, kind: 'arg', args };
}

function readRun(given: Given): Instruction {
  const flags = new Flags(given.flags, { mount: 'list', network: 'string', security: 'string' });
  return {
    ...given.common,
    kind: 'run',
    command: parseCommand(given.rest),
    heredocs: given.heredocs,
    mounts: flags.list('mount'),
    network: flags.string('network'),
    security: flags.string('security'),
  };
}

function readCopy(kind: 'copy' | 'add', known: Record<string, FlagKind>): Reader {
  return (given): CopyInstruction => {
    const flags = new Flags(given.flags, known);
    const words = given.heredocs.length > 0 ? heredocList(given.rest) : parseList(given.rest);
    if (words.length < 2) {
      refuse(
        `${given.name} requires at least two arguments, but only ${words.length === 1 ? 'one was' : 'none were'} provided. Destination could not be determined`,
      );
    }
    const destination = words.at(-1) ?? '';
    if (parseHeredocWord(destination) !== undefined)
      refuse(`${given.name} cannot accept a heredoc as a destination`);
    const keepGitDir = flags.boolean('keep-git-dir');
    const unpack = flags.boolean('unpack');
    return {
      ...given.common,
      kind,
      sources: words.slice(0, -1).filter((word) => parseHeredocWord(word) === undefined),
      inline: given.heredocs,
      destination,
      from: flags.string('from'),
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

/** Blanks between `<<` and its word do not separate. */
function heredocList(text: string): string[] {
  return splitBlanks(text.replace(/(<<-?)[\t ]+/g, '$1'));
}

function readExpose(given: Given): Instruction {
  noFlags(given);
  return { ...given.common, kind: 'expose', values: atLeastOne(given, splitBlanks(given.rest)) };
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
