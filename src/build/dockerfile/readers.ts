/** Instructions by their names, each from its words to what it says. Those with much to say have files of their own. */
import type { Argument, FromInstruction, Instruction } from './ast.ts';
import { Flags } from './flags.ts';
import { atLeastOne, type Given, noFlags, oneArgument, type Reader, refuse } from './given.ts';
import { readCopy, readRun } from './read-copy.ts';
import { readHealthcheck } from './read-healthcheck.ts';
import { parseCommand, parseJsonWords, parseList, parsePairs, quotedWords, splitBlanks } from './words.ts';

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

/** By the instruction's name, in lower case. */
export const READERS: Readonly<Record<string, Reader>> = {
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

function readOnbuild(given: Given): Instruction {
  noFlags(given);
  const word = (given.rest.split(/\s/, 1)[0] ?? '').toUpperCase();
  if (word === '') refuse('ONBUILD requires at least one argument');
  if (word === 'ONBUILD') refuse("Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed");
  if (word === 'MAINTAINER' || word === 'FROM') refuse(`${word} isn't allowed as an ONBUILD trigger`);
  const bodies = given.heredocs.map(({ content, name }) => `\n${content}${name}`).join('');
  const trigger = given.common.source.replace(/^\s*onbuild\s*/i, '') + bodies;
  // A trigger that cannot be parsed would break every build that uses the image.
  given.parse(trigger);
  return { ...given.common, kind: 'onbuild', trigger };
}
