/**
 * `RUN --mount=type=cache`: folders that builds share and that outlive them, below `<data root>/build/cache-mounts`. One
 * cache is a folder named by a hash of what tells it from others, so that its ID may be any text; where a cache is in use
 * and not to be shared, another of the same name is made, with a number behind. A record stands beside the files:
 * `<hash>-<number>/record.json` and `<hash>-<number>/data`.
 */

import { createHash, randomBytes } from 'node:crypto';
import { chmodSync, chownSync, readdirSync, readFileSync, renameSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { removeTemporaryFiles, TEMPORARY_PREFIX, writeFileAtomic } from '../../base/atomic-file.ts';
import { diskUsage } from '../../base/disk-usage.ts';
import { log } from '../../base/log.ts';
import { makeDirectory } from '../../base/make-directory.ts';
import { step, stepSync } from '../../base/steps.ts';
import { removeNowOrLater } from '../../volume/retry-removal.ts';
import type { BuildCacheEntry } from '../builder.ts';
import type { CacheStore } from '../cache/cache-store.ts';

const NAME = /^([0-9a-f]{64})-(\d+)$/;
const RECORD_NAME = 'record.json';
const DATA_NAME = 'data';

export interface CacheMountRequest {
  id: string;
  sharing: 'shared' | 'private' | 'locked';
  /** Digest of what a new one begins with; empty for nothing. */
  fromKey: string;
  mode: number;
  uid: number;
  gid: number;
  /** For lists. */
  description: string;
  /** The attributes are those that `fill` gives the folder, and not those above. */
  keepsAttributes?: boolean;
  /** Fills a new one. */
  fill?(directory: string): Promise<void>;
}

export interface CacheLease {
  /** The cache's files. */
  readonly path: string;
  release(): void;
}

interface CacheRecord {
  id: string;
  description: string;
  createdMs: number;
  lastUsedMs: number;
  usageCount: number;
  sizeBytes: number;
  /** When the size was looked at. */
  measuredMs: number;
}

interface Instance {
  name: string;
  record: CacheRecord;
  users: number;
  /** Its one user shares it with nobody. */
  exclusive: boolean;
  leaving: boolean;
}

export class CacheMounts implements CacheStore {
  readonly #directory: string;
  readonly #instances = new Map<string, Instance>();
  /** Called when a cache of the key is free again. */
  readonly #waiting = new Map<string, Set<() => void>>();
  /** Names that are being made. */
  readonly #making = new Set<string>();

  /** `directory` is made where it is missing. */
  constructor(directory: string) {
    this.#directory = directory;
    makeDirectory(directory, 0o700);
    for (const name of readdirSync(directory)) {
      const record = NAME.test(name) ? readRecord(join(directory, name)) : undefined;
      if (record === undefined) continue;
      this.#instances.set(name, { name, record, users: 0, exclusive: false, leaving: false });
    }
  }

  /** What is no cache: interrupted makings, removals and records. */
  async sweep(): Promise<void> {
    for (const name of readdirSync(this.#directory)) {
      if (this.#instances.has(name)) removeTemporaryFiles(join(this.#directory, name));
      else if (!this.#making.has(name)) await this.#discard(name);
    }
  }

  /**
   * The files of a cache, until `release`. A locked one is waited for, which `onWait` is told; a private one that is in
   * use is another. Rejects with the signal's reason.
   */
  async acquire(request: CacheMountRequest, onWait: () => void, signal: AbortSignal): Promise<CacheLease> {
    const key = keyOf(request);
    let waited = false;
    for (;;) {
      signal.throwIfAborted();
      const instances = [...this.#instances.values()].filter(
        (one) => one.name.startsWith(key) && !one.leaving,
      );
      const shared = request.sharing === 'shared';
      const free =
        instances.find(({ users, exclusive }) => shared && users > 0 && !exclusive) ??
        instances.find(({ users }) => users === 0);
      if (free !== undefined) return this.#lend(free, request);
      if (request.sharing !== 'locked' || (instances.length === 0 && !this.#isMaking(key))) {
        // Two that find none at the same time and would share it make one.
        if (shared && instances.length === 0 && this.#isMaking(key)) await this.#freed(key, signal);
        else return this.#lend(await this.#make(key, request), request);
        continue;
      }
      if (!waited) onWait();
      waited = true;
      await this.#freed(key, signal);
    }
  }

  /** One that is there, by itself; waits for those that use it. Undefined where there is none. */
  async borrow(
    request: Omit<CacheMountRequest, 'fill' | 'sharing'>,
    onWait: () => void,
    signal: AbortSignal,
  ): Promise<CacheLease | undefined> {
    const key = keyOf(request);
    if (![...this.#instances.keys()].some((name) => name.startsWith(key))) return undefined;
    return await this.acquire({ ...request, sharing: 'locked' }, onWait, signal);
  }

  #isMaking(key: string): boolean {
    return [...this.#making].some((name) => name.startsWith(key));
  }

  #lend(instance: Instance, { sharing, description }: CacheMountRequest): CacheLease {
    instance.users++;
    instance.exclusive = sharing !== 'shared';
    Object.assign(instance.record, {
      description,
      lastUsedMs: Date.now(),
      usageCount: instance.record.usageCount + 1,
    });
    this.#save(instance);
    let lent = true;
    const release = (): void => {
      if (!lent) return;
      lent = false;
      instance.users--;
      instance.record.lastUsedMs = Date.now();
      this.#save(instance);
      this.#announce(instance.name);
    };
    return { path: join(this.#directory, instance.name, DATA_NAME), release };
  }

  async #make(key: string, request: CacheMountRequest): Promise<Instance> {
    let number = 0;
    while (this.#instances.has(`${key}-${number}`) || this.#making.has(`${key}-${number}`)) number++;
    const name = `${key}-${number}`;
    this.#making.add(name);
    const temporary = join(this.#directory, `${TEMPORARY_PREFIX}${randomBytes(8).toString('hex')}`);
    try {
      const data = join(temporary, DATA_NAME);
      makeDirectory(data, 0o700);
      await step('build/fill-cache-mount', name, () => request.fill?.(data));
      if (request.keepsAttributes !== true) {
        chownSync(data, request.uid, request.gid);
        chmodSync(data, request.mode);
      }
      const now = Date.now();
      const record: CacheRecord = {
        id: request.id,
        description: request.description,
        createdMs: now,
        lastUsedMs: now,
        usageCount: 0,
        sizeBytes: 0,
        measuredMs: 0,
      };
      writeFileAtomic(join(temporary, RECORD_NAME), JSON.stringify(record));
      await this.#discard(name);
      stepSync('build/publish-cache-mount', name, () => renameSync(temporary, join(this.#directory, name)));
      const instance = { name, record, users: 0, exclusive: false, leaving: false };
      this.#instances.set(name, instance);
      return instance;
    } catch (error) {
      await removeNowOrLater(temporary, 'a cache mount that could not be made');
      throw error;
    } finally {
      this.#making.delete(name);
      this.#announce(name);
    }
  }

  #announce(name: string): void {
    const key = NAME.exec(name)?.[1] ?? '';
    const waiting = this.#waiting.get(key);
    this.#waiting.delete(key);
    for (const wake of waiting ?? []) wake();
  }

  async #freed(key: string, signal: AbortSignal): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const waiting = this.#waiting.get(key) ?? new Set();
    this.#waiting.set(key, waiting.add(resolve));
    const wake = (): void => resolve();
    signal.addEventListener('abort', wake, { once: true });
    try {
      await promise;
    } finally {
      signal.removeEventListener('abort', wake);
      waiting.delete(resolve);
    }
    signal.throwIfAborted();
  }

  #save({ name, record }: Instance): void {
    try {
      stepSync('build/save-cache-mount', name, () =>
        writeFileAtomic(join(this.#directory, name, RECORD_NAME), JSON.stringify(record)),
      );
    } catch (error) {
      log.warn({ err: error, cache: record.id }, 'the last use of a cache mount cannot be written down');
    }
  }

  async entries(): Promise<BuildCacheEntry[]> {
    const entries: BuildCacheEntry[] = [];
    for (const instance of [...this.#instances.values()]) {
      const { record, name } = instance;
      if (record.measuredMs <= record.lastUsedMs || instance.users > 0) {
        record.measuredMs = Date.now();
        record.sizeBytes = await diskUsage(join(this.#directory, name, DATA_NAME));
        if (this.#instances.has(name)) this.#save(instance);
      }
      const { createdMs, lastUsedMs, usageCount, sizeBytes, description } = record;
      const times = { createdMs, lastUsedMs, usageCount, sizeBytes, description };
      const inUse = instance.users > 0;
      entries.push({ id: name, type: 'exec.cachemount', inUse, shared: false, parents: [], ...times });
    }
    return entries;
  }

  async remove(id: string): Promise<number> {
    const instance = this.#instances.get(id);
    if (instance === undefined || instance.users > 0 || instance.leaving) return 0;
    instance.leaving = true;
    let sizeBytes: number;
    try {
      sizeBytes = await diskUsage(join(this.#directory, id, DATA_NAME));
      await step('build/remove-cache-mount', id, () => this.#discard(id));
    } catch (error) {
      instance.leaving = false;
      throw error;
    }
    return sizeBytes;
  }

  /** Those whose IDs begin with `namespace` and NUL, as far as they are not in use. */
  async removeNamespace(namespace: string): Promise<void> {
    const names = [...this.#instances.values()]
      .filter(({ record }) => record.id.startsWith(`${namespace}\0`))
      .map(({ name }) => name);
    for (const name of names) await this.remove(name);
  }

  /** Forgotten and out of the way at once, so that its name is free however long its files take to go. */
  async #discard(name: string): Promise<void> {
    const path = join(this.#directory, name);
    const isThere = statSync(path, { throwIfNoEntry: false }) !== undefined;
    const leftover = join(this.#directory, `${TEMPORARY_PREFIX}${randomBytes(8).toString('hex')}`);
    if (isThere) renameSync(path, leftover);
    this.#instances.delete(name);
    if (isThere) await removeNowOrLater(leftover, 'what is left of a cache mount');
  }
}

function keyOf({ id, fromKey, mode, uid, gid }: Omit<CacheMountRequest, 'sharing'>): string {
  return createHash('sha256')
    .update(JSON.stringify([id, fromKey, mode, uid, gid]))
    .digest('hex');
}

/** Undefined where it is not whole: written by nobody, or cut off by a power cut. */
function readRecord(directory: string): CacheRecord | undefined {
  try {
    if (!statSync(join(directory, DATA_NAME)).isDirectory()) return undefined;
    const record = JSON.parse(readFileSync(join(directory, RECORD_NAME), 'utf8')) as Partial<CacheRecord>;
    const { id, description, createdMs, lastUsedMs, usageCount, sizeBytes, measuredMs } = record;
    const numbers = [createdMs, lastUsedMs, usageCount, sizeBytes, measuredMs];
    if (typeof id !== 'string' || typeof description !== 'string') return undefined;
    return numbers.every((number) => typeof number === 'number') ? (record as CacheRecord) : undefined;
  } catch {
    // No record: the sweep takes it away.
    return undefined;
  }
}
