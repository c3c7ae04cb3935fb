/**
 * The pages in a write-ahead log of SQLite (sqlite.org/fileformat2.html, section 4): the newest version of every page
 * up to the last commit whose frames have the log's salts and checksums.
 */
import type { TreeFile } from '../tree.ts';

const MAGIC = 0x377f0682;
const HEADER_BYTES = 32;
const FRAME_HEADER_BYTES = 24;
const MAX_FRAMES = 262_144;

export class WalPages {
  readonly #file: TreeFile;
  readonly #places: ReadonlyMap<number, number>;
  /** Size of the database after the last commit, in pages. */
  readonly pageCount: number;

  private constructor(file: TreeFile, places: ReadonlyMap<number, number>, pageCount: number) {
    this.#file = file;
    this.#places = places;
    this.pageCount = pageCount;
  }

  /** Undefined where there is nothing committed in it that counts. */
  static open(file: TreeFile, pageBytes: number): WalPages | undefined {
    const header = Buffer.alloc(HEADER_BYTES);
    if (file.read(header, 0) < HEADER_BYTES || header.readUInt32BE(8) !== pageBytes) return undefined;
    const isBigEndian = header.readUInt32BE(0) === MAGIC + 1;
    if (!isBigEndian && header.readUInt32BE(0) !== MAGIC) return undefined;
    let sum = checksum(header.subarray(0, 24), [0, 0], isBigEndian);
    if (!isSum(header, 24, sum)) return undefined;
    const frame = Buffer.alloc(FRAME_HEADER_BYTES + pageBytes);
    const committed = new Map<number, number>();
    const pending = new Map<number, number>();
    let pageCount = 0;
    for (let i = 0; i < MAX_FRAMES; i++) {
      const position = HEADER_BYTES + i * frame.length;
      if (file.read(frame, position) < frame.length) break;
      if (frame.compare(header, 16, 24, 8, 16) !== 0) break;
      sum = checksum(frame.subarray(0, 8), sum, isBigEndian);
      sum = checksum(frame.subarray(FRAME_HEADER_BYTES), sum, isBigEndian);
      if (!isSum(frame, 16, sum)) break;
      pending.set(frame.readUInt32BE(0), position + FRAME_HEADER_BYTES);
      const size = frame.readUInt32BE(4);
      if (size === 0) continue;
      for (const [page, place] of pending) committed.set(page, place);
      pending.clear();
      pageCount = size;
    }
    return committed.size === 0 ? undefined : new WalPages(file, committed, pageCount);
  }

  place(page: number): [TreeFile, number] | undefined {
    const position = this.#places.get(page);
    return position === undefined ? undefined : [this.#file, position];
  }
}

type Sum = [number, number];

function checksum(data: Buffer, [first, second]: Sum, isBigEndian: boolean): Sum {
  let [a, b] = [first, second];
  for (let at = 0; at + 8 <= data.length; at += 8) {
    a = (a + (isBigEndian ? data.readUInt32BE(at) : data.readUInt32LE(at)) + b) >>> 0;
    b = (b + (isBigEndian ? data.readUInt32BE(at + 4) : data.readUInt32LE(at + 4)) + a) >>> 0;
  }
  return [a, b];
}

function isSum(data: Buffer, at: number, [a, b]: Sum): boolean {
  return data.readUInt32BE(at) === a && data.readUInt32BE(at + 4) === b;
}
