/**
 * Folders that last between builds, each with a record beside its content: `<directory>/<key>/info.json` and `…/content`.
 * One build at a time has a folder. They are listed, counted and removed as entries of the build cache.
 */

import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { removeTemporaryFiles, writeFileAtomic } from '../../base/atomic-file.ts';
import { diskUsage } from '../../base/disk-usage.ts';
import { errorMessage } from '../../base/errors.ts';
import { log } from '../../base/log.ts';
import { makeDirectory } from '../../base/make-directory.ts';
import { stepSync } from '../../base/steps.ts';
import type { BuildCacheEntry } from '../builder.ts';
import type { CacheStore } from '../cache/cache-store.ts';
import type { WorkFolders } from './work-folders.ts';

const INFO_NAME = 'info.json';
const CONTENT_NAME = 'content';
const KEY = /^[0-9a-f]{32}$/;

export interface KeptFoldersOptions {
  directory: string;
  /** BuildKit's word for entries of this kind: `source.local`, `source.git.checkout`. */
  type: string;
  work: WorkFolders;
}

interface KeptInfo {
  description: string;
  createdMs: number;
  lastUsedMs: number;
  usageCount: number;
  /** -1 where it must be counted. */
  sizeBytes: number;
  /** What the store itself wants to remember. */
  facts: Readonly<Record<string, string>>;
}

/** A folder that a build has for itself. */
export interface KeptFolder {
  /** Where its content is to be; an existing folder. */
  readonly path: string;
  /** As they were kept by the last build; empty for a new folder. */
  readonly facts: Readonly<Record<string, string>>;
  /** Gives it back. With `facts` they are kept instead, and the content has changed. */
  keep(facts?: Readonly<Record<string, string>>): void;
  /** Gives it back and removes it: what is in it cannot be used. */
  drop(): Promise<void>;
}

export class KeptFolders implements CacheStore {
  readonly #options: KeptFoldersOptions;
  readonly #infos = new Map<string, KeptInfo>();
  readonly #waiting = new Map<string, (() => void)[]>();

  constructor(options: KeptFoldersOptions) {
    this.#options = options;
    makeDirectory(options.directory, 0o700);
    for (const key of readdirSync(options.directory)) {
      const info = KEY.test(key) ? readInfo(join(options.directory, key, INFO_NAME)) : undefined;
      if (info !== undefined) this.#infos.set(key, info);
    }
  }

  /** The folder for these words, alone. Waits until no other build has it. */
  async take(words: readonly string[], description: string, signal: AbortSignal): Promise<KeptFolder> {
    const key = keyOf(words);
    for (;;) {
      signal.throwIfAborted();
      const folder = this.tryTake(words, description);
      if (folder !== undefined) return folder;
      await new Promise<void>((resolve) => {
        const done = (): void => {
          signal.removeEventListener('abort', done);
          resolve();
        };
        this.#waiting.get(key)?.push(done);
        signal.addEventListener('abort', done, { once: true });
      });
    }
  }

  /** The same, or undefined where another build has it. */
  tryTake(words: readonly string[], description: string): KeptFolder | undefined {
    const key = keyOf(words);
    if (this.#waiting.has(key)) return undefined;
    const now = Date.now();
    const info = this.#infos.get(key) ?? {
      description,
      createdMs: now,
      lastUsedMs: now,
      usageCount: 0,
      sizeBytes: -1,
      facts: {},
    };
    const path = join(this.#options.directory, key, CONTENT_NAME);
    makeDirectory(path, 0o777);
    this.#waiting.set(key, []);
    return {
      path,
      facts: info.facts,
      keep: (facts) => {
        const used = { ...info, lastUsedMs: Date.now(), usageCount: info.usageCount + 1 };
        this.#save(key, facts === undefined ? used : { ...used, facts, sizeBytes: -1 });
        this.#letGo(key);
      },
      drop: async () => {
        try {
          await this.#remove(key);
        } finally {
          this.#letGo(key);
        }
      },
    };
  }

  #letGo(key: string): void {
    const waiting = this.#waiting.get(key) ?? [];
    this.#waiting.delete(key);
    for (const wake of waiting) wake();
  }

  /** A record that is lost costs a transfer: it is not worth waiting for the disk. */
  #save(key: string, info: KeptInfo): void {
    this.#infos.set(key, info);
    try {
      const path = join(this.#options.directory, key, INFO_NAME);
      stepSync('build/save-source', info.description, () =>
        writeFileAtomic(path, JSON.stringify(info), { sync: false }),
      );
    } catch (error) {
      log.warn(`cannot write the record of ${info.description}: ${errorMessage(error)}`);
    }
  }

  async #remove(key: string): Promise<void> {
    this.#infos.delete(key);
    const path = join(this.#options.directory, key);
    if (!existsSync(path)) return;
    const doomed = this.#options.work.create();
    stepSync('build/remove-source', key, () => renameSync(path, join(doomed.path, key)));
    await doomed.release();
  }

  async entries(): Promise<readonly BuildCacheEntry[]> {
    const { directory, type } = this.#options;
    const entries: BuildCacheEntry[] = [];
    for (const [key, info] of this.#infos) {
      if (info.sizeBytes < 0) info.sizeBytes = await diskUsage(join(directory, key));
      entries.push({
        id: key,
        type,
        description: info.description,
        inUse: this.#waiting.has(key),
        shared: false,
        sizeBytes: info.sizeBytes,
        createdMs: info.createdMs,
        lastUsedMs: info.lastUsedMs,
        usageCount: info.usageCount,
        parents: [],
      });
    }
    return entries;
  }

  async remove(id: string): Promise<number> {
    const info = this.#infos.get(id);
    if (info === undefined || this.#waiting.has(id)) return 0;
    this.#waiting.set(id, []);
    try {
      const bytes = info.sizeBytes < 0 ? await diskUsage(join(this.#options.directory, id)) : info.sizeBytes;
      await this.#remove(id);
      return bytes;
    } finally {
      this.#letGo(id);
    }
  }

  /** Removes what a crash interrupted: folders that no record names, and records that were being written. */
  async sweep(): Promise<void> {
    const { directory } = this.#options;
    for (const key of this.#infos.keys()) removeTemporaryFiles(join(directory, key));
    const unknown = readdirSync(directory).filter((key) => !this.#infos.has(key));
    await Promise.all(unknown.map((name) => this.#options.work.remove(join(directory, name))));
  }
}

/**
 * Words of what is kept for builds of one namespace. Whoever brought it may have had credentials or a client of its own,
 * so that it is for nobody of another namespace.
 */
export function keptWords(namespace: string | undefined, ...words: string[]): string[] {
  return namespace === undefined ? words : [...words, `namespace ${namespace}`];
}

function keyOf(words: readonly string[]): string {
  return createHash('sha256').update(JSON.stringify(words)).digest('hex').slice(0, 32);
}

function readInfo(path: string): KeptInfo | undefined {
  try {
    const info: unknown = JSON.parse(readFileSync(path, 'utf8'));
    if (typeof info !== 'object' || info === null) return undefined;
    const { description, createdMs, lastUsedMs, usageCount, sizeBytes, facts } = info as Partial<KeptInfo>;
    if (typeof description !== 'string' || typeof facts !== 'object' || facts === null) return undefined;
    const number = (value: unknown, otherwise: number): number =>
      typeof value === 'number' && Number.isFinite(value) ? value : otherwise;
    return {
      description,
      createdMs: number(createdMs, 0),
      lastUsedMs: number(lastUsedMs, 0),
      usageCount: number(usageCount, 0),
      sizeBytes: number(sizeBytes, -1),
      facts: Object.fromEntries(Object.entries(facts).filter(([, value]) => typeof value === 'string')),
    };
  } catch {
    // Torn by a power cut, or never written: the folder is swept.
    return undefined;
  }
}
