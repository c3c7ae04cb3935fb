/**
 * The merged images of a store: `<store>/images/<key>/`, made when they are needed, dropped with any of their layers,
 * and bounded in number and size.
 */
import { readdirSync, renameSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { errnoCode, NotFoundError } from '../../../base/errors.ts';
import { makeDirectory } from '../../../base/make-directory.ts';
import type { DiffID } from '../../digest.ts';
import { INDEX_NAME } from '../layer-files.ts';
import type { LayerStore } from '../layer-store.ts';
import { imageKey, imagePath, isIntact, type MergedInfo, readMerged } from './merged-image.ts';

/**
 * Images that nobody has mounted stay so many and so large in sum: each RUN of a build makes one that is rarely
 * needed again, and the names of a large image take some 10 MB. Making one again takes less than half a second.
 */
const UNUSED_BOUND: UnusedBound = { count: 128, bytes: 512 * 1024 * 1024 };

export interface UnusedBound {
  count: number;
  bytes: number;
}

interface Known extends MergedInfo {
  /** The bytes are known to be right. */
  isChecked: boolean;
}

export class MergedImages {
  readonly #store: LayerStore;
  readonly #bound: UnusedBound;
  readonly #root: string;
  /** The least recently used first. */
  readonly #known = new Map<string, Known>();
  readonly #making = new Map<string, Promise<void>>();

  constructor(store: LayerStore, bound: UnusedBound = UNUSED_BOUND) {
    this.#store = store;
    this.#bound = bound;
    this.#root = join(store.directory.root, 'images');
    makeDirectory(this.#root, 0o700);
    this.#readAll();
  }

  #readAll(): void {
    const modifiedMs = (key: string): number =>
      statSync(this.#directory(key), { throwIfNoEntry: false })?.mtimeMs ?? 0;
    const keys = readdirSync(this.#root).map((key) => ({ key, at: modifiedMs(key) }));
    for (const { key } of keys.sort((a, b) => a.at - b.at)) {
      const info = readMerged(this.#directory(key));
      if (info === undefined || imageKey(info.layers) !== key) continue;
      this.#known.set(key, { ...info, isChecked: false });
    }
  }

  #directory(key: string): string {
    return join(this.#root, key);
  }

  path(key: string): string {
    return imagePath(this.#directory(key));
  }

  has(key: string): boolean {
    return this.#known.has(key);
  }

  /** The images that have a layer. */
  withLayer(diffId: DiffID): string[] {
    return [...this.#known].filter(([, { layers }]) => layers.includes(diffId)).map(([key]) => key);
  }

  /** Makes the image of layers, base first, where it is not there already and whole. */
  async ensure(key: string, layers: readonly DiffID[]): Promise<void> {
    const known = this.#known.get(key);
    if (known?.isChecked === true) {
      this.#known.delete(key);
      this.#known.set(key, known);
      return;
    }
    let making = this.#making.get(key);
    if (making === undefined) {
      making = this.#checkOrMake(key, layers).finally(() => this.#making.delete(key));
      this.#making.set(key, making);
    }
    await making;
  }

  async #checkOrMake(key: string, layers: readonly DiffID[]): Promise<void> {
    const known = this.#known.get(key);
    if (known !== undefined && (await isIntact(this.#directory(key), known))) {
      known.isChecked = true;
      return;
    }
    await this.#make(key, layers);
  }

  async #make(key: string, layers: readonly DiffID[]): Promise<void> {
    const { directory: names, pool } = this.#store;
    const directory = names.begin();
    try {
      const inputs = layers.map((diffId) => ({ diffId, index: join(names.path(diffId), INDEX_NAME) }));
      await pool.run({ kind: 'merge', layers: inputs, directory });
      const info = readMerged(directory);
      const gone = layers.find((diffId) => !this.#store.has(diffId));
      if (gone !== undefined || info === undefined) {
        throw new NotFoundError(`layer ${gone ?? ''} was removed while an image of it was made`);
      }
      this.drop(key);
      renameSync(directory, this.#directory(key));
      this.#known.set(key, { ...info, isChecked: true });
    } catch (error) {
      await this.#store.discard(directory);
      throw error;
    }
  }

  /**
   * Forgets an image; its files go in the background. Where it is mounted, the mount works on. Where it throws, the image
   * is here as before.
   */
  drop(key: string): void {
    const leftover = this.#store.directory.temporary();
    const isThere = renameIfThere(this.#directory(key), leftover);
    this.#known.delete(key);
    if (isThere) this.#store.discardSoon(leftover);
  }

  /** Drops those that nobody uses beyond the bound, the longest unused first. */
  trim(isUsed: (key: string) => boolean): void {
    const unused = [...this.#known].filter(([key]) => !isUsed(key));
    let count = unused.length;
    let bytes = unused.reduce((sum, [, { sizeBytes }]) => sum + sizeBytes, 0);
    for (const [key, { sizeBytes }] of unused) {
      if (count <= this.#bound.count && bytes <= this.#bound.bytes) return;
      count--;
      bytes -= sizeBytes;
      this.drop(key);
    }
  }

  /** Removes what is no image, or of layers that are not here. */
  sweep(): void {
    for (const key of readdirSync(this.#root)) {
      const known = this.#known.get(key);
      if (known?.layers.every((diffId) => this.#store.has(diffId)) !== true) this.drop(key);
    }
  }
}

function renameIfThere(from: string, to: string): boolean {
  try {
    renameSync(from, to);
    return true;
  } catch (error) {
    if (errnoCode(error) === 'ENOENT') return false;
    throw error;
  }
}
