/** Times with nanoseconds, which a Date does not hold. */

const NANOSECONDS = 1_000_000_000n;

/** An RFC 3339 time as nanoseconds since the epoch; undefined where it is none. */
export function rfc3339Ns(text: string): bigint | undefined {
  const parsed = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d)$/.exec(text);
  const seconds = parsed === null ? Number.NaN : Date.parse(`${parsed[1]}${parsed[3]}`) / 1000;
  if (Number.isNaN(seconds)) return undefined;
  return BigInt(seconds) * NANOSECONDS + BigInt((parsed?.[2] ?? '').padEnd(9, '0'));
}

/** Unix seconds with an optional fraction of up to nine digits, as the Engine API writes times; undefined for other text. */
export function unixSecondsNs(text: string): bigint | undefined {
  const parsed = /^(-?)(\d{1,15})(?:\.(\d{1,9})\d*)?$/.exec(text);
  if (parsed === null) return undefined;
  const ns = BigInt(parsed[2] ?? 0) * NANOSECONDS + BigInt((parsed[3] ?? '').padEnd(9, '0'));
  return parsed[1] === '-' ? -ns : ns;
}
