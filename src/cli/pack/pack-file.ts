/**
 * dist/mydock.pack: the client in chunks, each with its compiled code, which was taken after typical commands had run:
 * a command reads and deserialises what it needs, and compiles next to nothing. Text and code stand in one file, so
 * that neither can meet the other's older version: V8 compares no more than the text's length.
 *
 * Layout: a head of three 32-bit numbers (little endian: magic, bytes of the index, bytes up to the end of what common
 * commands need), the index (JSON), then texts (Latin-1) and codes, each at a multiple of 8 bytes.
 */
import { openSync, readSync } from 'node:fs';

export const MAGIC = 0x314b504d;
export const HEAD_BYTES = 12;

export interface PackIndex {
  /** The Node that compiled the codes; for another they are not there. */
  readonly node: string;
  /** Offsets and lengths in bytes from the beginning of the file: of the text, and of the code. */
  readonly chunks: Readonly<Record<string, readonly [number, number, number, number]>>;
}

export interface Chunk {
  readonly text: string;
  readonly code: Buffer | undefined;
}

/** Stands in the index: V8 itself tells its own version and flags apart, not what Node has changed in it. */
export const THIS_NODE = `${process.version} ${process.arch}`;

/** Reads chunks of the file by their names. Throws where it is no pack, or has no such chunk. */
export function openPack(path: string): (name: string) => Chunk {
  // Open for as long as the process lives: an upgrade may replace the file by then.
  const file = openSync(path, 'r');
  const read = (from: number, bytes: number): Buffer => {
    const buffer = Buffer.allocUnsafeSlow(bytes);
    if (readSync(file, buffer, 0, bytes, from) !== bytes) throw new Error(`${path} is cut short`);
    return buffer;
  };
  const head = read(0, HEAD_BYTES);
  if (head.readUInt32LE(0) !== MAGIC) throw new Error(`${path} is not a program of mydock`);
  const indexEnd = HEAD_BYTES + head.readUInt32LE(4);
  const common = read(0, head.readUInt32LE(8));
  const index = JSON.parse(common.toString('latin1', HEAD_BYTES, indexEnd)) as PackIndex;
  const part = (from: number, bytes: number): Buffer =>
    from + bytes <= common.length ? common.subarray(from, from + bytes) : read(from, bytes);
  return (name) => {
    const place = index.chunks[name];
    if (place === undefined) throw new Error(`${path} has no ${name}`);
    const [from, bytes, codeFrom, codeBytes] = place;
    const code = index.node === THIS_NODE ? part(codeFrom, codeBytes) : undefined;
    return { text: part(from, bytes).toString('latin1'), code };
  };
}
