/**
 * The bytes of a request's body that is kept in memory, as they come. However small the pieces are that a client sends,
 * they take no more room than their bytes: each piece on its own would cost a hundred times that. All bodies on their way
 * together have a limit.
 */
import { UnavailableError } from '../base/errors.ts';

const FIRST_BYTES = 4096;
/** Of all requests together. */
const TOTAL_MAX_BYTES = 128 * 1024 * 1024;

let totalBytes = 0;

export class BodyBuffer {
  #buffer = Buffer.alloc(0);
  #length = 0;

  get length(): number {
    return this.#length;
  }

  /** Throws Unavailable where the bodies of all clients are too much together. `release` must follow either way. */
  add(piece: Uint8Array): void {
    const needed = this.#length + piece.length;
    if (needed > this.#buffer.length) this.#grow(needed);
    this.#buffer.set(piece, this.#length);
    this.#length = needed;
  }

  /** What has come so far; it stays as it is when more comes. */
  bytes(): Buffer {
    return this.#buffer.subarray(0, this.#length);
  }

  /** Stops counting it as one on its way. */
  release(): void {
    totalBytes -= this.#buffer.length;
    this.#buffer = Buffer.alloc(0);
    this.#length = 0;
  }

  #grow(needed: number): void {
    const size = Math.max(FIRST_BYTES, needed, this.#buffer.length * 2);
    const more = size - this.#buffer.length;
    if (totalBytes + more > TOTAL_MAX_BYTES) {
      throw new UnavailableError(
        'cannot read the request body: too many large ones are on their way, try again',
      );
    }
    const grown = Buffer.allocUnsafeSlow(size);
    this.#buffer.copy(grown, 0, 0, this.#length);
    this.#buffer = grown;
    totalBytes += more;
  }
}
