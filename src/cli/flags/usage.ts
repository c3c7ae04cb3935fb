/** Help texts: of a verb, of a group of verbs, of the program; two columns, wrapped to the terminal's width. */
import type { Verb } from '../verb.ts';
import { TOP_VERBS, VERB_GROUPS, type VerbGroup } from '../verbs.ts';
import type { Flag, FlagTable } from './flag-table.ts';

const DEFAULT_WIDTH = 80;

/** Text of `mydock VERB --help`; `path` is how the verb was called, `width` in cells (default 80). */
export function helpText(path: string, verb: Verb<never>, flags: FlagTable, width = DEFAULT_WIDTH): string {
  const usage = `Usage:  mydock ${path} ${verb.usage}\n\n${verb.summary}\n`;
  return flags.flags.length === 0 ? usage : `${usage}\nOptions:\n${flagColumns(flags.flags, width)}\n`;
}

/** Text of `mydock GROUP --help`. */
export function groupHelp(name: string, group: VerbGroup): string {
  const verbs = namedColumns(Object.entries(group.verbs));
  const hint = `Run 'mydock ${name} COMMAND --help' for more information on a command.`;
  return `Usage:  mydock ${name} COMMAND\n\n${group.summary}\n\nCommands:\n${verbs}\n\n${hint}\n`;
}

/** Text of `mydock --help`. */
export function programHelp(program: FlagTable, width = DEFAULT_WIDTH): string {
  return [
    'Usage:  mydock [OPTIONS] COMMAND',
    '',
    'A container engine for Linux',
    '',
    'Commands:',
    namedColumns(Object.entries(TOP_VERBS)),
    '',
    'Management Commands:',
    namedColumns(Object.entries(VERB_GROUPS)),
    '',
    'Global Options:',
    flagColumns(program.flags, width),
    '',
    "Run 'mydock COMMAND --help' for more information on a command.",
    '',
  ].join('\n');
}

function namedColumns(entries: readonly [string, { summary: string }][]): string {
  return entries
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, { summary }]) => `  ${name.padEnd(12)}${summary}`)
    .join('\n');
}

function flagColumns(flags: readonly Flag[], width: number): string {
  const rows = flags
    .filter(({ hidden }) => !hidden)
    .toSorted((a, b) => (a.name < b.name ? -1 : 1))
    .map((option) => ({ left: leftColumn(option), right: option.description + defaultNote(option) }));
  const indent = Math.max(...rows.map((row) => row.left.length)) + 3;
  return rows.map(({ left, right }) => left.padEnd(indent) + wrap(right, indent, width)).join('\n');
}

/** `  -m, --memory bytes`: the value's type stands in the declared flags as `<bytes>`. */
function leftColumn(option: Flag): string {
  const type = /<(.+)>/.exec(option.declaration)?.[1];
  const short = option.short === undefined ? '      ' : `  ${option.short}, `;
  return short + option.long + (type === undefined ? '' : ` ${type}`);
}

function defaultNote(option: Flag): string {
  const value: unknown = option.defaultValue;
  const none =
    option.negate || value === undefined || value === false || value === '' || Array.isArray(value);
  if (none) return '';
  return typeof value === 'string' ? ` (default "${value}")` : ` (default ${String(value)})`;
}

function wrap(text: string, indent: number, width: number): string {
  const room = Math.max(width - indent - 1, 24);
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    if (line !== '' && line.length + 1 + word.length > room) {
      lines.push(line);
      line = word;
    } else line = line === '' ? word : `${line} ${word}`;
  }
  lines.push(line);
  return lines.join(`\n${' '.repeat(indent)}`);
}
