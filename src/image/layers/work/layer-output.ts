/**
 * Where a new layer's tar goes: its bytes are hashed (the diffID), given to the driver's target, and where a blob is
 * wanted compressed and hashed again, all in one pass. Compression runs on the thread pool meanwhile.
 */
import { createHash } from 'node:crypto';
import { closeSync, openSync, writeSync } from 'node:fs';
import { finished } from 'node:stream/promises';
import { createGzip, createZstdCompress, constants as zlib } from 'node:zlib';
import { UnavailableError } from '../../../base/errors.ts';
import type { LayerTarget } from '../layer-target.ts';
import type { LayerCompression } from '../snapshotter.ts';
import { TarWriter } from '../tar/tar-writer.ts';

/** Fast rather than small: a layer is compressed once a build, and most are never pushed. */
const GZIP_LEVEL = 1;
const ZSTD_LEVEL = 3;
const CHUNK_BYTES = 256 * 1024;
/** Chunks that may wait for the compressor. */
const CHUNKS_AHEAD = 4;

export interface OutputResult {
  diffId: string;
  blob?: { digest: string; sizeBytes: number };
}

export class LayerOutput {
  readonly #target: LayerTarget;
  readonly #diffHash = createHash('sha256');
  readonly #blob: BlobFile | undefined;

  constructor(target: LayerTarget, blob: { path: string; compression: LayerCompression } | undefined) {
    this.#target = target;
    this.#blob = blob === undefined ? undefined : new BlobFile(blob.path, blob.compression);
  }

  /** Takes tar bytes over: the chunk must not be changed any more. */
  async write(chunk: Buffer): Promise<void> {
    const room = this.#blob?.write(chunk);
    // Where the target fails first, nobody awaits it.
    room?.catch(() => undefined);
    this.#diffHash.update(chunk);
    this.#target.write(chunk);
    await room;
  }

  /** The caller finishes the target. */
  async finish(): Promise<OutputResult> {
    const blob = await this.#blob?.finish();
    return { diffId: `sha256:${this.#diffHash.digest('hex')}`, ...(blob === undefined ? {} : { blob }) };
  }

  /** Lets go of everything; the files are the caller's to remove. */
  abort(): void {
    this.#blob?.abort();
  }
}

/** Gathers a TarWriter's small pieces into chunks. */
export class TarChunks {
  readonly tar = new TarWriter((bytes) => this.#take(bytes));
  readonly #write: (chunk: Buffer) => Promise<void>;
  #full: Buffer[] = [];
  #current = Buffer.allocUnsafe(CHUNK_BYTES);
  #used = 0;

  constructor(write: (chunk: Buffer) => Promise<void>) {
    this.#write = write;
  }

  #take(bytes: Buffer): void {
    for (let at = 0; at < bytes.length; ) {
      const taken = bytes.copy(this.#current, this.#used, at);
      at += taken;
      this.#used += taken;
      if (this.#used < CHUNK_BYTES) continue;
      this.#full.push(this.#current);
      this.#current = Buffer.allocUnsafe(CHUNK_BYTES);
      this.#used = 0;
    }
  }

  /** Whether `flush` has something to hand on. */
  get isFull(): boolean {
    return this.#full.length > 0;
  }

  /** Hands the full chunks on. */
  readonly flush = async (): Promise<void> => {
    if (this.#full.length === 0) return;
    const chunks = this.#full;
    this.#full = [];
    for (const chunk of chunks) await this.#write(chunk);
  };

  /** Ends the archive and hands on the rest. */
  async finish(): Promise<void> {
    this.tar.finish();
    await this.flush();
    if (this.#used > 0) await this.#write(this.#current.subarray(0, this.#used));
  }
}

class BlobFile {
  readonly #fd: number;
  readonly #hash = createHash('sha256');
  readonly #compressor: ReturnType<typeof compressor>;
  readonly #finished: Promise<void>;
  #sizeBytes = 0;
  #waiting = 0;
  #failure: unknown;
  #closed = false;

  constructor(path: string, compression: LayerCompression) {
    this.#fd = openSync(path, 'wx', 0o600);
    this.#compressor = compressor(compression);
    this.#finished = this.#compressor === undefined ? Promise.resolve() : this.#collect(this.#compressor);
    this.#finished.catch(() => undefined);
  }

  async #collect(stream: NonNullable<ReturnType<typeof compressor>>): Promise<void> {
    stream.on('data', (chunk: Buffer) => {
      try {
        this.#store(chunk);
      } catch (error) {
        this.#failure = error;
        stream.destroy();
      }
    });
    try {
      await finished(stream);
    } catch (error) {
      throw this.#failure ?? error;
    }
  }

  #store(chunk: Buffer): void {
    this.#hash.update(chunk);
    this.#sizeBytes += chunk.length;
    for (let at = 0; at < chunk.length; ) at += writeSync(this.#fd, chunk, at);
  }

  /** Resolves when there is room for more. */
  async write(chunk: Buffer): Promise<void> {
    const stream = this.#compressor;
    if (stream === undefined) {
      this.#store(chunk);
      return;
    }
    if (this.#failure !== undefined) throw this.#failure;
    this.#waiting++;
    const taken = new Promise<void>((resolve) => {
      stream.write(chunk, () => {
        this.#waiting--;
        resolve();
      });
    });
    if (this.#waiting >= CHUNKS_AHEAD) await Promise.race([taken, this.#finished]);
    else await new Promise((resolve) => setImmediate(resolve));
  }

  async finish(): Promise<{ digest: string; sizeBytes: number }> {
    this.#compressor?.end();
    try {
      await this.#finished;
    } catch (error) {
      throw new UnavailableError('cannot write the layer blob', error);
    }
    this.abort();
    return { digest: `sha256:${this.#hash.digest('hex')}`, sizeBytes: this.#sizeBytes };
  }

  abort(): void {
    this.#compressor?.destroy();
    if (this.#closed) return;
    this.#closed = true;
    closeSync(this.#fd);
  }
}

/** The stream's header has no time and no name, so that the same tar gives the same blob. */
function compressor(compression: LayerCompression) {
  if (compression === 'gzip') return createGzip({ level: GZIP_LEVEL, chunkSize: CHUNK_BYTES });
  if (compression === 'none') return undefined;
  const params = { [zlib.ZSTD_c_compressionLevel]: ZSTD_LEVEL, [zlib.ZSTD_c_checksumFlag]: 1 };
  return createZstdCompress({ chunkSize: CHUNK_BYTES, params });
}
