/**
 * Declares flags on a commander command with the value types of Docker's help (`list`, `int`, `bytes`, …). Parse
 * errors name the flag as Docker does: `invalid argument "x" for "-c, --cpu-shares" flag: …`.
 */
import { type Command, Option } from 'commander';
import { FlagError } from '../cli-error.ts';

const otherNames = new WeakMap<Command, Map<string, string>>();

/** An older name of a declared flag (`--net` for `--network`), which help does not show. */
export function flagAlias(command: Command, alias: string, name: string): void {
  const names = otherNames.get(command) ?? new Map<string, string>();
  otherNames.set(command, names.set(alias, name));
}

/** The flags' older names, each with the one that it stands for. */
export function flagAliases(command: Command): ReadonlyMap<string, string> {
  return otherNames.get(command) ?? new Map<string, string>();
}

/** A flag without a value. `byDefault` true suits flags that are switched off by `--flag=false`. */
export function boolFlag(command: Command, flags: string, description: string, byDefault = false): void {
  const option = new Option(flags, description);
  command.addOption(option.default(option.negate || byDefault));
}

/** A flag without a value that stays undefined where it was not given. */
export function optionalBoolFlag(command: Command, flags: string, description: string): void {
  command.addOption(new Option(flags, description));
}

/** A flag whose last value counts; undefined where it was not given and has no default. */
export function stringFlag(command: Command, flags: string, description: string, byDefault?: string): void {
  const option = new Option(flags, description);
  command.addOption(byDefault === undefined ? option : option.default(byDefault));
}

/** A flag that may be given several times. */
export function listFlag(command: Command, flags: string, description: string): void {
  command.addOption(
    new Option(flags, description).default([]).argParser((value, before: string[]) => [...before, value]),
  );
}

/** A flag whose text is read by `parse`; what that throws is reported with the flag's name. */
export function parsedFlag<T>(
  command: Command,
  flags: string,
  description: string,
  parse: (text: string) => T,
  byDefault?: T,
): void {
  const option = new Option(flags, description);
  option.argParser((text: string) => parseNamed(option, text, parse));
  command.addOption(byDefault === undefined ? option : option.default(byDefault));
}

/** As `parsedFlag`, collecting the values. */
export function parsedListFlag<T>(
  command: Command,
  flags: string,
  description: string,
  parse: (text: string) => T,
): void {
  const option = new Option(flags, description);
  option.default([]);
  option.argParser((text: string, before: T[]) => [...before, parseNamed(option, text, parse)]);
  command.addOption(option);
}

function parseNamed<T>(option: Option, text: string, parse: (text: string) => T): T {
  try {
    return parse(text);
  } catch (error) {
    throw invalidFlagValue(option, text, error instanceof Error ? error.message : String(error));
  }
}

export function invalidFlagValue(option: Option, text: string, reason: string): FlagError {
  const name = option.short === undefined ? option.long : `${option.short}, ${option.long}`;
  return new FlagError(`invalid argument "${text}" for "${name}" flag: ${reason}`);
}

/** A signed integer as Go's strconv reads it with base 0 (decimal, 0x, 0o, 0b). */
export function parseInteger(text: string): number {
  const value = /^[+-]?(\d+|0x[\da-f]+|0o[0-7]+|0b[01]+)$/i.test(text)
    ? Number(text.replace(/^\+/, ''))
    : Number.NaN;
  const signed = Number.isNaN(value) && text.startsWith('-') ? -Number(text.slice(1)) : value;
  if (!Number.isInteger(signed)) throw new Error(`strconv.ParseInt: parsing "${text}": invalid syntax`);
  if (Math.abs(signed) >= 2 ** 63) throw new Error(`strconv.ParseInt: parsing "${text}": value out of range`);
  return signed;
}
