/**
 * The headers in rpm's oldest database format, `Packages`: a Berkeley DB hash of package numbers and headers. Every
 * page is looked at once; a header is mostly larger than a page and lies in a chain of overflow pages.
 */
import { InvalidParameterError } from '../../../base/errors.ts';
import type { TreeFile } from '../tree.ts';

const HASH_MAGIC = 0x061561;
const PAGE_HEADER_BYTES = 26;
const PAGE_TYPES = { unsortedHash: 2, overflow: 7, hash: 13 } as const;
const ITEM_ON_PAGE = 1;
const ITEM_OFF_PAGE = 3;
const MAX_PAGES = 1_048_576;

/** In the order of the pages. Throws InvalidParameter where it is no such database. */
export function* berkeleyBlobs(file: TreeFile, maxValueBytes: number): Generator<Buffer, void, undefined> {
  const meta = Buffer.alloc(512);
  if (file.read(meta, 0) < meta.length) throw broken('no header');
  const little = meta.readUInt32LE(12) === HASH_MAGIC;
  if (!little && meta.readUInt32BE(12) !== HASH_MAGIC) throw broken('it is no hash of Berkeley DB');
  const database = new BerkeleyFile(file, little, maxValueBytes);
  if (meta[24] !== 0) throw broken('it is encrypted');
  for (let number = 1; number < database.pageCount; number++) yield* database.values(number);
}

class BerkeleyFile {
  readonly pageCount: number;
  readonly #file: TreeFile;
  readonly #little: boolean;
  readonly #pageBytes: number;
  readonly #maxValueBytes: number;
  readonly #used = new Set<number>();

  constructor(file: TreeFile, little: boolean, maxValueBytes: number) {
    this.#file = file;
    this.#little = little;
    this.#maxValueBytes = maxValueBytes;
    const meta = Buffer.alloc(512);
    file.read(meta, 0);
    this.#pageBytes = this.#word(meta, 20);
    if (this.#pageBytes < 512 || this.#pageBytes > 65_536) throw broken('its page size');
    this.pageCount = Math.min(Math.floor(file.sizeBytes / this.#pageBytes), MAX_PAGES);
  }

  #word(data: Buffer, at: number): number {
    return this.#little ? data.readUInt32LE(at) : data.readUInt32BE(at);
  }

  #half(data: Buffer, at: number): number {
    return this.#little ? data.readUInt16LE(at) : data.readUInt16BE(at);
  }

  #page(number: number): Buffer {
    const page = Buffer.alloc(this.#pageBytes);
    if (number >= this.pageCount || this.#file.read(page, number * this.#pageBytes) < page.length)
      throw broken(`page ${number} is not there`);
    return page;
  }

  /** The values on a page of the hash; pages of other kinds have none. */
  *values(number: number): Generator<Buffer, void, undefined> {
    const page = this.#page(number);
    const type = page[25];
    if (type !== PAGE_TYPES.hash && type !== PAGE_TYPES.unsortedHash) return;
    const count = this.#half(page, 20);
    if (PAGE_HEADER_BYTES + count * 2 > page.length) throw broken(`page ${number} has too many entries`);
    // Keys and values take turns; items grow down from the page's end.
    for (let i = 1; i < count; i += 2) {
      const at = this.#half(page, PAGE_HEADER_BYTES + i * 2);
      const end = this.#half(page, PAGE_HEADER_BYTES + (i - 1) * 2);
      if (at >= page.length || end > page.length) throw broken(`an entry of page ${number}`);
      if (page[at] === ITEM_ON_PAGE && end > at) yield page.subarray(at + 1, end);
      else if (page[at] === ITEM_OFF_PAGE && at + 12 <= page.length) {
        const value = this.#chain(this.#word(page, at + 4), this.#word(page, at + 8));
        if (value !== undefined) yield value;
      }
    }
  }

  #chain(first: number, length: number): Buffer | undefined {
    if (length > this.#maxValueBytes) return undefined;
    const parts: Buffer[] = [];
    let left = length;
    for (let number = first; left > 0; ) {
      if (this.#used.has(number)) throw broken(`page ${number} is used twice`);
      this.#used.add(number);
      const page = this.#page(number);
      if (page[25] !== PAGE_TYPES.overflow) throw broken(`page ${number} is no overflow page`);
      const part = page.subarray(PAGE_HEADER_BYTES, PAGE_HEADER_BYTES + Math.min(this.#half(page, 22), left));
      if (part.length === 0) throw broken(`page ${number} is empty`);
      parts.push(part);
      left -= part.length;
      number = this.#word(page, 16);
    }
    return Buffer.concat(parts);
  }
}

function broken(what: string): InvalidParameterError {
  return new InvalidParameterError(`not a database that can be read: ${what}`);
}
