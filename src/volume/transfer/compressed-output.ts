/** Compresses what an export writes, on the thread pool, as fast as whoever takes it wants more. */
import { once } from 'node:events';
import type { Transform } from 'node:stream';
import { createGzip, createZstdCompress, constants as zlib } from 'node:zlib';
import { InvalidParameterError } from '../../base/errors.ts';

export type ExportCompression = 'none' | 'gzip' | 'zstd';

export interface ByteOutput {
  write(chunk: Buffer): Promise<void>;
  /** Resolves when everything was taken. */
  finish(): Promise<void>;
  /** Lets go of everything; nothing more is written. */
  abort(): void;
}

/** Throws InvalidParameter for a word that is no compression. */
export function parseCompression(text: string): ExportCompression {
  if (text === '' || text === 'none') return 'none';
  if (text === 'gzip' || text === 'zstd') return text;
  throw new InvalidParameterError(`invalid compression "${text}": must be "none", "gzip" or "zstd"`);
}

export function compressedOutput(
  compression: ExportCompression,
  write: (chunk: Buffer) => Promise<void>,
): ByteOutput {
  if (compression === 'none') return { write, finish: async () => undefined, abort: () => undefined };
  return new CompressedOutput(compression === 'gzip' ? gzip() : zstd(), write);
}

/** Fast rather than small: an export is to be over soon. */
function gzip(): Transform {
  return createGzip({ level: 4, chunkSize: 128 * 1024 });
}

function zstd(): Transform {
  return createZstdCompress({
    chunkSize: 128 * 1024,
    params: { [zlib.ZSTD_c_compressionLevel]: 3, [zlib.ZSTD_c_checksumFlag]: 1 },
  });
}

class CompressedOutput implements ByteOutput {
  readonly #stream: Transform;
  readonly #taken: Promise<void>;

  constructor(stream: Transform, write: (chunk: Buffer) => Promise<void>) {
    this.#stream = stream;
    this.#taken = this.#pump(write);
    // Told to whoever writes or finishes.
    this.#taken.catch(() => undefined);
  }

  async #pump(write: (chunk: Buffer) => Promise<void>): Promise<void> {
    for await (const chunk of this.#stream) await write(chunk as Buffer);
  }

  async write(chunk: Buffer): Promise<void> {
    if (this.#stream.write(chunk)) return;
    await Promise.race([once(this.#stream, 'drain'), this.#taken]);
  }

  async finish(): Promise<void> {
    this.#stream.end();
    await this.#taken;
  }

  abort(): void {
    this.#stream.destroy();
  }
}
