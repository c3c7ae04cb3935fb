/**
 * Declares flags with the value types of Docker's help (`list`, `int`, `bytes`, …). Parse
 * errors name the flag as Docker does: `invalid argument "x" for "-c, --cpu-shares" flag: …`.
 */
import { FlagError } from '../cli-error.ts';
import { Flag, type FlagTable } from './flag-table.ts';

/** An older name of a declared flag (`--net` for `--network`), which help does not show. */
export function flagAlias(command: FlagTable, alias: string, name: string): void {
  command.addAlias(alias, name);
}

/** A flag without a value. `byDefault` true suits flags that are switched off by `--flag=false`. */
export function boolFlag(command: FlagTable, flags: string, description: string, byDefault = false): void {
  const negate = flags.startsWith('--no-');
  command.add(new Flag(flags, description, { defaultValue: negate || byDefault }));
}

/** A flag without a value that stays undefined where it was not given. */
export function optionalBoolFlag(command: FlagTable, flags: string, description: string): void {
  command.add(new Flag(flags, description));
}

/** A flag whose last value counts; undefined where it was not given and has no default. */
export function stringFlag(command: FlagTable, flags: string, description: string, byDefault?: string): void {
  command.add(new Flag(flags, description, { defaultValue: byDefault }));
}

/** A flag that may be given several times. */
export function listFlag(command: FlagTable, flags: string, description: string): void {
  const parse = (value: string, before: unknown): string[] => [...(before as string[]), value];
  command.add(new Flag(flags, description, { defaultValue: [], parse }));
}

/** A flag whose text is read by `parse`; what that throws is reported with the flag's name. */
export function parsedFlag<T>(
  command: FlagTable,
  flags: string,
  description: string,
  parse: (text: string) => T,
  byDefault?: T,
): void {
  const named = (text: string): T => parseNamed(flag, text, parse);
  const flag = new Flag(flags, description, { defaultValue: byDefault, parse: named });
  command.add(flag);
}

/** As `parsedFlag`, collecting the values. */
export function parsedListFlag<T>(
  command: FlagTable,
  flags: string,
  description: string,
  parse: (text: string) => T,
): void {
  const named = (text: string, before: unknown): T[] => [...(before as T[]), parseNamed(flag, text, parse)];
  const flag = new Flag(flags, description, { defaultValue: [], parse: named });
  command.add(flag);
}

function parseNamed<T>(flag: Flag, text: string, parse: (text: string) => T): T {
  try {
    return parse(text);
  } catch (error) {
    throw invalidFlagValue(flag, text, error instanceof Error ? error.message : String(error));
  }
}

export function invalidFlagValue(flag: Flag, text: string, reason: string): FlagError {
  const name = flag.short === undefined ? flag.long : `${flag.short}, ${flag.long}`;
  return new FlagError(`invalid argument "${text}" for "${name}" flag: ${reason}`);
}

/**
 * A signed integer as Go's strconv reads it with base 0: decimal, 0x, 0o, 0b, octal after a 0, and single underscores
 * between digits.
 */
export function parseInteger(text: string): number {
  const valid = /^[+-]?(0|[1-9](_?\d)*|0(_?[0-7])+|0x(_?[\da-f])+|0o(_?[0-7])+|0b(_?[01])+)$/i.test(text);
  const magnitude = valid
    ? Number(text.replaceAll('_', '').replace(/^[+-]?(0(?=\d))?/, (_, octal?: string) => (octal ? '0o' : '')))
    : Number.NaN;
  const signed = text.startsWith('-') ? -magnitude : magnitude;
  if (!Number.isInteger(signed)) throw new Error(`strconv.ParseInt: parsing "${text}": invalid syntax`);
  if (Math.abs(signed) >= 2 ** 63) throw new Error(`strconv.ParseInt: parsing "${text}": value out of range`);
  return signed;
}
