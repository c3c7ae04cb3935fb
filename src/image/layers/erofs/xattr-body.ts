/**
 * Extended attributes as EROFS stores them beside an inode: a header of 12 bytes, then entries of name length, prefix,
 * value length (2), name without its prefix, value, each aligned to 4. Which attributes an entry of a tar may set is
 * decided in ../entry-xattrs.ts.
 */
import type { ByteString } from '../tar/byte-string.ts';

export interface Xattr {
  name: ByteString;
  value: Uint8Array;
}

const HEADER_BYTES = 12;
const ENTRY_BYTES = 4;
/** e_name_index of the kernel; the first that fits wins. */
const PREFIXES: readonly (readonly [prefix: string, index: number])[] = [
  ['user.', 1],
  ['system.posix_acl_access', 2],
  ['system.posix_acl_default', 3],
  ['trusted.', 4],
  ['security.', 6],
];
const PREFIX_OF: ReadonlyMap<number, string> = new Map(PREFIXES.map(([prefix, index]) => [index, prefix]));

/** The largest value: its length has 16 bits. */
export const XATTR_VALUE_MAX = 0xffff;
/** i_xattr_icount has 16 bits and counts words of 4 bytes, the header as one. */
export const XATTR_BODY_MAX = HEADER_BYTES + (0xffff - 1) * 4;

/** Bytes of a body, of the i_xattr_icount that an inode has. */
export function xattrBodyBytes(count: number): number {
  return count === 0 ? 0 : HEADER_BYTES + (count - 1) * 4;
}

/** i_xattr_icount of a body. */
export function xattrCount(bodyBytes: number): number {
  return bodyBytes === 0 ? 0 : (bodyBytes - HEADER_BYTES) / 4 + 1;
}

function prefixOf(name: string): readonly [prefix: string, index: number] | undefined {
  return PREFIXES.find(([prefix]) => (prefix.endsWith('.') ? name.startsWith(prefix) : name === prefix));
}

/** Whether the format can hold an attribute of this name. */
export function isStorable(name: string): boolean {
  return prefixOf(name) !== undefined;
}

/** The attributes, sorted by name, as one body; empty for none. Their names must be storable, their values fit. */
export function encodeXattrs(xattrs: readonly Xattr[]): Buffer {
  if (xattrs.length === 0) return Buffer.alloc(0);
  const sorted = xattrs.toSorted((a, b) => (a.name < b.name ? -1 : 1));
  let size = HEADER_BYTES;
  for (const { name, value } of sorted) size += entryBytes(suffix(name).length, value.length);
  const body = Buffer.alloc(size);
  /* The header stays 0: no shared attributes, and a name filter that excludes none. */
  let at = HEADER_BYTES;
  for (const { name, value } of sorted) {
    const rest = suffix(name);
    body[at] = rest.length;
    body[at + 1] = prefixOf(name)?.[1] ?? 0;
    body.writeUInt16LE(value.length, at + 2);
    body.write(rest, at + ENTRY_BYTES, 'latin1');
    body.set(value, at + ENTRY_BYTES + rest.length);
    at += entryBytes(rest.length, value.length);
  }
  return body;
}

function suffix(name: string): string {
  return name.slice(prefixOf(name)?.[0].length ?? 0);
}

function entryBytes(nameBytes: number, valueBytes: number): number {
  return (ENTRY_BYTES + nameBytes + valueBytes + 3) & ~3;
}

/** The attributes of a body, values as views into it; undefined where it is damaged. */
export function decodeXattrs(body: Buffer): Xattr[] | undefined {
  const xattrs: Xattr[] = [];
  if (body.length === 0) return xattrs;
  /* Byte 4 counts shared attributes, of which an index has none. */
  if (body.length < HEADER_BYTES || body[4] !== 0) return undefined;
  for (let at = HEADER_BYTES; at < body.length; ) {
    if (at + ENTRY_BYTES > body.length) return undefined;
    const nameBytes = body[at] ?? 0;
    const prefix = PREFIX_OF.get(body[at + 1] ?? 0);
    const valueBytes = body.readUInt16LE(at + 2);
    const value = at + ENTRY_BYTES + nameBytes;
    if (prefix === undefined || value + valueBytes > body.length) return undefined;
    const name = `${prefix}${body.toString('latin1', at + ENTRY_BYTES, value)}` as ByteString;
    xattrs.push({ name, value: body.subarray(value, value + valueBytes) });
    at += entryBytes(nameBytes, valueBytes);
  }
  return xattrs;
}
