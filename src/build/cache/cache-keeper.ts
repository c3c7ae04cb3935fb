/**
 * All that builds keep between them, as one: lists it, prunes it on request, and keeps it within its budget after
 * builds, the longest unused first. What stands behind an entry is its CacheStore's.
 */
import { statfsSync } from 'node:fs';
import { InvalidParameterError } from '../../base/errors.ts';
import { log } from '../../base/log.ts';
import type { BuildCacheEntry, CachePruned, CachePruneRequest } from '../builder.ts';
import { allowedBytes, type CacheBudget, type DiskSpace, defaultBudget } from './cache-budget.ts';
import { cacheFilter } from './cache-filter.ts';
import type { CacheStore } from './cache-store.ts';

/** Steps that change little cost next to nothing, and would never be too much by their bytes. */
const ENTRIES_MAX = 10_000;

export interface CacheKeeperOptions {
  /** Lies on the disk that the budget is of. */
  directory: string;
  stores: readonly CacheStore[];
  /** What the configuration says; the rest is `defaultBudget`. */
  budget: Partial<CacheBudget>;
  /** In tests. */
  disk?: () => DiskSpace;
  maxEntries?: number;
}

interface Kept {
  store: CacheStore;
  entry: BuildCacheEntry;
}

export class CacheKeeper {
  readonly #options: CacheKeeperOptions;
  #collecting: Promise<void> | undefined;

  constructor(options: CacheKeeperOptions) {
    this.#options = options;
  }

  async entries(): Promise<BuildCacheEntry[]> {
    return (await this.#all()).map(({ entry }) => entry);
  }

  async #all(): Promise<Kept[]> {
    const lists = await Promise.all(
      this.#options.stores.map(async (store) => (await store.entries()).map((entry) => ({ store, entry }))),
    );
    return lists.flat();
  }

  /** Throws InvalidParameter for a filter that is none, before anything goes. */
  async prune(request: CachePruneRequest, signal: AbortSignal): Promise<CachePruned> {
    const wanted = cacheFilter(request.filters, Date.now());
    for (const [name, bytes] of Object.entries(request)) {
      if (typeof bytes === 'number' && bytes < 0)
        throw new InvalidParameterError(`invalid ${name} ${bytes}: expected a number of bytes`);
    }
    const all = await this.#all();
    const candidates = all.filter(
      ({ entry }) => !entry.inUse && (request.all || !isKeptByDefault(entry)) && wanted(entry),
    );
    const { reservedSpaceBytes, maxUsedSpaceBytes, minFreeSpaceBytes } = request;
    const limited = [reservedSpaceBytes, maxUsedSpaceBytes, minFreeSpaceBytes].some(
      (bytes) => (bytes ?? 0) > 0,
    );
    if (!limited) return await removeUntil(candidates, Number.POSITIVE_INFINITY, signal);
    const usedBytes = sum(all);
    const allowed = allowedBytes(
      {
        reservedSpaceBytes: reservedSpaceBytes ?? 0,
        maxUsedSpaceBytes: maxUsedSpaceBytes ?? 0,
        minFreeSpaceBytes: minFreeSpaceBytes ?? 0,
      },
      usedBytes,
      this.#disk(),
    );
    return await removeUntil(candidates, usedBytes - allowed, signal);
  }

  #disk(): DiskSpace {
    if (this.#options.disk !== undefined) return this.#options.disk();
    const { blocks, bavail, bsize } = statfsSync(this.#options.directory);
    return { totalBytes: blocks * bsize, freeBytes: bavail * bsize };
  }

  /** Brings the cache within its budget. Calls while it runs share the run; a failure is logged. */
  collect(): Promise<void> {
    this.#collecting ??= this.#collect()
      .catch((error: unknown) => {
        log.warn({ error: String(error) }, 'the build cache could not be brought within its budget');
      })
      .finally(() => {
        this.#collecting = undefined;
      });
    return this.#collecting;
  }

  async #collect(): Promise<void> {
    const disk = this.#disk();
    const budget = { ...defaultBudget(disk), ...this.#options.budget };
    if (!budget.enabled) return;
    const every = await this.#all();
    const surplus = oldestFirst(every.filter(({ entry }) => !entry.inUse)).slice(
      0,
      Math.max(0, every.length - (this.#options.maxEntries ?? ENTRIES_MAX)),
    );
    await this.#removeUntil(surplus, Number.POSITIVE_INFINITY);
    const gone = new Set(surplus);
    // What an image has too is no cost of the cache, and removing it would free nothing.
    const all = every.filter((kept) => !kept.entry.shared && !gone.has(kept));
    const usedBytes = sum(all);
    const excess = usedBytes - allowedBytes(budget, usedBytes, disk);
    await this.#removeUntil(
      all.filter(({ entry }) => !entry.inUse),
      excess,
    );
  }

  async #removeUntil(candidates: readonly Kept[], bytes: number): Promise<void> {
    const { entries, freedBytes } = await removeUntil(candidates, bytes, new AbortController().signal);
    if (entries.length === 0) return;
    log.info({ entries: entries.length, freedBytes }, 'build cache removed to keep its budget');
  }

  /** Resolves when no collection runs any more. */
  async close(): Promise<void> {
    await this.#collecting;
  }
}

/** `builder prune` without `--all` leaves what costs nothing or is made anew by every build. */
function isKeptByDefault({ type, shared }: BuildCacheEntry): boolean {
  return shared || type === 'internal' || type === 'frontend';
}

function sum(all: readonly Kept[]): number {
  return all.reduce((bytes, { entry }) => bytes + entry.sizeBytes, 0);
}

function oldestFirst(kept: readonly Kept[]): Kept[] {
  return kept.toSorted(
    (a, b) => (a.entry.lastUsedMs ?? a.entry.createdMs) - (b.entry.lastUsedMs ?? b.entry.createdMs),
  );
}

/** Longest unused first, until `bytes` of sizes are gone. */
async function removeUntil(
  candidates: readonly Kept[],
  bytes: number,
  signal: AbortSignal,
): Promise<CachePruned> {
  const entries: BuildCacheEntry[] = [];
  let freedBytes = 0;
  let left = bytes;
  for (const { store, entry } of oldestFirst(candidates)) {
    if (left <= 0) break;
    signal.throwIfAborted();
    freedBytes += await store.remove(entry.id);
    entries.push(entry);
    left -= entry.sizeBytes;
  }
  return { entries, freedBytes };
}
