/**
 * Reads the quantities of flags: sizes (`512m`, `1.5GiB`), durations (`1m30s`), CPUs (`1.5`) and points in time.
 * Messages are Docker's.
 */

const SUFFIXES: Record<string, number> = { k: 1, m: 2, g: 3, t: 4, p: 5, e: 6, z: 7, y: 8 };

/** Bytes; suffixes b, k, m, g, t, p (with or without `b` or `ib`) are powers of 1024. */
export function parseBytes(text: string): number {
  const match = /^(.*[\d. ])([^\d. ]*)$/.exec(text);
  if (match === null) throw new Error(`invalid size: '${text}'`);
  const [, digits = '', suffix = ''] = match;
  const number = digits.endsWith(' ') ? digits.slice(0, -1) : digits;
  if (!/^[+-]?(\d+\.?\d*|\.\d+)$/.test(number)) throw new Error(`invalid size: '${text}'`);
  const size = Number(number);
  if (size < 0) throw new Error(`invalid size: '${text}'`);
  if (suffix === '' || suffix.toLowerCase() === 'b') return Math.trunc(size);
  const power = /^[a-z](ib|b)?$/i.test(suffix) ? SUFFIXES[suffix.charAt(0).toLowerCase()] : undefined;
  if (power === undefined) throw new Error(`invalid suffix: '${suffix}'`);
  return Math.trunc(size * 1024 ** power);
}

/** As `parseBytes`, and -1 for "without limit". */
export function parseSwapBytes(text: string): number {
  return text === '-1' ? -1 : parseBytes(text);
}

const DURATION_NS: Record<string, number> = {
  ns: 1,
  us: 1e3,
  µs: 1e3,
  μs: 1e3,
  ms: 1e6,
  s: 1e9,
  m: 60e9,
  h: 3600e9,
};

/** Nanoseconds of a Go duration: signed, units from ns to h, several after each other. */
export function parseDurationNs(text: string): number {
  const body = text.replace(/^[+-]/, '');
  if (body === '0') return 0;
  if (body === '' || !/^[\d.]/.test(body)) throw new Error(`time: invalid duration "${text}"`);
  let total = 0;
  let rest = body;
  while (rest !== '') {
    const part = /^(\d+\.?\d*|\.\d+)([^\d.]*)/.exec(rest);
    if (part === null) throw new Error(`time: invalid duration "${text}"`);
    const [whole, number = '', unit = ''] = part;
    const factor = DURATION_NS[unit];
    if (unit === '') throw new Error(`time: missing unit in duration "${text}"`);
    if (factor === undefined) throw new Error(`time: unknown unit "${unit}" in duration "${text}"`);
    total += Number(number) * factor;
    rest = rest.slice(whole.length);
  }
  return Math.trunc(text.startsWith('-') ? -total : total);
}

/** CPUs in 1e-9 units, from a decimal or a fraction (`1/2`). */
export function parseNanoCpus(text: string): number {
  const match = /^([+-]?\d*\.?\d*(?:e[+-]?\d+)?)(?:\/(\d+))?$/i.exec(text);
  const value = match === null || match[1] === '' ? Number.NaN : Number(match[1]) / Number(match[2] ?? 1);
  if (!Number.isFinite(value)) throw new Error(`failed to parse ${text} as a rational number`);
  const nano = value * 1e9;
  const rounded = Math.round(nano);
  if (Math.abs(nano - rounded) > 1e-3) throw new Error('value is too precise');
  return rounded;
}

/**
 * Unix time as `seconds.nanoseconds` of a point in time: a Go duration before `nowMs`, RFC 3339, a date with or
 * without time (local zone), or Unix seconds. Empty stays empty.
 */
export function parseTimestamp(text: string, nowMs: number): string {
  if (text === '') return '';
  if (/^-?\d+(\.\d+)?$/.test(text)) return text;
  if (/^[+-]?[\d.]+[a-z\u00b5\u03bc]/i.test(text) && !/^\d{4}-/.test(text)) {
    const unixNs = BigInt(nowMs) * 1_000_000n - BigInt(parseDurationNs(text));
    return `${unixNs / 1_000_000_000n}.${String(unixNs % 1_000_000_000n).padStart(9, '0')}`;
  }
  return absoluteTime(text);
}

function absoluteTime(text: string): string {
  const match =
    /^(\d{4}-\d{2}-\d{2})(?:T(\d{2})(?::(\d{2})(?::(\d{2})(?:\.(\d{1,9}))?)?)?)?(Z|[+-]\d{2}:\d{2})?$/.exec(
      text,
    );
  if (match === null) throw new Error(`failed to parse value as time or duration: "${text}"`);
  const [, day, hour = '00', minute = '00', second = '00', fraction = '', zone = ''] = match;
  const ms = Date.parse(`${day}T${hour}:${minute}:${second}${zone}`);
  if (Number.isNaN(ms)) throw new Error(`failed to parse value as time or duration: "${text}"`);
  return `${ms / 1000}.${fraction.padEnd(9, '0')}`;
}
