/**
 * The length-prefixed messages of gRPC ("gRPC over HTTP2", section Length-Prefixed-Message): one byte that says whether
 * the message is compressed, four with its length, big-endian. Compression is never negotiated, and refused.
 */
import { GrpcError } from './status.ts';

/** What BuildKit's own clients and daemons take. */
export const MESSAGE_MAX_BYTES = 16 << 20;

const HEAD_BYTES = 5;

export function frame(message: Uint8Array): Buffer {
  const bytes = Buffer.allocUnsafe(HEAD_BYTES + message.length);
  bytes[0] = 0;
  bytes.writeUInt32BE(message.length, 1);
  bytes.set(message, HEAD_BYTES);
  return bytes;
}

/** So many small chunks are made one: each on its own costs a hundred times its byte. */
const SMALL_CHUNKS = 256;

/** Cuts a stream into its messages. Holds at most one incomplete message and the chunk that was pushed last. */
export class FrameReader {
  readonly #maxBytes: number;
  #parts: Buffer[] = [];
  #length = 0;
  /** Chunks at the end of `#parts` that were not made one yet. */
  #small = 0;

  constructor(maxBytes: number = MESSAGE_MAX_BYTES) {
    this.#maxBytes = maxBytes;
  }

  /** The messages that `chunk` completes. Throws ResourceExhausted for one that is announced as larger than the limit. */
  *push(chunk: Buffer): Generator<Buffer> {
    this.#parts.push(chunk);
    this.#length += chunk.length;
    this.#small += 1;
    if (this.#small >= SMALL_CHUNKS) {
      if (this.#parts.length >= SMALL_CHUNKS)
        this.#parts.push(Buffer.concat(this.#parts.splice(-SMALL_CHUNKS)));
      this.#small = 0;
    }
    for (;;) {
      if (this.#length < HEAD_BYTES) return;
      const head = this.#peekHead();
      const size = head.readUInt32BE(1);
      if (head[0] !== 0) throw new GrpcError('Unimplemented', 'compressed messages are not supported');
      if (size > this.#maxBytes) {
        throw new GrpcError(
          'ResourceExhausted',
          `received message larger than max (${size} vs. ${this.#maxBytes})`,
        );
      }
      if (this.#length < HEAD_BYTES + size) return;
      const bytes = this.#join();
      const rest = bytes.subarray(HEAD_BYTES + size);
      this.#parts = rest.length === 0 ? [] : [rest];
      this.#length = rest.length;
      yield bytes.subarray(HEAD_BYTES, HEAD_BYTES + size);
    }
  }

  /** Throws where the stream ended within a message. */
  end(): void {
    if (this.#length > 0) throw new GrpcError('Internal', 'the stream ended within a message');
  }

  #peekHead(): Buffer {
    const [first] = this.#parts;
    return first !== undefined && first.length >= HEAD_BYTES ? first : this.#join();
  }

  #join(): Buffer {
    const [first] = this.#parts;
    if (this.#parts.length === 1 && first !== undefined) return first;
    const joined = Buffer.concat(this.#parts, this.#length);
    this.#parts = [joined];
    return joined;
  }
}
