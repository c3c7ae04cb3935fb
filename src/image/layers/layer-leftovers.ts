/**
 * Removal of what layers leave: files and trees with temporary names, whose failure is no more than a waste of space. What
 * cannot be removed, as for want of descriptors, is tried again, less and less often. A million unpacked files take a
 * while, which nobody waits for who has given up, nor does the daemon's end: what is left then the next start removes.
 */
import { type Dirent, opendirSync } from 'node:fs';
import { join } from 'node:path';
import { errnoCode } from '../../base/errors.ts';
import { log } from '../../base/log.ts';
import { retryDelayMs } from '../../base/retry-later.ts';
import type { WorkerPool } from './work/worker-pool.ts';

/** What a call that has failed leaves is mostly gone within milliseconds. */
const REMOVE_WAIT_MS = 1000;
const CLOSE_WAIT_MS = 2000;
/** So many names and fewer are no reason not to wait. */
const FEW_NAMES = 2000;

export class LayerLeftovers {
  readonly #pool: Pick<WorkerPool, 'run'>;
  readonly #removing = new Set<Promise<void>>();
  readonly #retries = new Set<NodeJS.Timeout>();
  #closed = false;
  /** Ends removals under way, in their threads. */
  readonly #stop = new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT));

  constructor(pool: Pick<WorkerPool, 'run'>) {
    this.#pool = pool;
  }

  /** Removes a file or tree. Never rejects. `failures`: how often it has been tried in vain. */
  async remove(path: string, failures = 0): Promise<void> {
    const done = this.#remove(path, failures).finally(() => this.#removing.delete(done));
    this.#removing.add(done);
    await done;
  }

  async #remove(path: string, failures: number): Promise<void> {
    try {
      await this.#pool.run({ kind: 'remove', path, stop: this.#stop });
    } catch (error) {
      if (errnoCode(error) === 'ECANCELED')
        log.info({ path }, 'the next start removes what is left of a layer');
      else this.#retry(path, failures, error);
    }
  }

  #retry(path: string, failures: number, error: unknown): void {
    if (failures === 0) log.warn({ err: error, path }, 'leftovers of a layer remain for now');
    if (this.#closed) return;
    const timer = setTimeout(() => {
      this.#retries.delete(timer);
      void this.remove(path, failures + 1);
    }, retryDelayMs(failures)).unref();
    this.#retries.add(timer);
  }

  /** The same, which goes on in the background where there are so many files that it takes longer than a second. */
  async removeOrLeave(path: string): Promise<void> {
    const done = this.remove(path);
    await within(done, REMOVE_WAIT_MS);
    /* On a busy machine a few files take as long, and are worth the wait: then nothing is left for certain. */
    if (isSmall(path)) await done;
  }

  /** Waits for removals under way, and ends those that take long. */
  async close(): Promise<void> {
    this.#closed = true;
    for (const timer of this.#retries) clearTimeout(timer);
    await within(Promise.all(this.#removing), CLOSE_WAIT_MS);
    Atomics.store(this.#stop, 0, 1);
    await Promise.all(this.#removing);
  }
}

function isSmall(path: string): boolean {
  let left = FEW_NAMES;
  const pending = [path];
  for (let folder = pending.pop(); folder !== undefined; folder = pending.pop()) {
    for (const entry of entriesOf(folder, left)) {
      if (--left <= 0) return false;
      if (entry.isDirectory()) pending.push(join(folder, entry.name));
    }
  }
  return true;
}

/** Up to `most` of a directory that is being removed; nothing where it is gone, or is none. */
function entriesOf(path: string, most: number): Dirent[] {
  const entries: Dirent[] = [];
  try {
    const directory = opendirSync(path);
    try {
      for (let entry = directory.readSync(); entry !== null; entry = directory.readSync()) {
        entries.push(entry);
        if (entries.length >= most) break;
      }
    } finally {
      directory.closeSync();
    }
  } catch {
    // Gone, too deep for a path, or no descriptor to be had: this decides on a wait, and the removal itself finds out.
  }
  return entries;
}

/** Resolves with the work, or when that takes longer; it must not reject. */
async function within(work: Promise<unknown>, ms: number): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise((resolve) => {
    timer = setTimeout(resolve, ms);
  });
  await Promise.race([work, late]);
  clearTimeout(timer);
}
