/** The functions that templates may call: Go's own, and those that Docker adds. */
import { sprintf } from './printf.ts';
import {
  GoMap,
  GoNil,
  GoStruct,
  isTrue,
  jsonText,
  type Method,
  NO_VALUE,
  printValue,
  typeName,
  type Value,
} from './values.ts';

/** `and` and `or` are not among them: they look at their arguments one by one. */
export const FUNCTIONS: Readonly<Record<string, Method>> = {
  eq: (first, ...others) => atLeastOne('eq', others).some((other) => equal(first as Value, other)),
  ne: (a, b) => !equal(a as Value, b as Value),
  lt: (a, b) => order(a as Value, b as Value) < 0,
  le: (a, b) => order(a as Value, b as Value) <= 0,
  gt: (a, b) => order(a as Value, b as Value) > 0,
  ge: (a, b) => order(a as Value, b as Value) >= 0,
  not: (value) => !isTrue(value as Value),
  len: (value) => lengthOf(value as Value),
  index: (value, ...keys) => keys.reduce<Value>(indexOne, value as Value),
  slice: (value, from = 0, to) => sliceOf(value as Value, from, to),
  print: (...args) => sprint(args),
  println: (...args) => `${args.map(printValue).join(' ')}\n`,
  printf: (format, ...args) => sprintf(textOf(format as Value), args),
  html: (...args) => sprint(args).replace(/[&<>"'\0]/g, (char) => HTML[char] ?? char),
  js: (...args) =>
    JSON.stringify(sprint(args))
      .slice(1, -1)
      .replaceAll("'", "\\'")
      .replaceAll('<', '\\u003C')
      .replaceAll('>', '\\u003E'),
  urlquery: (...args) => encodeURIComponent(sprint(args)).replaceAll('%20', '+'),

  json: (value) => jsonText(value as Value),
  split: (text, separator) => textOf(text as Value).split(textOf(separator as Value)),
  join: (list, separator) =>
    listOf(list as Value)
      .map(printValue)
      .join(textOf(separator as Value)),
  title: (text) =>
    textOf(text as Value).replace(
      /(^|[^\p{L}\p{N}_'])(\p{L})/gu,
      (_, before: string, letter: string) => before + letter.toUpperCase(),
    ),
  lower: (text) => textOf(text as Value).toLowerCase(),
  upper: (text) => textOf(text as Value).toUpperCase(),
  pad: (text, before, after) => {
    const word = textOf(text as Value);
    return word === '' ? '' : ' '.repeat(Number(before)) + word + ' '.repeat(Number(after));
  },
  truncate: (text, length) => [...textOf(text as Value)].slice(0, Number(length)).join(''),
};

/** Every name that may stand where a function is called. */
export const FUNCTION_NAMES: ReadonlySet<string> = new Set([...Object.keys(FUNCTIONS), 'and', 'or', 'call']);

const HTML: Record<string, string> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&#34;',
  "'": '&#39;',
  '\0': '\uFFFD',
};

function textOf(value: Value): string {
  if (typeof value === 'string') return value;
  throw new Error(`wrong type for value; expected string; got ${typeName(value)}`);
}

function listOf(value: Value): readonly Value[] {
  if (value instanceof GoNil) return [];
  if (Array.isArray(value)) return value as readonly Value[];
  throw new Error(`wrong type for value; expected []string; got ${typeName(value)}`);
}

/** Spaces stand between two operands when neither is a string (Go's Sprint). */
function sprint(args: readonly Value[]): string {
  return args.reduce<string>((text, value, index) => {
    const before = args[index - 1];
    const space = index > 0 && typeof value !== 'string' && typeof before !== 'string' ? ' ' : '';
    return text + space + printValue(value);
  }, '');
}

function atLeastOne(name: string, others: Value[]): Value[] {
  if (others.length === 0) throw new Error(`missing argument for comparison in ${name}`);
  return others;
}

type Basic = string | number | bigint | boolean;

function basic(value: Value): Basic {
  if (typeof value === 'object' || typeof value === 'symbol') throw new Error('invalid type for comparison');
  return value;
}

function equal(a: Value, b: Value): boolean {
  if (a instanceof GoNil || b instanceof GoNil) return a instanceof GoNil && b instanceof GoNil;
  const [left, right] = [basic(a), basic(b)];
  if (kindOf(left) !== kindOf(right)) throw new Error('incompatible types for comparison');
  // biome-ignore lint/suspicious/noDoubleEquals: a number and a bigint are the same integer here.
  return left == right;
}

function order(a: Value, b: Value): number {
  const [left, right] = [basic(a), basic(b)];
  if (kindOf(left) !== kindOf(right)) throw new Error('incompatible types for comparison');
  if (typeof left === 'boolean') throw new Error('invalid type for comparison');
  if (typeof left === 'string') return Buffer.compare(Buffer.from(left), Buffer.from(right as string));
  const other = right as number | bigint;
  if (left < other) return -1;
  return left > other ? 1 : 0;
}

function kindOf(value: Basic): string {
  return typeof value === 'bigint' ? 'number' : typeof value;
}

function lengthOf(value: Value): number {
  if (typeof value === 'string') return Buffer.byteLength(value);
  if (value instanceof GoMap) return value.entries.size;
  if (value instanceof GoNil && (value.kind === 'map' || value.kind === 'slice')) return 0;
  if (Array.isArray(value)) return value.length;
  throw new Error(`len of type ${typeName(value)}`);
}

function indexOne(value: Value, key: Value): Value {
  if (value instanceof GoNil) {
    if (value.kind === 'map') return '';
    throw new Error(
      value.kind === 'slice' ? `index out of range: ${printValue(key)}` : 'index of untyped nil',
    );
  }
  if (value instanceof GoMap) return value.entries.get(textOf(key)) ?? zeroLike(value);
  if (value instanceof GoStruct) {
    const field = value.fields.get(textOf(key));
    if (field === undefined || typeof field === 'function')
      throw new Error(`can't index item of type ${typeName(value)}`);
    return field;
  }
  if (!Array.isArray(value)) throw new Error(`can't index item of type ${typeName(value)}`);
  if (typeof key !== 'number') throw new Error(`cannot index slice/array with type ${typeName(key)}`);
  const item: Value | undefined = value[key];
  if (item === undefined) throw new Error(`index out of range: ${key}`);
  return item;
}

/** A map of strings has the empty string for keys that are not in it. */
function zeroLike(map: GoMap): Value {
  const [sample] = map.entries.values();
  if (sample === undefined || typeof sample === 'string') return '';
  return Array.isArray(sample) ? new GoNil('slice') : NO_VALUE;
}

function sliceOf(value: Value, from: Value, to: Value | undefined): Value {
  if (typeof value !== 'string' && !Array.isArray(value))
    throw new Error(`can't slice item of type ${typeName(value)}`);
  const length = value.length;
  const end = to === undefined ? length : Number(to);
  if (Number(from) > length || end > length || Number(from) < 0)
    throw new Error(`index out of range: ${Math.max(Number(from), end)}`);
  return value.slice(Number(from), end) as Value;
}
