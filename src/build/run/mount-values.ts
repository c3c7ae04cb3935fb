/** Values of the keys of `RUN --mount`, in BuildKit's spellings. Each throws InvalidParameter, naming key and value. */
import { InvalidParameterError } from '../../base/errors.ts';

const ID_MAX = 4_294_967_294;
const SIZE_UNITS: Readonly<Record<string, number>> = { '': 0, b: 0, k: 10, m: 20, g: 30, t: 40, p: 50 };

export function oneOf(text: string, words: readonly string[], refusal: string): string {
  const word = text.toLowerCase();
  if (words.includes(word)) return word;
  throw new InvalidParameterError(`${refusal} (expected one of ${words.join(', ')})`);
}

/** Go's strconv.ParseBool. */
export function boolean(key: string, text: string): boolean {
  if (['1', 't', 'T', 'true', 'TRUE', 'True'].includes(text)) return true;
  if (['0', 'f', 'F', 'false', 'FALSE', 'False'].includes(text)) return false;
  throw new InvalidParameterError(`invalid value for ${key}: ${text} (expected true or false)`);
}

export function mode(text: string): number {
  const bits = /^[0-7]{1,11}$/.test(text) ? Number.parseInt(text, 8) : Number.POSITIVE_INFINITY;
  if (bits > 0o7777) {
    throw new InvalidParameterError(`invalid value ${text} for mode (expected octal digits up to 7777)`);
  }
  return bits;
}

export function id(key: string, text: string): number {
  if (/^\d{1,10}$/.test(text) && Number(text) <= ID_MAX) return Number(text);
  throw new InvalidParameterError(`invalid value ${text} for ${key} (expected a number up to ${ID_MAX})`);
}

/** As Docker writes sizes: `64m`, `1.5g`, `100`. */
export function bytes(key: string, text: string): number {
  const parts = /^(\d+(?:\.\d+)?) ?([bkmgtp]?)i?b?$/i.exec(text);
  const [, digits = '', unit = ''] = parts ?? [];
  const size = Math.floor(Number(digits) * 2 ** (SIZE_UNITS[unit.toLowerCase()] ?? 0));
  if (parts === null || !Number.isSafeInteger(size)) {
    throw new InvalidParameterError(`invalid value for ${key}: ${text} (expected a size, as 64m)`);
  }
  return size;
}

/** Absolute, without `.`, `..` and empty components: Go's path.Join("/", path). */
export function cleanPath(path: string): string {
  const parts: string[] = [];
  for (const part of path.split('/')) {
    if (part === '..') parts.pop();
    else if (part !== '' && part !== '.') parts.push(part);
  }
  return `/${parts.join('/')}`;
}

export function baseName(path: string): string {
  return path.replace(/\/+$/, '').replace(/^.*\//s, '') || path;
}
