/**
 * Blobs on disk, named by their digest: `blobs/sha256/<hex>` holds verified content only. Unfinished blobs stand in
 * `ingest/<hex>`, so that an interrupted download goes on where it stopped; they move over by one rename after their
 * digest was checked and their bytes are on disk. Who still needs a blob is the image store's knowledge.
 */
import { createHash, randomBytes } from 'node:crypto';
import { createReadStream, readdirSync, readFileSync, renameSync, rmSync, statSync } from 'node:fs';
import { type FileHandle, open, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { syncDirectory, TEMPORARY_PREFIX, writeFileAtomic } from '../../base/atomic-file.ts';
import { errnoCode, InternalError, InvalidParameterError, NotFoundError } from '../../base/errors.ts';
import { log } from '../../base/log.ts';
import { makeDirectory } from '../../base/make-directory.ts';
import { retryLater } from '../../base/retry-later.ts';
import { abortable } from '../abortable.ts';
import { type Digest, digestHex, digestOf, parseDigest } from '../digest.ts';
import { Semaphore } from '../semaphore.ts';
import { Ingest } from './ingest.ts';

/** Leftovers of pulls that nobody resumed are removed after a day. */
const KEEP_UNFINISHED_MS = 24 * 3600 * 1000;

export class ContentStore {
  readonly #blobs: string;
  readonly #ingest: string;
  /** Removals whose space has not come back yet. */
  readonly #removing = new Set<Promise<void>>();
  /** The tail of each digest's queue: one ingest of a digest at a time. */
  readonly #queues = new Map<Digest, Promise<void>>();
  /** One sync in the background at a time: each holds a thread of the pool that all file operations share. */
  readonly #syncs = new Semaphore(1);

  /** `root` is `<data root>/content`; its directories are made where they are missing. */
  constructor(root: string) {
    this.#blobs = join(root, 'blobs', 'sha256');
    this.#ingest = join(root, 'ingest');
    makeDirectory(this.#blobs, 0o700);
    makeDirectory(this.#ingest, 0o700);
  }

  /** Where the blob stands, or will stand. */
  path(digest: Digest): string {
    return join(this.#blobs, digestHex(digest));
  }

  has(digest: Digest): boolean {
    return this.size(digest) !== undefined;
  }

  /** Length in bytes; undefined where the blob is not here. */
  size(digest: Digest): number | undefined {
    return statSync(this.path(digest), { throwIfNoEntry: false })?.size;
  }

  /** The whole blob. Throws NotFound, and InvalidParameter where it is longer than `maxBytes`. */
  read(digest: Digest, maxBytes: number): Buffer {
    const size = this.size(digest);
    if (size === undefined) throw new NotFoundError(`content ${digest} not found`);
    if (size > maxBytes) {
      throw new InvalidParameterError(
        `content ${digest} has ${size} bytes, more than the ${maxBytes} allowed`,
      );
    }
    return readFileSync(this.path(digest));
  }

  /** Stores bytes at hand; they last when this returns. */
  put(bytes: Uint8Array): Digest {
    const digest = digestOf(bytes);
    if (this.size(digest) !== bytes.byteLength) writeFileAtomic(this.path(digest), bytes);
    return digest;
  }

  /**
   * Moves the file at `source`, on the same file system, into the store. The file is read and its digest checked,
   * unless `verified` says that the caller just computed it from the same bytes. On failure the file stays.
   */
  async ingestFile(source: string, digest: Digest, options: { verified?: boolean } = {}): Promise<void> {
    if (options.verified !== true) {
      const actual = await hashFile(source);
      if (actual !== digest) {
        throw new InvalidParameterError(`${source} has digest ${actual}, expected ${digest}`);
      }
    }
    if (this.has(digest)) {
      rmSync(source);
      return;
    }
    const file = await open(source, 'r');
    try {
      await file.datasync();
    } finally {
      await file.close();
    }
    await rename(source, this.path(digest));
    syncDirectory(this.#blobs);
  }

  /**
   * Opens the unfinished blob of this digest, new or as an earlier attempt left it. Waits while another ingest of the
   * same digest is open; the caller must `close` it, or `commit` and close. Aborting rejects with the signal's reason.
   */
  async ingest(digest: Digest, signal?: AbortSignal): Promise<Ingest> {
    const release = await this.#lock(digest, signal);
    try {
      const path = join(this.#ingest, digestHex(digest));
      const file = await this.#openIngest(path);
      const syncSoon = (handle: FileHandle): Promise<void> => this.#syncSoon(handle);
      const target = this.path(digest);
      return new Ingest({ digest, path, file, target, directory: this.#blobs, release, syncSoon });
    } catch (error) {
      release();
      throw error;
    }
  }

  /** Does nothing while another file is being written out: that one takes the disk. */
  async #syncSoon(file: FileHandle): Promise<void> {
    if (!this.#syncs.tryAcquire()) return;
    try {
      await file.datasync();
    } finally {
      this.#syncs.release();
    }
  }

  async #openIngest(path: string): Promise<FileHandle> {
    try {
      return await open(path, 'r+');
    } catch (error) {
      if (errnoCode(error) !== 'ENOENT') throw new InternalError(`cannot open ${path}`, error);
      return await open(path, 'wx+', 0o600);
    }
  }

  async #lock(digest: Digest, signal: AbortSignal | undefined): Promise<() => void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const before = this.#queues.get(digest) ?? Promise.resolve();
    const tail = before.then(() => promise);
    this.#queues.set(digest, tail);
    const release = (): void => {
      resolve();
      if (this.#queues.get(digest) === tail) this.#queues.delete(digest);
    };
    try {
      await abortable(before, signal);
    } catch (error) {
      release();
      throw error;
    }
    return release;
  }

  /**
   * The blob is gone when this returns; its space comes back in the background, because letting go of a large file
   * takes the kernel long. Unknown blobs are ignored. Readers that have the file open keep it.
   */
  remove(digest: Digest): void {
    const leftover = join(this.#blobs, `${TEMPORARY_PREFIX}${randomBytes(12).toString('hex')}`);
    try {
      renameSync(this.path(digest), leftover);
    } catch (error) {
      if (errnoCode(error) === 'ENOENT') return;
      throw error;
    }
    const done = rm(leftover, { force: true })
      .catch((error: unknown) => {
        log.warn({ err: error, digest }, 'a removed blob takes space for now: it is tried again');
        retryLater(
          () => rm(leftover, { force: true }),
          () => undefined,
        );
      })
      .finally(() => this.#removing.delete(done));
    this.#removing.add(done);
  }

  /** Resolves when the space of everything that was removed has come back. */
  async close(): Promise<void> {
    await Promise.all(this.#removing);
  }

  /** Every blob that is here whole. */
  list(): Digest[] {
    return readdirSync(this.#blobs)
      .filter((name) => /^[0-9a-f]{64}$/.test(name))
      .map((name) => parseDigest(`sha256:${name}`));
  }

  /** Milliseconds since the blob was stored; undefined where it is not here. */
  ageMs(digest: Digest, nowMs: number = Date.now()): number | undefined {
    const stat = statSync(this.path(digest), { throwIfNoEntry: false });
    return stat === undefined ? undefined : nowMs - stat.ctimeMs;
  }

  /** Removes what interrupted writes left: temporary files at once, unfinished downloads after a day. */
  sweep(nowMs: number = Date.now()): void {
    for (const name of readdirSync(this.#blobs)) {
      if (name.startsWith(TEMPORARY_PREFIX)) rmSync(join(this.#blobs, name), { force: true });
    }
    for (const name of readdirSync(this.#ingest)) {
      const path = join(this.#ingest, name);
      const stat = statSync(path, { throwIfNoEntry: false });
      const busy = /^[0-9a-f]{64}$/.test(name) && this.#queues.has(parseDigest(`sha256:${name}`));
      if (stat !== undefined && !busy && nowMs - stat.mtimeMs > KEEP_UNFINISHED_MS)
        rmSync(path, { force: true });
    }
  }

  /** Unfinished blobs, and how much of each is here. */
  unfinished(): { digest: Digest; sizeBytes: number }[] {
    return readdirSync(this.#ingest).flatMap((name) => {
      const stat = statSync(join(this.#ingest, name), { throwIfNoEntry: false });
      return stat === undefined ? [] : [{ digest: parseDigest(`sha256:${name}`), sizeBytes: stat.size }];
    });
  }
}

/** Digest of a file's bytes. */
export async function hashFile(path: string): Promise<Digest> {
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(path, { highWaterMark: 1 << 20 })) hash.update(chunk);
  return parseDigest(`sha256:${hash.digest('hex')}`);
}
