/**
 * Reads a command line with the rules of Docker's flag library over a flag table: `--flag=value`,
 * `--bool=false`, `-it`, `-p8080:80`, `-v=/a:/b`, `--`, and flags that end at the first word where the verb says
 * so. Values are read when all words have been understood.
 */
import { FlagError } from '../cli-error.ts';
import { invalidFlagValue } from './declare.ts';
import type { Flag, FlagTable } from './flag-table.ts';

export interface ParsedLine {
  readonly args: string[];
  readonly options: Record<string, unknown>;
  /** Names (`memory-swap`) of the flags that were given. */
  readonly given: ReadonlySet<string>;
  /** `--help`, or `-h` where that is no flag of the verb, was among the flags; the rest was not read. */
  readonly help: boolean;
}

interface Walk {
  readonly table: FlagTable;
  readonly valued: { flag: Flag; value: string }[];
  readonly switches: Map<Flag, boolean>;
  readonly args: string[];
  help: boolean;
}

/** Throws `FlagError` with Docker's wording. */
export function parseCommandLine(
  table: FlagTable,
  words: readonly string[],
  stopAtFirstArgument = false,
): ParsedLine {
  const walk: Walk = { table, valued: [], switches: new Map(), args: [], help: false };
  let at = 0;
  while (at < words.length && !walk.help) {
    const word = words[at++] ?? '';
    if (word === '--') {
      walk.args.push(...words.slice(at));
      break;
    }
    if (word.startsWith('--')) at += longFlag(walk, word, words[at]);
    else if (word.startsWith('-') && word !== '-') at += shortFlags(walk, word, words[at]);
    else if (stopAtFirstArgument) {
      walk.args.push(word, ...words.slice(at));
      break;
    } else walk.args.push(word);
  }
  if (!walk.help) readValues(walk);
  return { args: walk.args, options: table.options(), given: givenFlags(walk), help: walk.help };
}

/** Returns how many further words were used up. */
function longFlag(walk: Walk, word: string, next: string | undefined): number {
  const equals = word.indexOf('=');
  const name = equals < 0 ? word : word.slice(0, equals);
  const flag = walk.table.find(name);
  if (flag === undefined) {
    if (name === '--help') walk.help = true;
    else throw new FlagError(`unknown flag: ${name}`);
    return 0;
  }
  if (!flag.required) {
    setSwitch(walk, flag, equals < 0 ? 'true' : word.slice(equals + 1));
    return 0;
  }
  if (equals >= 0) {
    walk.valued.push({ flag, value: word.slice(equals + 1) });
    return 0;
  }
  if (next === undefined) throw new FlagError(`flag needs an argument: ${name}`);
  walk.valued.push({ flag, value: next });
  return 1;
}

/** `-it`, `-p8080:80`, `-e=A=b`: switches up to the first flag that takes a value, which takes the rest. */
function shortFlags(walk: Walk, word: string, next: string | undefined): number {
  for (let at = 1; at < word.length; at++) {
    const flag = walk.table.find(`-${word[at]}`);
    const rest = word.slice(at + 1);
    if (flag === undefined && word[at] === 'h') {
      walk.help = true;
      return 0;
    }
    if (flag === undefined)
      throw new FlagError(`unknown shorthand flag: '${word[at]}' in -${word.slice(at)}`);
    if (!flag.required) {
      setSwitch(walk, flag, rest.startsWith('=') ? rest.slice(1) : 'true');
      if (rest.startsWith('=')) return 0;
      continue;
    }
    const value = rest === '' ? next : rest.replace(/^=/, '');
    if (value === undefined)
      throw new FlagError(`flag needs an argument: '${word[at]}' in -${word.slice(at)}`);
    walk.valued.push({ flag, value });
    return rest === '' ? 1 : 0;
  }
  return 0;
}

const TRUE_WORDS = ['1', 't', 'T', 'true', 'TRUE', 'True'];
const FALSE_WORDS = ['0', 'f', 'F', 'false', 'FALSE', 'False'];

function setSwitch(walk: Walk, flag: Flag, value: string): void {
  if (!TRUE_WORDS.includes(value) && !FALSE_WORDS.includes(value)) {
    throw invalidFlagValue(flag, value, `strconv.ParseBool: parsing "${value}": invalid syntax`);
  }
  walk.switches.set(flag, TRUE_WORDS.includes(value));
}

/** Values come before switches, in the order in which they were given. */
function readValues({ table, valued, switches }: Walk): void {
  for (const { flag, value } of valued) table.set(flag, value);
  for (const [flag, on] of switches) table.set(flag, on);
}

function givenFlags({ valued, switches }: Walk): Set<string> {
  return new Set([...switches.keys(), ...valued.map(({ flag }) => flag)].map(({ name }) => name));
}
