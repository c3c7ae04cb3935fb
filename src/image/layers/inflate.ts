/**
 * Inflates layers as they come: gzip (any number of members), zstd (any number of frames, skippable ones too), none.
 * The decoders run on the thread pool, one step ahead of whoever reads.
 */
import { createGunzip, createZstdDecompress, type Gunzip, type ZstdDecompress } from 'node:zlib';
import { errorMessage, InvalidParameterError, NotImplementedError } from '../../base/errors.ts';
import type { LayerCompression } from './snapshotter.ts';

type Decoder = Gunzip | ZstdDecompress;

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
): AsyncGenerator<Buffer, void, undefined> {
  if (compression === 'none') {
    yield* source;
    return;
  }
  const input = new Input(source);
  try {
    do {
      yield* decodeOnce(input, compression);
      /* A gunzip stream goes on to the next member by itself; what it left are zeros that pad a file. */
    } while (compression === 'zstd' && (await input.more()));
  } finally {
    await input.close();
  }
}

/** One decoder's output: all members of a gzip file, or zstd frames up to where Node's decoder stops. */
async function* decodeOnce(
  input: Input,
  compression: 'gzip' | 'zstd',
): AsyncGenerator<Buffer, void, undefined> {
  /* In object mode a chunk is handed over as it is, not joined with others. */
  const options = { chunkSize: CHUNK_BYTES, readableObjectMode: true, readableHighWaterMark: CHUNKS_AHEAD };
  const decoder = compression === 'gzip' ? createGunzip(options) : createZstdDecompress(options);
  const feeding = feed(decoder, input);
  /* A failed source ends the decoder too, and is reported by that. */
  feeding.catch((error: unknown) =>
    decoder.destroy(error instanceof Error ? error : new Error(String(error))),
  );
  try {
    for await (const chunk of decoder) yield chunk as Buffer;
    await feeding;
  } catch (error) {
    throw decodeError(error, compression);
  } finally {
    decoder.destroy();
  }
}

/**
 * Writes to the decoder until the input or the decoder ends. Node's zstd decoder ends at the end of a frame that more
 * data follow in the same write: what it did not take goes back to the input.
 */
async function feed(decoder: Decoder, input: Input): Promise<void> {
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

function decodeError(error: unknown, compression: string): unknown {
  if (!(error instanceof Error) || !('code' in error) || typeof error.code !== 'string') return error;
  if (!/^(?:Z_|ZSTD_)/.test(error.code)) return error;
  const reason = error.code === 'Z_BUF_ERROR' ? 'unexpected EOF' : errorMessage(error);
  return new InvalidParameterError(`invalid ${compression} data: ${reason}`, error);
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
