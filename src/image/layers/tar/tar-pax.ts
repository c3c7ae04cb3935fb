/**
 * PAX extended headers (POSIX.1-2017 pax, "pax Header Block"): records `length key=value\n`, whose values are raw bytes
 * here.
 */
import type { ByteString } from './byte-string.ts';
import { EMPTY } from './byte-string.ts';
import type { TarXattr } from './tar-format.ts';

export type PaxRecords = ReadonlyMap<string, ByteString>;

const XATTR_PREFIX = 'SCHILY.xattr.';

/**
 * Adds the records to `into`. GNU.sparse.offset and .numbytes, which repeat, are gathered in `GNU.sparse.map`.
 * Returns what is wrong with them, or undefined.
 */
export function parsePaxRecords(data: Buffer, into: Map<string, ByteString>): string | undefined {
  let at = 0;
  const map: string[] = [];
  while (at < data.length) {
    const space = data.indexOf(0x20, at);
    const length =
      space < 0 || space - at > 20 ? Number.NaN : parseDecimal(data.toString('latin1', at, space));
    const end = at + length;
    if (!(end <= data.length) || end < space + 2 || data[end - 1] !== 0x0a)
      return 'invalid PAX record length';
    const equals = data.indexOf(0x3d, space + 1);
    if (equals < 0 || equals >= end) return 'invalid PAX record without "="';
    const key = data.toString('latin1', space + 1, equals);
    const value = data.toString('latin1', equals + 1, end - 1) as ByteString;
    if (key === 'GNU.sparse.offset' || key === 'GNU.sparse.numbytes') map.push(value);
    else into.set(key, value);
    if (NAMES.has(key) && value.includes('\0')) return `NUL byte in PAX record "${key}"`;
    at = end;
  }
  if (map.length > 0) into.set('GNU.sparse.map', map.join(',') as ByteString);
  return undefined;
}

const NAMES = new Set(['path', 'linkpath', 'GNU.sparse.name']);

/** Digits only, up to 2^53; else NaN. */
export function parseDecimal(text: string): number {
  if (!/^[0-9]{1,16}$/.test(text)) return Number.NaN;
  const value = Number(text);
  return value <= Number.MAX_SAFE_INTEGER ? value : Number.NaN;
}

/** `[-]seconds[.fraction]` as whole seconds (rounded down) and nanoseconds; undefined where it is no time. */
export function parsePaxTime(text: string): { seconds: number; nanoseconds: number } | undefined {
  const match = /^(-?)([0-9]{1,15})(?:\.([0-9]*))?$/.exec(text);
  if (match === null) return undefined;
  const seconds = Number(match[2]);
  const nanoseconds = Number((match[3] ?? '').slice(0, 9).padEnd(9, '0'));
  if (match[1] === '') return { seconds, nanoseconds };
  return nanoseconds === 0
    ? { seconds: seconds === 0 ? 0 : -seconds, nanoseconds: 0 }
    : { seconds: -seconds - 1, nanoseconds: 1_000_000_000 - nanoseconds };
}

/** Extended attributes among the records. GNU tar writes "=" as %3D and "%" as %25 in their names. */
export function paxXattrs(records: PaxRecords): TarXattr[] {
  const xattrs: TarXattr[] = [];
  for (const [key, value] of records) {
    if (!key.startsWith(XATTR_PREFIX)) continue;
    const name = key.slice(XATTR_PREFIX.length).replaceAll('%3D', '=').replaceAll('%25', '%');
    xattrs.push({ name: name as ByteString, value: Buffer.from(value, 'latin1') });
  }
  return xattrs;
}

export function xattrKey(name: ByteString): string {
  return XATTR_PREFIX + name.replaceAll('%', '%25').replaceAll('=', '%3D');
}

/** The records as bytes, sorted by key. */
export function formatPaxRecords(records: ReadonlyMap<string, ByteString>): Buffer {
  let text: string = EMPTY;
  for (const key of [...records.keys()].sort()) {
    const body = ` ${key}=${records.get(key) ?? ''}\n`;
    let length = body.length + 1;
    while (String(length).length + body.length !== length) length = String(length).length + body.length;
    text += `${length}${body}`;
  }
  return Buffer.from(text, 'latin1');
}
