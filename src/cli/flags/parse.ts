/**
 * Reads a command line with the rules of Docker's flag library over a commander flag table: `--flag=value`,
 * `--bool=false`, `-it`, `-p8080:80`, `-v=/a:/b`, `--`, and flags that end at the first word where the verb says
 * so. The words are rewritten into one canonical form that commander then reads.
 */
import type { Command, Option } from 'commander';
import { FlagError } from '../cli-error.ts';
import { flagAliases, invalidFlagValue } from './declare.ts';

export interface ParsedLine {
  readonly args: string[];
  readonly options: Record<string, unknown>;
  /** Names (`memory-swap`) of the flags that were given. */
  readonly given: ReadonlySet<string>;
  /** `--help` was among the flags; the rest was not read. */
  readonly help: boolean;
}

interface Walk {
  readonly table: Map<string, Option>;
  readonly valued: string[];
  readonly switches: Map<Option, boolean>;
  readonly args: string[];
  help: boolean;
}

/** Throws `FlagError` with Docker's wording. */
export function parseCommandLine(
  command: Command,
  words: readonly string[],
  stopAtFirstArgument = false,
): ParsedLine {
  const walk: Walk = { table: flagTable(command), valued: [], switches: new Map(), args: [], help: false };
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
  if (!walk.help) readValues(command, walk);
  return { args: walk.args, options: command.opts(), given: givenFlags(walk), help: walk.help };
}

function flagTable(command: Command): Map<string, Option> {
  const table = new Map<string, Option>();
  for (const option of command.options) {
    if (option.long) table.set(option.long, option);
    if (option.short) table.set(option.short, option);
  }
  for (const [alias, name] of flagAliases(command)) {
    const option = table.get(name);
    if (option !== undefined) table.set(alias, option);
  }
  return table;
}

/** Returns how many further words were used up. */
function longFlag(walk: Walk, word: string, next: string | undefined): number {
  const equals = word.indexOf('=');
  const name = equals < 0 ? word : word.slice(0, equals);
  const option = walk.table.get(name);
  if (option === undefined) {
    if (name === '--help') walk.help = true;
    else throw new FlagError(`unknown flag: ${name}`);
    return 0;
  }
  if (isSwitch(option)) {
    setSwitch(walk, option, equals < 0 ? 'true' : word.slice(equals + 1));
    return 0;
  }
  if (equals >= 0) {
    walk.valued.push(`${option.long}${word.slice(equals)}`);
    return 0;
  }
  if (next === undefined) throw new FlagError(`flag needs an argument: ${name}`);
  walk.valued.push(`${option.long}=${next}`);
  return 1;
}

/** `-it`, `-p8080:80`, `-e=A=b`: switches up to the first flag that takes a value, which takes the rest. */
function shortFlags(walk: Walk, word: string, next: string | undefined): number {
  for (let at = 1; at < word.length; at++) {
    const option = walk.table.get(`-${word[at]}`);
    const rest = word.slice(at + 1);
    if (option === undefined)
      throw new FlagError(`unknown shorthand flag: '${word[at]}' in -${word.slice(at)}`);
    if (isSwitch(option)) {
      setSwitch(walk, option, rest.startsWith('=') ? rest.slice(1) : 'true');
      if (rest.startsWith('=')) return 0;
      continue;
    }
    const value = rest === '' ? next : rest.replace(/^=/, '');
    if (value === undefined)
      throw new FlagError(`flag needs an argument: '${word[at]}' in -${word.slice(at)}`);
    walk.valued.push(`${option.long}=${value}`);
    return rest === '' ? 1 : 0;
  }
  return 0;
}

function isSwitch(option: Option): boolean {
  return !option.required && !option.optional;
}

const TRUE_WORDS = ['1', 't', 'T', 'true', 'TRUE', 'True'];
const FALSE_WORDS = ['0', 'f', 'F', 'false', 'FALSE', 'False'];

function setSwitch(walk: Walk, option: Option, value: string): void {
  if (!TRUE_WORDS.includes(value) && !FALSE_WORDS.includes(value)) {
    throw invalidFlagValue(option, value, `strconv.ParseBool: parsing "${value}": invalid syntax`);
  }
  walk.switches.set(option, TRUE_WORDS.includes(value));
}

/** commander parses the values; switches are set by hand, for it knows no `--flag=false`. */
function readValues(command: Command, walk: Walk): void {
  if (walk.valued.length > 0) command.exitOverride().helpOption(false).parse(walk.valued, { from: 'user' });
  for (const [option, on] of walk.switches) {
    command.setOptionValueWithSource(option.attributeName(), option.negate ? !on : on, 'cli');
  }
}

function givenFlags(walk: Walk): Set<string> {
  const given = new Set([...walk.switches.keys()].map((option) => (option.long ?? '').slice(2)));
  for (const word of walk.valued) given.add(word.slice(2, word.indexOf('=')));
  return given;
}
