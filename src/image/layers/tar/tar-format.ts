/**
 * The tar formats' common ground: what an entry is, where the fields of a 512-byte header block lie, and how numbers
 * and checksums are read and written (POSIX.1-2017 pax, "ustar Interchange Format"; GNU tar manual, "Basic Tar
 * Format"). Reading whole archives is in tar-reader.ts, writing in tar-writer.ts.
 */
import { InvalidParameterError } from '../../../base/errors.ts';
import type { ByteString } from './byte-string.ts';
import { printable } from './byte-string.ts';

export const BLOCK_BYTES = 512;

export type TarType = 'file' | 'hardlink' | 'symlink' | 'character' | 'block' | 'directory' | 'fifo';

export interface TarXattr {
  name: ByteString;
  value: Uint8Array;
}

export interface TarEntry {
  /** As the archive has it: not normalised, may end in a slash. */
  name: ByteString;
  type: TarType;
  /** Permission bits with set-ID and sticky. */
  mode: number;
  uid: number;
  gid: number;
  /** Bytes of a regular file's content, holes included; 0 for all else. */
  size: number;
  mtimeSec: number;
  /** 0 to 999,999,999, added to `mtimeSec` also where that is negative. */
  mtimeNsec: number;
  /** Target of a hard or symbolic link. */
  linkName: ByteString;
  deviceMajor: number;
  deviceMinor: number;
  xattrs: readonly TarXattr[];
}

/** Name, offset and length of the header's fields. */
export const FIELD = {
  name: [0, 100],
  mode: [100, 8],
  uid: [108, 8],
  gid: [116, 8],
  size: [124, 12],
  mtime: [136, 12],
  checksum: [148, 8],
  type: [156, 1],
  linkName: [157, 100],
  magic: [257, 8],
  deviceMajor: [329, 8],
  deviceMinor: [337, 8],
  prefix: [345, 155],
  starPrefix: [345, 131],
  starTrailer: [508, 4],
} as const;

type Field = readonly [offset: number, length: number];

/** The error for an archive that is not what it should be, naming the entry (where known) and the header's offset. */
export function tarError(text: string, offset: number, name?: ByteString): InvalidParameterError {
  const entry = name === undefined ? 'tar' : `tar entry ${printable(name)}`;
  return new InvalidParameterError(`${entry} at offset ${offset}: ${text}`);
}

/** A field's bytes up to the first NUL. */
export function readString(block: Buffer, [offset, length]: Field): ByteString {
  let end = offset;
  while (end < offset + length && block[end] !== 0) end++;
  return block.toString('latin1', offset, end) as ByteString;
}

/** GNU's base-256: the first byte has its top bit set; 0x40 is the sign. NaN beyond 2^53. */
function readBase256(block: Buffer, [offset, length]: Field): number {
  const negative = ((block[offset] ?? 0) & 0x40) !== 0;
  const invert = negative ? 0xff : 0;
  let value = 0;
  for (let i = 0; i < length; i++) {
    let byte = (block[offset + i] ?? 0) ^ invert;
    if (i === 0) byte &= 0x7f;
    value = value * 256 + byte;
  }
  if (value > Number.MAX_SAFE_INTEGER) return Number.NaN;
  return negative ? -value - 1 : value;
}

/** Octal digits with spaces or NULs around them, or base-256. Empty is 0; anything else is NaN. */
export function readNumber(block: Buffer, field: Field): number {
  const [offset, length] = field;
  if ((block[offset] ?? 0) & 0x80) return readBase256(block, field);
  let at = offset;
  let end = offset + length;
  while (at < end && (block[at] === 0x20 || block[at] === 0)) at++;
  while (end > at && (block[end - 1] === 0x20 || block[end - 1] === 0)) end--;
  let value = 0;
  for (; at < end; at++) {
    const digit = (block[at] ?? 0) - 0x30;
    /* Some writers leave remains of a longer number behind the first NUL. */
    if (block[at] === 0 || block[at] === 0x20) return value;
    if (digit < 0 || digit > 7) return Number.NaN;
    value = value * 8 + digit;
  }
  return value;
}

/** Whether the header's checksum is right: the sum of its bytes, unsigned or (historic) signed. */
export function checksumMatches(block: Buffer): boolean {
  const expected = readNumber(block, FIELD.checksum);
  const [from, length] = FIELD.checksum;
  let unsigned = 0;
  let high = 0;
  for (let i = 0; i < BLOCK_BYTES; i++) {
    const byte = i >= from && i < from + length ? 0x20 : (block[i] ?? 0);
    unsigned += byte;
    high += byte >> 7;
  }
  return expected === unsigned || expected === unsigned - 256 * high;
}

export function isZeroBlock(block: Buffer): boolean {
  return block.equals(ZERO_BLOCK);
}

export const ZERO_BLOCK = Buffer.alloc(BLOCK_BYTES);

/** Bytes that fill `size` up to whole blocks. */
export function padding(size: number): number {
  return (BLOCK_BYTES - (size % BLOCK_BYTES)) % BLOCK_BYTES;
}
