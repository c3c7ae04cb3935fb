/**
 * Growing arrays of bytes: records of one size, and texts one behind the other. Millions of entries take a fixed number
 * of bytes each here, where objects would take many times as much.
 */

/** Records of `bytes` bytes; number 0 is kept free, so that 0 can mean none. */
export class Records {
  readonly bytes: number;
  /** Valid until the next `add`. */
  view: DataView;
  buffer: Buffer;
  /** The number of the next record. */
  count = 1;

  constructor(bytes: number, capacity = 256) {
    this.bytes = bytes;
    this.buffer = Buffer.alloc(bytes * capacity);
    this.view = viewOf(this.buffer);
  }

  /** A new record of zeros; returns where it begins. */
  add(): number {
    const at = this.count * this.bytes;
    if (at + this.bytes > this.buffer.length) {
      const grown = Buffer.alloc(this.buffer.length * 2);
      this.buffer.copy(grown, 0, 0, at);
      this.buffer = grown;
      this.view = viewOf(grown);
    }
    this.count++;
    return at;
  }
}

export class Texts {
  buffer = Buffer.allocUnsafe(4096);
  used = 0;

  /** Makes room for `length` more bytes, which the caller may write behind `used`. */
  reserve(length: number): void {
    const needed = this.used + length;
    if (needed <= this.buffer.length) return;
    const grown = Buffer.allocUnsafe(Math.max(needed, this.buffer.length * 2));
    this.buffer.copy(grown, 0, 0, this.used);
    this.buffer = grown;
  }

  /** Appends; returns where it begins. */
  add(bytes: Uint8Array): number {
    this.reserve(bytes.length);
    this.buffer.set(bytes, this.used);
    this.used += bytes.length;
    return this.used - bytes.length;
  }

  addRange(from: Buffer, start: number, end: number): number {
    this.reserve(end - start);
    copyBytes(from, start, end, this.buffer, this.used);
    this.used += end - start;
    return this.used - (end - start);
  }

  addString(text: string): number {
    this.reserve(text.length);
    this.buffer.write(text, this.used, 'latin1');
    this.used += text.length;
    return this.used - text.length;
  }
}

/** For short ranges a loop is many times as fast as Buffer.copy, which makes objects. */
const COPY_BY_LOOP = 128;

export function copyBytes(from: Buffer, start: number, end: number, to: Buffer, at: number): void {
  if (end - start > COPY_BY_LOOP) {
    from.copy(to, at, start, end);
    return;
  }
  for (let i = start, into = at; i < end; i++, into++) to[into] = from[i] ?? 0;
}

/** Copies `count` words of 4 bytes. */
export function copyWords(from: DataView, start: number, count: number, to: DataView, at: number): void {
  for (let i = 0; i < count * 4; i += 4) to.setUint32(at + i, from.getUint32(start + i, true), true);
}

function viewOf(buffer: Buffer): DataView {
  return new DataView(buffer.buffer, buffer.byteOffset, buffer.byteLength);
}
