/**
 * The maps of sparse files in GNU tar's formats (GNU tar manual, "Storing Sparse Files"): old GNU in header blocks, PAX
 * 0.0 and 0.1 in records, PAX 1.0 in front of the data.
 */
import { padding, readNumber } from './tar-format.ts';
import { parseDecimal } from './tar-pax.ts';

/** A stretch of a sparse file that is stored; all else is a hole. */
export interface SparseSegment {
  offset: number;
  length: number;
}

/** A map that comes in blocks. */
export interface SparseMap {
  readonly segments: SparseSegment[];
  /** Whether the map's blocks are counted among the file's stored bytes. */
  readonly isData: boolean;
  /** Takes the next block: true when the map is complete, false for more, a text for what is wrong. */
  push(block: Buffer): boolean | string;
}

export const SEGMENTS_MAX = 1024 * 1024;
const INVALID = 'invalid sparse map';

/** Old GNU: four segments in the header, 21 in each block that follows it. */
export class OldSparseMap implements SparseMap {
  readonly segments: SparseSegment[] = [];
  readonly isData = false;
  /** The file's size; NaN where that is no number. */
  readonly realSize: number;
  /** Whether the header says it all. */
  readonly isComplete: boolean;

  constructor(header: Buffer) {
    this.realSize = readNumber(header, [483, 12]);
    this.isComplete = header[482] === 0;
    this.#add(header, 386, 4);
  }

  push(block: Buffer): boolean | string {
    this.#add(block, 0, 21);
    if (this.segments.length > SEGMENTS_MAX) return 'sparse map is too large';
    return block[504] === 0;
  }

  #add(block: Buffer, from: number, count: number): void {
    for (let at = from; at < from + count * 24 && block[at] !== 0; at += 24) {
      this.segments.push({ offset: readNumber(block, [at, 12]), length: readNumber(block, [at + 12, 12]) });
    }
  }
}

/** PAX 1.0: decimal numbers on a line each, first how many segments there are, padded to whole blocks. */
export class PaxSparseMap implements SparseMap {
  readonly segments: SparseSegment[] = [];
  readonly isData = true;
  #count: number | undefined;
  #offset: number | undefined;
  /** The start of a number that goes on in the next block. */
  #rest = '';

  push(block: Buffer): boolean | string {
    const lines = (this.#rest + block.toString('latin1')).split('\n');
    this.#rest = lines.pop() ?? '';
    for (const line of lines) {
      if (this.#isComplete()) break;
      const value = parseDecimal(line);
      if (Number.isNaN(value)) return INVALID;
      if (this.#count === undefined) this.#count = value;
      else if (this.#offset === undefined) this.#offset = value;
      else {
        this.segments.push({ offset: this.#offset, length: value });
        this.#offset = undefined;
      }
    }
    if (this.#isComplete()) return true;
    return (this.#count ?? 0) > SEGMENTS_MAX || this.#rest.length > 20 ? INVALID : false;
  }

  #isComplete(): boolean {
    return this.#count === this.segments.length;
  }
}

/** The map of PAX 1.0 as it stands in front of the data, padded to whole blocks. */
export function formatSparseMap(segments: readonly SparseSegment[]): Buffer {
  const numbers = [segments.length, ...segments.flatMap(({ offset, length }) => [offset, length])];
  const text = numbers.map((number) => `${number}\n`).join('');
  return Buffer.from(text + '\0'.repeat(padding(text.length)), 'latin1');
}

/** `offset,length,…` of PAX sparse formats 0.0 and 0.1. */
export function parseSparseList(text: string): SparseSegment[] | undefined {
  const numbers = text === '' ? [] : text.split(',').map(parseDecimal);
  if (numbers.length % 2 !== 0 || numbers.some(Number.isNaN)) return undefined;
  const segments: SparseSegment[] = [];
  for (let i = 0; i < numbers.length; i += 2) {
    segments.push({ offset: numbers[i] ?? 0, length: numbers[i + 1] ?? 0 });
  }
  return segments;
}

/**
 * Whether the segments are in order, apart, inside `realSize` and `storedSize` bytes long together.
 * Returns what is wrong, or undefined.
 */
export function checkSparse(
  segments: readonly SparseSegment[],
  realSize: number,
  storedSize: number,
): string | undefined {
  let end = 0;
  let stored = 0;
  for (const { offset, length } of segments) {
    if (!(offset >= end) || !(offset + length <= realSize)) return 'invalid sparse map';
    end = offset + length;
    stored += length;
  }
  return stored === storedSize ? undefined : `sparse map of ${stored} bytes for ${storedSize} bytes of data`;
}
