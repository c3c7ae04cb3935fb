/**
 * Inflates layers as they come: gzip (any number of members), zstd (any number of frames, skippable ones too), none.
 * gzip is inflated on the calling thread, a chunk at a time (native/addon/gzip.c); zstd by Node, on the thread pool.
 */
import { createZstdDecompress, type ZstdDecompress } from 'node:zlib';
import { errorMessage, InvalidParameterError, NotImplementedError } from '../../../base/errors.ts';
import { addon } from '../../../native/addon.ts';
import type { LayerCompression } from '../snapshotter.ts';

type GzipReader = { readonly __brand: 'GzipReader' };

/** The functions of native/addon/inflate.c. */
interface GzipAddon {
  gzipOpen(): GzipReader;
  /**
   * Inflates until the input or the output is used up; `counts` becomes the bytes consumed and produced. A full output
   * may have more behind it. Returns what is wrong with the data, or null.
   */
  gzipStep(reader: GzipReader, input: Uint8Array, output: Uint8Array, counts: Uint32Array): string | null;
  /** Whether the input may end here. */
  gzipComplete(reader: GzipReader): boolean;
}

export interface InflateOptions {
  /** Every chunk is valid only until the next one is asked for: for readers that copy, hash or write at once. */
  reuse?: boolean;
}

const CHUNK_BYTES = 256 * 1024;
/** Chunks that may wait for the reader. */
const CHUNKS_AHEAD = 4;

/** What compresses a stream, by its first bytes (at least 6, where there are as many). */
export function detectCompression(head: Uint8Array): LayerCompression {
  const [a, b, c, d, e, f] = head;
  if (a === 0x1f && b === 0x8b) return 'gzip';
  if (a === 0x28 && b === 0xb5 && c === 0x2f && d === 0xfd) return 'zstd';
  if (a !== undefined && (a & 0xf0) === 0x50 && b === 0x2a && c === 0x4d && d === 0x18) return 'zstd';
  if (a === 0x42 && b === 0x5a && c === 0x68)
    throw new NotImplementedError('bzip2 compression is not implemented');
  if (a === 0xfd && b === 0x37 && c === 0x7a && d === 0x58 && e === 0x5a && f === 0) {
    throw new NotImplementedError('xz compression is not implemented');
  }
  return 'none';
}

/** Yields the uncompressed bytes. Broken data throw InvalidParameter, naming the compression and what is wrong. */
export async function* inflate(
  source: AsyncIterable<Buffer>,
  compression: LayerCompression,
  options: InflateOptions = {},
): AsyncGenerator<Buffer, void, undefined> {
  if (compression === 'none') yield* source;
  else if (compression === 'gzip') yield* inflateGzip(source, options.reuse === true);
  else yield* inflateZstd(source);
}

async function* inflateGzip(
  source: AsyncIterable<Buffer>,
  reuse: boolean,
): AsyncGenerator<Buffer, void, undefined> {
  const native = addon() as unknown as GzipAddon;
  const reader = native.gzipOpen();
  const counts = new Uint32Array(2);
  let output = Buffer.allocUnsafeSlow(CHUNK_BYTES);
  let filled = 0;
  for await (const chunk of source) {
    for (let at = 0; ; ) {
      const wrong = native.gzipStep(reader, chunk.subarray(at), output.subarray(filled), counts);
      if (wrong !== null) throw new InvalidParameterError(`invalid gzip data: ${wrong}`);
      at += counts[0] ?? 0;
      filled += counts[1] ?? 0;
      if (filled < CHUNK_BYTES) break;
      yield output;
      filled = 0;
      if (!reuse) output = Buffer.allocUnsafeSlow(CHUNK_BYTES);
    }
  }
  if (!native.gzipComplete(reader)) throw new InvalidParameterError('invalid gzip data: unexpected EOF');
  if (filled > 0) yield output.subarray(0, filled);
}

async function* inflateZstd(source: AsyncIterable<Buffer>): AsyncGenerator<Buffer, void, undefined> {
  const input = new Input(source);
  try {
    do {
      yield* decodeZstd(input);
    } while (await input.more());
  } finally {
    await input.close();
  }
}

/** One decoder's output: zstd frames up to where Node's decoder stops. */
async function* decodeZstd(input: Input): AsyncGenerator<Buffer, void, undefined> {
  /* In object mode a chunk is handed over as it is, not joined with others. */
  const options = { chunkSize: CHUNK_BYTES, readableObjectMode: true, readableHighWaterMark: CHUNKS_AHEAD };
  const decoder = createZstdDecompress(options);
  const feeding = feed(decoder, input);
  /* A failed source ends the decoder too, and is reported by that. */
  feeding.catch((error: unknown) =>
    decoder.destroy(error instanceof Error ? error : new Error(String(error))),
  );
  try {
    for await (const chunk of decoder) yield chunk as Buffer;
    await feeding;
  } catch (error) {
    throw decodeError(error);
  } finally {
    decoder.destroy();
  }
}

/**
 * Writes to the decoder until the input or the decoder ends. Node's zstd decoder ends at the end of a frame that more
 * data follow in the same write: what it did not take goes back to the input.
 */
async function feed(decoder: ZstdDecompress, input: Input): Promise<void> {
  let fed = 0;
  let ended = false;
  const closed = new Promise<void>((resolve) => {
    const stop = (): void => {
      ended = true;
      resolve();
    };
    decoder.once('end', stop).once('close', stop);
  });
  for (;;) {
    const chunk = await input.next();
    if (chunk === undefined) {
      decoder.end();
      return;
    }
    fed += chunk.length;
    await Promise.race([new Promise<void>((resolve) => decoder.write(chunk, () => resolve())), closed]);
    const left = fed - decoder.bytesWritten;
    if (left > 0) input.putBack(chunk.subarray(chunk.length - left));
    if (left > 0 || ended) return;
  }
}

function decodeError(error: unknown): unknown {
  if (!(error instanceof Error) || !('code' in error) || typeof error.code !== 'string') return error;
  if (!/^(?:Z_|ZSTD_)/.test(error.code)) return error;
  const reason = error.code === 'Z_BUF_ERROR' ? 'unexpected EOF' : errorMessage(error);
  return new InvalidParameterError(`invalid zstd data: ${reason}`, error);
}

/** Chunks that can be given back. */
class Input {
  readonly #source: AsyncIterator<Buffer>;
  #front: Buffer | undefined;

  constructor(source: AsyncIterable<Buffer>) {
    this.#source = source[Symbol.asyncIterator]();
  }

  async next(): Promise<Buffer | undefined> {
    const front = this.#front;
    this.#front = undefined;
    if (front !== undefined) return front;
    const step = await this.#source.next();
    return step.done === true ? undefined : step.value;
  }

  putBack(chunk: Buffer): void {
    this.#front = chunk;
  }

  async more(): Promise<boolean> {
    this.#front = await this.next();
    return this.#front !== undefined;
  }

  async close(): Promise<void> {
    await this.#source.return?.();
  }
}
