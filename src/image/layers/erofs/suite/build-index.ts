/** What the tests of the index share: an index of a tar in memory, and what it says, entry by entry. */
import type { ByteString } from '../../tar/byte-string.ts';
import { TarReader } from '../../tar/tar-reader.ts';
import { type IndexInode, IndexReader } from '../index-reader.ts';
import { type TarIndex, TarIndexer } from '../tar-index.ts';

export interface BuiltIndex extends TarIndex {
  tar: Buffer;
  /** The spill file, holes as zeros. */
  spill: () => Buffer;
}

/** Reads the tar in pieces of `step` bytes. */
export function buildIndex(tar: Buffer, step = 65_537): BuiltIndex {
  const pieces: { data: Buffer; position: number }[] = [];
  const indexer = new TarIndexer({
    spill: (data, position) => pieces.push({ data: Buffer.from(data), position }),
  });
  const reader = new TarReader(indexer);
  for (let at = 0; at < tar.length; at += step) reader.push(tar.subarray(at, at + step));
  reader.finish();
  const index = indexer.finish();
  const spill = (): Buffer => {
    const file = Buffer.alloc(index.spillBytes);
    for (const { data, position } of pieces) data.copy(file, position);
    return file;
  };
  return { ...index, tar, spill };
}

/** What an entry is, as one line, without its content. Whiteouts are `whiteout`, whatever their attributes. */
export function describeEntry(reader: IndexReader, inode: IndexInode): string {
  if (reader.isWhiteout(inode)) return 'whiteout';
  const { type, mode, uid, gid, mtimeSec, mtimeNsec, links } = inode;
  const parts = [type, mode.toString(8), `${uid}:${gid}`, `${mtimeSec}.${mtimeNsec}`, `${links} links`];
  if (type === 'file') parts.push(`${inode.sizeBytes} bytes`);
  if (type === 'symlink') parts.push(`to ${reader.linkTarget(inode)}`);
  if (type === 'character' || type === 'block') parts.push(`${inode.deviceMajor}:${inode.deviceMinor}`);
  for (const { name, value } of reader.xattrs(inode)) {
    parts.push(`${name}=${Buffer.from(value).toString('hex')}`);
  }
  return parts.join(' ');
}

/** All entries of an index by path; the root is ''. */
export function describeIndex(index: Uint8Array): Map<ByteString, string> {
  const reader = new IndexReader(index);
  return new Map([...reader.walk()].map(({ path, inode }) => [path, describeEntry(reader, inode)]));
}

/** A file's content, out of what the devices hold. */
export function readContent(reader: IndexReader, file: IndexInode, devices: readonly Buffer[]): Buffer {
  const pieces = reader.extents(file).map(({ device, offset, length }) => {
    const piece = Buffer.alloc(length);
    devices[device]?.copy(piece, 0, offset, offset + length);
    return piece;
  });
  return Buffer.concat(pieces);
}

/** Numbers from 0 up to 1 that the seed alone decides (mulberry32). */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
