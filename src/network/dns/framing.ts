/** Messages in a TCP stream: each behind its length in two bytes (RFC 1035, section 4.2.2; RFC 7766). */
export function framed(message: Uint8Array): Buffer {
  const head = Buffer.alloc(2);
  head.writeUInt16BE(message.length);
  return Buffer.concat([head, message]);
}

/** A header: what is shorter is no message, and many of them would cost more to keep than to send. */
const MESSAGE_BYTES_MIN = 12;

export class MessageReader {
  readonly #maxBytes: number;
  #rest: Buffer = Buffer.alloc(0);
  #overflowed = false;

  /** Messages that are announced as longer than `maxBytes`, or as shorter than a header, end the reading. */
  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** Nothing that comes from now on is read. */
  get overflowed(): boolean {
    return this.#overflowed;
  }

  /** The messages that `chunk` completes. */
  push(chunk: Buffer): Buffer[] {
    if (this.#overflowed) return [];
    let rest = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    const messages: Buffer[] = [];
    while (rest.length >= 2) {
      const length = rest.readUInt16BE(0);
      if (length > this.#maxBytes || length < MESSAGE_BYTES_MIN) {
        this.#overflowed = true;
        this.#rest = Buffer.alloc(0);
        return messages;
      }
      if (rest.length < 2 + length) break;
      messages.push(rest.subarray(2, 2 + length));
      rest = rest.subarray(2 + length);
    }
    // A copy, so that a few bytes do not keep the whole chunk.
    this.#rest = Buffer.from(rest);
    return messages;
  }
}
