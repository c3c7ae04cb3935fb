/**
 * Reads the BLOB column of one table out of an SQLite database, by the file format (sqlite.org/fileformat2.html): the
 * schema on page 1, table b-trees, overflow pages, and a write-ahead log beside it. A database out of an image could
 * hold views, triggers or broken pages made to keep SQLite itself busy for ever; here every page is visited once and
 * every length is bounded, and nothing has to be copied out of the image.
 */
import { InvalidParameterError } from '../../../base/errors.ts';
import type { TreeFile } from '../tree.ts';
import { WalPages } from './sqlite-wal.ts';

const MAGIC = 'SQLite format 3\0';
const HEADER_BYTES = 100;
const LEAF_TABLE = 13;
const INTERIOR_TABLE = 5;

export interface BlobLimits {
  /** Larger values are left out. */
  maxValueBytes: number;
  maxPages: number;
}

interface Cell {
  payload: Buffer;
}

/** Throws InvalidParameter, saying what is wrong, where the file is no database that can be read to its end. */
export class SqliteTable {
  readonly #file: TreeFile;
  readonly #wal: WalPages | undefined;
  readonly #pageBytes: number;
  readonly #usableBytes: number;
  readonly #pageCount: number;
  readonly #limits: BlobLimits;

  constructor(file: TreeFile, wal: TreeFile | undefined, limits: BlobLimits) {
    this.#file = file;
    this.#limits = limits;
    const header = Buffer.alloc(HEADER_BYTES);
    if (file.read(header, 0) < HEADER_BYTES || header.toString('latin1', 0, 16) !== MAGIC)
      throw broken('no header');
    const size = header.readUInt16BE(16);
    this.#pageBytes = size === 1 ? 65_536 : size;
    if (this.#pageBytes < 512 || (this.#pageBytes & (this.#pageBytes - 1)) !== 0)
      throw broken('its page size');
    this.#usableBytes = this.#pageBytes - (header[20] ?? 0);
    if (this.#usableBytes < 480) throw broken('its page size');
    if (header.readUInt32BE(56) > 1) throw broken('it is not in UTF-8');
    this.#wal = wal === undefined ? undefined : WalPages.open(wal, this.#pageBytes);
    this.#pageCount = Math.max(Math.ceil(file.sizeBytes / this.#pageBytes), this.#wal?.pageCount ?? 0);
    if (this.#pageCount > limits.maxPages) throw broken(`it has more than ${limits.maxPages} pages`);
  }

  /** The BLOBs of a table's rows, one a row, in the order of their row IDs. Throws where there is no such table. */
  *blobs(table: string): Generator<Buffer, void, undefined> {
    const root = this.#rootOf(table);
    if (root === undefined) throw broken(`it has no table ${table}`);
    for (const { payload } of this.#cells(root)) {
      const blob = columns(payload).find((column) => Buffer.isBuffer(column));
      if (blob !== undefined) yield blob;
    }
  }

  /** sqlite_schema: type, name, tbl_name, rootpage, sql. */
  #rootOf(table: string): number | undefined {
    for (const { payload } of this.#cells(1)) {
      const [type, name, , root] = columns(payload);
      if (type === 'table' && name === table && typeof root === 'number') return root;
    }
    return undefined;
  }

  /** Every leaf cell of a table's b-tree. */
  *#cells(root: number): Generator<Cell, void, undefined> {
    const visited = new Set<number>();
    const pending = [root];
    for (let number = pending.pop(); number !== undefined; number = pending.pop()) {
      if (visited.has(number)) throw broken(`page ${number} is used twice`);
      visited.add(number);
      const page = this.#page(number);
      const start = number === 1 ? HEADER_BYTES : 0;
      const kind = page[start];
      const count = page.readUInt16BE(start + 3);
      const pointers = start + (kind === INTERIOR_TABLE ? 12 : 8);
      if (pointers + count * 2 > page.length) throw broken(`page ${number} has too many cells`);
      const cells = Array.from({ length: count }, (_, i) => page.readUInt16BE(pointers + i * 2));
      if (kind === INTERIOR_TABLE) {
        const children = cells.map((at) => readWord(page, at));
        pending.push(readWord(page, start + 8), ...children.reverse());
      } else if (kind === LEAF_TABLE) {
        for (const at of cells) {
          const payload = this.#payload(page, at, visited);
          if (payload !== undefined) yield { payload };
        }
      } else throw broken(`page ${number} is no page of a table`);
    }
  }

  /** Undefined where it is larger than the limit. */
  #payload(page: Buffer, cell: number, visited: Set<number>): Buffer | undefined {
    const size = varint(page, cell);
    const key = varint(page, size.next);
    const length = size.value;
    if (length > this.#limits.maxValueBytes) return undefined;
    const usable = this.#usableBytes;
    const maxLocal = usable - 35;
    if (length <= maxLocal) return slice(page, key.next, length);
    const minLocal = Math.floor(((usable - 12) * 32) / 255) - 23;
    const fitting = minLocal + ((length - minLocal) % (usable - 4));
    const local = fitting <= maxLocal ? fitting : minLocal;
    const parts = [slice(page, key.next, local)];
    let next = readWord(page, key.next + local);
    for (let left = length - local; left > 0; ) {
      if (visited.has(next)) throw broken(`page ${next} is used twice`);
      visited.add(next);
      const overflow = this.#page(next);
      const taken = Math.min(left, usable - 4);
      parts.push(slice(overflow, 4, taken));
      left -= taken;
      next = overflow.readUInt32BE(0);
    }
    return Buffer.concat(parts);
  }

  #page(number: number): Buffer {
    if (number < 1 || number > this.#pageCount) throw broken(`page ${number} is not there`);
    const page = Buffer.alloc(this.#pageBytes);
    const place = this.#wal?.place(number);
    const [file, position] = place ?? [this.#file, (number - 1) * this.#pageBytes];
    if (file.read(page, position) < page.length) throw broken(`page ${number} is cut short`);
    return page;
  }
}

/** The values of a record: numbers, text, BLOBs; null for all else. */
function columns(record: Buffer): (number | string | Buffer | null)[] {
  const head = varint(record, 0);
  const values: (number | string | Buffer | null)[] = [];
  let at = head.value;
  for (let place = head.next; place < head.value; ) {
    const type = varint(record, place);
    place = type.next;
    const length = lengthOf(type.value);
    const bytes = slice(record, at, length);
    at += length;
    if (type.value >= 12) values.push(type.value % 2 === 0 ? bytes : bytes.toString('utf8'));
    else if (type.value === 8 || type.value === 9) values.push(type.value - 8);
    else if (type.value >= 1 && type.value <= 6) values.push(bytes.readIntBE(0, Math.min(length, 6)));
    else values.push(null);
  }
  return values;
}

function lengthOf(type: number): number {
  if (type >= 12) return Math.floor((type - 12) / 2);
  return [0, 1, 2, 3, 4, 6, 8, 8, 0, 0, 0, 0][type] ?? 0;
}

function varint(data: Buffer, start: number): { value: number; next: number } {
  let value = 0;
  for (let i = 0; i < 9; i++) {
    const byte = data[start + i];
    if (byte === undefined) throw broken('a number is cut short');
    if (i === 8) return { value: value * 256 + byte, next: start + 9 };
    value = value * 128 + (byte & 0x7f);
    if (byte < 0x80) return { value, next: start + i + 1 };
  }
  throw broken('a number is cut short');
}

function slice(data: Buffer, start: number, length: number): Buffer {
  if (start + length > data.length) throw broken('a value is cut short');
  return data.subarray(start, start + length);
}

function readWord(data: Buffer, at: number): number {
  return slice(data, at, 4).readUInt32BE(0);
}

function broken(what: string): InvalidParameterError {
  return new InvalidParameterError(`not a database that can be read: ${what}`);
}
