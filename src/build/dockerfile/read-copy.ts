/** RUN, COPY and ADD: the instructions with flags of their own and with heredocs. */
import type { CopyInstruction, EscapeCharacter, Instruction } from './ast.ts';
import { expandWord } from './expand.ts';
import { type FlagKind, Flags } from './flags.ts';
import { type Given, type Reader, refuse } from './given.ts';
import { heredocContent, parseHeredocWord } from './heredoc.ts';
import { parseCommand, parseList, splitBlanks } from './words.ts';

export function readRun(given: Given): Instruction {
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

export function readCopy(kind: 'copy' | 'add', known: Record<string, FlagKind>): Reader {
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
