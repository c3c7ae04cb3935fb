/**
 * Goes through one directory of an index, entry by entry in the order of the bytes of the names, which is the order that
 * they have in it. Each entry is checked: names that are no names, or out of order, are damage.
 */
import { BLOCK_BYTES, DIRENT, DIRENT_BYTES, NAME_MAX } from './format.ts';
import type { IndexImage } from './index-image.ts';

const SLASH = 0x2f;
const DOT = 0x2e;

export class DirectoryCursor {
  readonly image: IndexImage;
  readonly #nid: number;
  readonly #start: number;
  readonly #end: number;
  /** The block at hand, its end, its next entry and the end of its entries. */
  #block: number;
  #blockEnd = 0;
  #next = 0;
  #entriesEnd = 0;
  /** The entry at hand: its inode's number, and where its name lies in the image's bytes. */
  nid = 0;
  nameStart = 0;
  nameEnd = 0;

  /** `at`: where the directory's inode lies (IndexImage.inodeAt). */
  constructor(image: IndexImage, at: number, nid: number) {
    this.image = image;
    this.#nid = nid;
    this.#start = image.dataAt(at);
    this.#block = this.#start;
    this.#end = this.#block + image.size(at);
    this.#openBlock();
  }

  #openBlock(): void {
    if (this.#block >= this.#end) return;
    this.#blockEnd = Math.min(this.#block + BLOCK_BYTES, this.#end);
    const isRoomy = this.#block + DIRENT_BYTES <= this.#blockEnd;
    const entriesBytes = isRoomy ? this.#nameOffset(this.#block) : 0;
    const fits = this.#block + entriesBytes <= this.#blockEnd;
    if (entriesBytes < DIRENT_BYTES || entriesBytes % DIRENT_BYTES !== 0 || !fits) throw this.#damaged();
    this.#next = this.#block;
    this.#entriesEnd = this.#block + entriesBytes;
  }

  #nameOffset(entry: number): number {
    return this.image.view.getUint16(entry + DIRENT.nameOffset, true);
  }

  #damaged(): Error {
    return this.image.damaged(`directory ${this.#nid}`);
  }

  /** Moves to the next entry that is not "." or ".."; false at the end. */
  advance(): boolean {
    for (;;) {
      if (this.#next === this.#entriesEnd) {
        this.#block += BLOCK_BYTES;
        if (this.#block >= this.#end) return false;
        this.#openBlock();
      }
      this.#read();
      if (!this.#isDots()) return true;
    }
  }

  /** Moves to the entry of a name; false where there is none. Looks at few blocks. */
  find(name: Buffer): boolean {
    let low = 0;
    let high = Math.ceil((this.#end - this.#start) / BLOCK_BYTES) - 1;
    /* The last block that does not begin behind the name. */
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      this.#jump(middle);
      this.#read();
      if (this.#compareTo(name) <= 0) low = middle;
      else high = middle - 1;
    }
    this.#jump(low);
    while (this.#next < this.#entriesEnd) {
      this.#read();
      const order = this.#compareTo(name);
      if (order >= 0) return order === 0;
    }
    return false;
  }

  #jump(block: number): void {
    this.#block = this.#start + block * BLOCK_BYTES;
    this.nameEnd = 0;
    this.#openBlock();
  }

  #compareTo(name: Buffer): number {
    return compareBytes(this.image.bytes, this.nameStart, this.nameEnd, name, 0, name.length);
  }

  #read(): void {
    const { view, bytes } = this.image;
    const entry = this.#next;
    const previousStart = this.nameStart;
    const previousEnd = this.nameEnd;
    this.#next += DIRENT_BYTES;
    this.nid = view.getUint32(entry + DIRENT.nid, true);
    if (view.getUint32(entry + DIRENT.nid + 4, true) !== 0) throw this.#damaged();
    const start = this.#block + this.#nameOffset(entry);
    let end = this.#blockEnd;
    if (this.#next < this.#entriesEnd) end = this.#block + this.#nameOffset(this.#next);
    else {
      /* The last name of a block ends at a NUL, where not at the block's end. */
      const limit = end;
      end = start;
      while (end < limit && bytes[end] !== 0) end++;
    }
    if (start < this.#entriesEnd || end <= start || end > this.#blockEnd || end - start > NAME_MAX) {
      throw this.#damaged();
    }
    this.nameStart = start;
    this.nameEnd = end;
    for (let i = start; i < end; i++) if (bytes[i] === 0 || bytes[i] === SLASH) throw this.#damaged();
    if (previousEnd > 0 && compareBytes(bytes, previousStart, previousEnd, bytes, start, end) >= 0) {
      throw this.#damaged();
    }
  }

  #isDots(): boolean {
    const { bytes } = this.image;
    const length = this.nameEnd - this.nameStart;
    if (length > 2 || bytes[this.nameStart] !== DOT) return false;
    return length === 1 || bytes[this.nameStart + 1] === DOT;
  }

  /** Like a comparison of the two names at hand. */
  compare(other: DirectoryCursor): number {
    const [a, b] = [this.image.bytes, other.image.bytes];
    return compareBytes(a, this.nameStart, this.nameEnd, b, other.nameStart, other.nameEnd);
  }
}

function compareBytes(
  a: Buffer,
  startA: number,
  endA: number,
  b: Buffer,
  startB: number,
  endB: number,
): number {
  const common = Math.min(endA - startA, endB - startB);
  for (let i = 0; i < common; i++) {
    const difference = (a[startA + i] ?? 0) - (b[startB + i] ?? 0);
    if (difference !== 0) return difference;
  }
  return endA - startA - (endB - startB);
}
