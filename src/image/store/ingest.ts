/**
 * One blob on its way into the content store: bytes are appended and hashed as they come, what an earlier attempt
 * left is hashed again before it counts, and the blob moves to its final name only with the right digest. Closing
 * keeps a file with bytes for the next attempt; `restart` and `discard` throw it away. Others may read the file as it grows.
 */
import { createHash, type Hash } from 'node:crypto';
import { rmSync } from 'node:fs';
import { type FileHandle, rename } from 'node:fs/promises';
import { syncDirectory } from '../../base/atomic-file.ts';
import { InternalError } from '../../base/errors.ts';
import type { Digest } from '../digest.ts';
import { GrowingFile } from '../layers/work/growing-file.ts';

/** Appended chunks are gathered up to this size before they are written: fewer trips through the thread pool. */
const WRITE_BATCH_BYTES = 1 << 20;
/** So much is written between two syncs in the background. */
const SYNC_BATCH_BYTES = 32 << 20;

export interface IngestOptions {
  digest: Digest;
  path: string;
  file: FileHandle;
  /** The final name, and the directory that holds it. */
  target: string;
  directory: string;
  /** Called once, on close. */
  release: () => void;
  /** Writes a file's data out to disk some time soon, without anybody waiting for it. */
  syncSoon?: (file: FileHandle) => Promise<void>;
}

export class Ingest {
  readonly digest: Digest;
  /** The file that holds the bytes so far; after `flush` all that were appended. */
  readonly path: string;
  readonly #options: IngestOptions;
  #hash: Hash = createHash('sha256');
  #sizeBytes = 0;
  #pending: Uint8Array[] = [];
  readonly #owned = new WeakSet<Uint8Array>();
  #pendingBytes = 0;
  #writtenBytes = 0;
  #writing: Promise<void> = Promise.resolve();
  #failure: unknown;
  #closed = false;
  #growing = new GrowingFile();
  #unsyncedBytes = 0;
  #syncing: Promise<void> | undefined;

  constructor(options: IngestOptions) {
    this.#options = options;
    this.digest = options.digest;
    this.path = options.path;
  }

  /**
   * The file at `path` for those who read it while it grows: of this attempt, another one after each `restart`. It is
   * whole after `complete`, and lost by `restart`, `discard` and `close`.
   */
  get growing(): GrowingFile {
    return this.#growing;
  }

  /** Bytes that are here and hashed. */
  get sizeBytes(): number {
    return this.#sizeBytes;
  }

  /**
   * Reads what an earlier attempt left, so that the download can go on behind it. A file longer than `limitBytes`
   * is useless and is emptied. Returns the number of bytes that count.
   */
  async resume(limitBytes: number): Promise<number> {
    const { file } = this.#options;
    const { size } = await file.stat();
    if (size > limitBytes) {
      await this.restart();
      return 0;
    }
    const buffer = Buffer.allocUnsafe(WRITE_BATCH_BYTES);
    let position = 0;
    for (;;) {
      const { bytesRead } = await file.read(buffer, 0, buffer.length, position);
      if (bytesRead === 0) break;
      this.#hash.update(buffer.subarray(0, bytesRead));
      position += bytesRead;
    }
    this.#sizeBytes = position;
    this.#writtenBytes = position;
    this.#growing.grow(position);
    return position;
  }

  /**
   * Appends a chunk, which must not change afterwards. Waits only while the disk is a batch behind. With `owned` nobody
   * else needs the chunk, and its memory is given back as soon as it is written.
   */
  async append(chunk: Uint8Array, options: { owned?: boolean } = {}): Promise<void> {
    if (options.owned === true) this.#owned.add(chunk);
    this.#hash.update(chunk);
    this.#sizeBytes += chunk.byteLength;
    this.#pending.push(chunk);
    this.#pendingBytes += chunk.byteLength;
    if (this.#pendingBytes < WRITE_BATCH_BYTES) return;
    await this.#writing;
    if (this.#failure !== undefined) throw this.#failure;
    this.#startWrite();
  }

  #startWrite(): void {
    const chunks = this.#pending;
    const position = this.#writtenBytes;
    this.#writtenBytes += this.#pendingBytes;
    this.#pending = [];
    this.#pendingBytes = 0;
    this.#writing = this.#write(chunks, position, this.#growing).catch((error: unknown) => {
      this.#failure ??= new InternalError(`cannot write ${this.path}`, error);
    });
  }

  async #write(chunks: Uint8Array[], position: number, growing: GrowingFile): Promise<void> {
    let rest = chunks;
    let at = position;
    while (rest.length > 0) {
      const { bytesWritten } = await this.#options.file.writev(rest, at);
      at += bytesWritten;
      rest = withoutBytes(rest, bytesWritten);
    }
    growing.grow(at);
    for (const chunk of chunks) if (this.#owned.has(chunk)) freeMemory(chunk);
    this.#syncSoon(at - position);
  }

  /** Has the data written out while more is coming, so that `sync` finds little left to do. */
  #syncSoon(bytes: number): void {
    const { file, syncSoon } = this.#options;
    this.#unsyncedBytes += bytes;
    if (this.#unsyncedBytes < SYNC_BATCH_BYTES || this.#syncing !== undefined || syncSoon === undefined)
      return;
    this.#unsyncedBytes = 0;
    this.#syncing = syncSoon(file)
      .catch(() => {
        // An error of the disk is reported by `sync` as well.
      })
      .finally(() => {
        this.#syncing = undefined;
      });
  }

  /** Waits until everything appended is in the file. */
  async flush(): Promise<void> {
    await this.#writing;
    if (this.#failure === undefined && this.#pending.length > 0) {
      this.#startWrite();
      await this.#writing;
    }
    if (this.#failure !== undefined) throw this.#failure;
  }

  /** Throws everything away and begins again with an empty file. */
  async restart(): Promise<void> {
    this.#growing.lose('the download began anew');
    this.#growing = new GrowingFile();
    this.#pending = [];
    this.#pendingBytes = 0;
    await this.#writing;
    await this.#options.file.truncate(0);
    this.#hash = createHash('sha256');
    this.#sizeBytes = 0;
    this.#writtenBytes = 0;
  }

  /** Whether what is here has the digest that it is to be stored under. */
  verified(): boolean {
    return `sha256:${this.#hash.copy().digest('hex')}` === this.digest;
  }

  /** Tells the readers of the growing file that it is whole. Throws where the digest is not the right one. */
  async complete(): Promise<void> {
    await this.flush();
    if (!this.verified()) throw new InternalError(`content does not have digest ${this.digest}`);
    this.#growing.complete();
  }

  /** Waits until the bytes are on disk. Takes long; run it beside work on the same file. */
  async sync(): Promise<void> {
    await this.flush();
    await this.#options.file.datasync();
  }

  /** Makes the blob visible. Call `sync` before. Throws where the digest is not the right one. */
  async commit(): Promise<void> {
    await this.flush();
    if (!this.verified()) throw new InternalError(`content does not have digest ${this.digest}`);
    await rename(this.path, this.#options.target);
    syncDirectory(this.#options.directory);
  }

  /** Ends the ingest; what was not committed stays for the next attempt. May be called twice. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#growing.lose('the download was given up');
    try {
      await this.flush();
    } catch {
      // The error was, or will be, reported by the write that needed the bytes; the next attempt hashes the file.
    } finally {
      await this.#syncing;
      try {
        // Nothing that a next attempt could go on from. One that was committed has another name.
        if ((await this.#options.file.stat()).size === 0) rmSync(this.path, { force: true });
      } finally {
        await this.#options.file.close();
        this.#options.release();
      }
    }
  }

  /** Ends the ingest and removes the file. */
  async discard(): Promise<void> {
    if (this.#closed) return;
    this.#pending = [];
    this.#pendingBytes = 0;
    rmSync(this.path, { force: true });
    await this.close();
  }
}

/**
 * Frees a chunk's memory now: left to the garbage collector, a fast download makes it run often, and fills the memory
 * until it does. Chunks that share their memory with others are left alone.
 */
function freeMemory(chunk: Uint8Array): void {
  const { buffer } = chunk;
  if (!(buffer instanceof ArrayBuffer) || chunk.byteLength !== buffer.byteLength) return;
  buffer.transfer(0);
}

/** What is left of a list of buffers behind its first `count` bytes. */
function withoutBytes(chunks: readonly Uint8Array[], count: number): Uint8Array[] {
  const rest: Uint8Array[] = [];
  let skip = count;
  for (const chunk of chunks) {
    if (skip < chunk.byteLength) rest.push(chunk.subarray(skip));
    skip = Math.max(0, skip - chunk.byteLength);
  }
  return rest;
}
