/**
 * A directive of the daemon's configuration: how it is called on the command line and in the configuration file, and
 * how its value is read. The table of directives stands in config.ts.
 */
import { InvalidParameterError } from '../base/errors.ts';
import { readBuilder } from './builder-config.ts';
import { readRuntimes } from './runtimes-directive.ts';
import { readUlimits } from './ulimits-directive.ts';

/** `flag` is switched on by its name alone; a `switch` is on by default and takes `false`. */
type Kind =
  | 'text'
  | 'list'
  | 'flag'
  | 'switch'
  | 'count'
  | 'rate'
  | 'map'
  | 'pools'
  | 'runtimes'
  | 'features'
  | 'ulimits'
  | 'builder';

/** A range that subnets of `size` (a prefix length) are taken from. */
export interface AddressPoolConfig {
  base: string;
  size: number;
}

export interface Directive<Field extends string = string> {
  /** Name on the command line; the last word of the option's flags. */
  flag: string;
  /** Key in the configuration file; `proxies.x` is `x` of its object `proxies`. */
  key: string;
  field: Field;
  kind: Kind;
  help: string;
}

/** May be given several times, and in both places: the values are joined. */
export const REPEATABLE: ReadonlySet<Kind> = new Set([
  'list',
  'map',
  'pools',
  'runtimes',
  'features',
  'ulimits',
  'builder',
]);

export function directive<Field extends string>(
  flag: string,
  key: string,
  field: Field,
  kind: Kind,
  help: string,
): Directive<Field> {
  return { flag, key, field, kind, help };
}

/** `where` names the flag, or the file and the key. Throws InvalidParameter. */
export function convertValue(kind: Kind, where: string, value: unknown): unknown {
  const converted = READERS[kind](value, where);
  if (converted !== undefined) return converted;
  throw new InvalidParameterError(`${where}: invalid value ${JSON.stringify(value)}: expected a ${kind}`);
}

/** Undefined for what is no value of that kind. */
const READERS: Record<Kind, (value: unknown, where: string) => unknown> = {
  text: (value) => (typeof value === 'string' ? value : undefined),
  flag: (value) => (typeof value === 'boolean' ? value : undefined),
  switch: readSwitch,
  count: (value) => {
    const number = Number(value);
    return Number.isInteger(number) && number > 0 ? number : undefined;
  },
  rate: readRate,
  list: (value) => (isTextList(value) ? value : undefined),
  map: readMap,
  pools: (value, where) => (Array.isArray(value) ? value.map((item) => readPool(item, where)) : undefined),
  runtimes: readRuntimes,
  features: readFeatures,
  ulimits: readUlimits,
  builder: readBuilder,
};

/** The command line gives texts, or true for a name alone. */
function readSwitch(value: unknown): boolean | undefined {
  if (value === true || value === 'true' || value === '1') return true;
  return value === false || value === 'false' || value === '0' ? false : undefined;
}

function readRate(value: unknown): number | undefined {
  const match = /^(\d{1,12}(?:\.\d{1,6})?) ?([kmgt]?)(?:i?b)?$/i.exec(String(value));
  const power = 'kmgt'.indexOf(match?.[2]?.toLowerCase() || '-') + 1;
  const bytes = Math.floor(Number(match?.[1]) * 1024 ** power);
  return bytes >= 0 ? bytes : undefined;
}

function isTextList(value: unknown): value is string[] {
  return Array.isArray(value) && value.every((item) => typeof item === 'string');
}

function readMap(value: unknown, where: string): Record<string, string> {
  const map: Record<string, string> = {};
  const entries = Array.isArray(value)
    ? value.map((item) => String(item).split(/=(.*)/s))
    : Object.entries(typeof value === 'object' && value !== null ? value : {});
  for (const [key, text] of entries) {
    if (typeof key !== 'string' || key === '' || typeof text !== 'string') {
      throw new InvalidParameterError(`${where}: expected key=value, got ${JSON.stringify(value)}`);
    }
    map[key] = text;
  }
  return map;
}

/** `name=true` and `name` on the command line, `{"name": true}` in the file. */
function readFeatures(value: unknown, where: string): Record<string, boolean> {
  const entries = Array.isArray(value)
    ? value.map((item): [string, unknown] => {
        const [name = '', text = 'true'] = String(item).split(/=(.*)/s);
        return [name, readSwitch(text)];
      })
    : Object.entries(typeof value === 'object' && value !== null ? value : { '': value });
  const wrong = entries.find(([name, state]) => name === '' || typeof state !== 'boolean');
  if (wrong !== undefined) {
    throw new InvalidParameterError(
      `${where}: expected name=true or name=false, got ${JSON.stringify(value)}`,
    );
  }
  return Object.fromEntries(entries) as Record<string, boolean>;
}

/** `base=10.0.0.0/8,size=24`, or an object with these. */
function readPool(value: unknown, where: string): AddressPoolConfig {
  const fields =
    typeof value === 'string'
      ? Object.fromEntries(value.split(',').map((field) => field.split(/=(.*)/s, 2)))
      : value;
  const { base, size, ...others } = (fields ?? {}) as Record<string, unknown>;
  const number = Number(size);
  if (
    typeof base !== 'string' ||
    size === '' ||
    !Number.isInteger(number) ||
    Object.keys(others).length > 0
  ) {
    throw new InvalidParameterError(
      `${where}: invalid address pool ${JSON.stringify(value)}: expected base=SUBNET,size=PREFIX_LENGTH`,
    );
  }
  return { base, size: number };
}
