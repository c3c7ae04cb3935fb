/**
 * The multiplexed stream of attach, exec and logs without a terminal: frames of an 8-byte header (stream code,
 * three zero bytes, payload length as a big-endian u32) and the payload. Media type
 * `application/vnd.docker.multiplexed-stream`; with a terminal the bytes are raw.
 */

export const STREAM_STDIN = 0;
export const STREAM_STDOUT = 1;
export const STREAM_STDERR = 2;
/** An error of the daemon in the middle of a stream; the payload is its message. */
export const STREAM_SYSTEM_ERROR = 3;

export type StreamCode = 0 | 1 | 2 | 3;

export const FRAME_HEADER_BYTES = 8;
export const MULTIPLEXED_STREAM_TYPE = 'application/vnd.docker.multiplexed-stream';
export const RAW_STREAM_TYPE = 'application/vnd.docker.raw-stream';

/** The header that announces `length` bytes of `code`. */
export function encodeFrameHeader(code: StreamCode, length: number): Buffer {
  const header = Buffer.alloc(FRAME_HEADER_BYTES);
  header[0] = code;
  header.writeUInt32BE(length, 4);
  return header;
}

/** Header and payload in one buffer. */
export function encodeFrame(code: StreamCode, payload: Uint8Array): Buffer {
  const frame = Buffer.allocUnsafe(FRAME_HEADER_BYTES + payload.length);
  frame.writeUInt32BE(code * 0x1000000, 0);
  frame.writeUInt32BE(payload.length, 4);
  frame.set(payload, FRAME_HEADER_BYTES);
  return frame;
}

/**
 * Splits a multiplexed byte stream. `push` calls the sink once for each run of payload bytes that lies in the
 * chunk: a frame may arrive in several calls, nothing is copied or held back, so that a view given to the sink
 * lives as long as the chunk. An unknown stream code throws: the stream is raw or out of step.
 */
export class FrameDecoder {
  readonly #sink: (code: StreamCode, payload: Buffer) => void;
  readonly #header = Buffer.alloc(FRAME_HEADER_BYTES);
  #headerBytes = 0;
  #code: StreamCode = STREAM_STDOUT;
  #left = 0;

  constructor(sink: (code: StreamCode, payload: Buffer) => void) {
    this.#sink = sink;
  }

  push(chunk: Buffer): void {
    let at = 0;
    while (at < chunk.length) {
      if (this.#left === 0) {
        at = this.#readHeader(chunk, at);
        continue;
      }
      const end = Math.min(at + this.#left, chunk.length);
      this.#left -= end - at;
      this.#sink(this.#code, chunk.subarray(at, end));
      at = end;
    }
  }

  /** True between frames: a stream that ends elsewhere was cut. */
  get complete(): boolean {
    return this.#left === 0 && this.#headerBytes === 0;
  }

  /** Takes header bytes from `at`; returns where the rest of the chunk begins. */
  #readHeader(chunk: Buffer, at: number): number {
    const take = Math.min(FRAME_HEADER_BYTES - this.#headerBytes, chunk.length - at);
    chunk.copy(this.#header, this.#headerBytes, at, at + take);
    this.#headerBytes += take;
    if (this.#headerBytes < FRAME_HEADER_BYTES) return at + take;
    this.#headerBytes = 0;
    const code = this.#header[0];
    if (code !== 0 && code !== 1 && code !== 2 && code !== 3) {
      throw new Error(`multiplexed stream: unknown stream code ${code}`);
    }
    this.#code = code;
    this.#left = this.#header.readUInt32BE(4);
    return at + take;
  }
}
