/**
 * Keeps layers and blobs from being collected while somebody is about to make an image of them, and collects what
 * no image, container or holder needs. A pull that finds a layer "already there" holds it, so that removing the
 * other image that has it, at the same moment, does not take it away. What cannot be removed, as on a disk that cannot
 * be written, is a waste of space and no failure of whoever let go of it: it is tried again, less and less often.
 */

import { errorMessage, InternalError } from '../../base/errors.ts';
import { log } from '../../base/log.ts';
import { retryLater } from '../../base/retry-later.ts';
import type { DiffID, Digest } from '../digest.ts';
import type { Snapshotter } from '../layers/snapshotter.ts';
import type { ContentStore } from './content-store.ts';
import type { ImageTables } from './image-tables.ts';

/** Unreferenced blobs stay this long: an interrupted pull that is started again finds them. */
const KEEP_UNUSED_BLOBS_MS = 24 * 3600 * 1000;

export interface HoldRequest {
  layers?: Iterable<DiffID>;
  blobs?: Iterable<Digest>;
}

export interface Hold {
  /** Ends the hold, and removes those of `unused` that nobody needs now (default none). Later calls do nothing. */
  release(unused?: Iterable<DiffID>): Promise<void>;
}

/** Of layers that are yet to be made. */
export interface NewLayersHold {
  /** For the snapshotter, which calls it in the moment when a layer is there; held until `release`. */
  readonly onStored: (diffId: DiffID) => void;
  /** Ends the hold, and removes those of its layers that nobody needs now. Later calls do nothing. */
  release(): Promise<void>;
}

export interface ImageHoldsOptions {
  tables: ImageTables;
  contentStore: ContentStore;
  snapshotter: Snapshotter;
  /** Layers that containers or builds need, whatever images there are. */
  layersInUse: () => Iterable<DiffID>;
}

export class ImageHolds {
  readonly #options: ImageHoldsOptions;
  readonly #held = new Map<string, number>();
  /** Layer removals under way. */
  readonly #removing = new Map<DiffID, Promise<void>>();
  /** What was to be removed while it was held; looked at again when the last holder lets go. */
  readonly #deferredLayers = new Set<DiffID>();
  readonly #deferredBlobs = new Set<Digest>();
  /** What could not be removed, though nobody needed it. */
  readonly #leftLayers = new Set<DiffID>();
  readonly #leftBlobs = new Set<Digest>();
  #retrying = false;

  constructor(options: ImageHoldsOptions) {
    this.#options = options;
  }

  /** From its return on, what is there stays. Waits for removals of the same layers that have begun. */
  async hold(request: HoldRequest): Promise<Hold> {
    const keys = [...(request.layers ?? []), ...(request.blobs ?? [])];
    for (const key of keys) this.#held.set(key, (this.#held.get(key) ?? 0) + 1);
    await Promise.allSettled([...(request.layers ?? [])].map((diffId) => this.#removing.get(diffId)));
    let released = false;
    return {
      release: async (unused = []) => {
        if (released) return;
        released = true;
        for (const key of keys) this.#letGo(key);
        await this.collect([...unused, ...this.#deferredLayers], [...this.#deferredBlobs]);
      },
    };
  }

  /** A hold after the making could come too late: another user of a layer of the same content may have let go of it. */
  holdNew(): NewLayersHold {
    const held: DiffID[] = [];
    return {
      onStored: (diffId) => {
        held.push(diffId);
        this.#held.set(diffId, (this.#held.get(diffId) ?? 0) + 1);
      },
      release: async () => {
        const unused = held.splice(0);
        if (unused.length === 0) return;
        for (const diffId of unused) this.#letGo(diffId);
        await this.collect([...unused, ...this.#deferredLayers], [...this.#deferredBlobs]);
      },
    };
  }

  #letGo(key: string): void {
    const count = (this.#held.get(key) ?? 0) - 1;
    if (count > 0) this.#held.set(key, count);
    else this.#held.delete(key);
  }

  /** Whether somebody is about to make an image of it. */
  isHeld(key: DiffID | Digest): boolean {
    return this.#held.has(key);
  }

  isRemoving(diffId: DiffID): boolean {
    return this.#removing.has(diffId);
  }

  /**
   * Removes those of the given layers and blobs that nobody needs, and what could not be removed before; returns the
   * bytes that they took.
   */
  async collect(layers: Iterable<DiffID>, blobs: Iterable<Digest>): Promise<number> {
    const { tables, layersInUse } = this.#options;
    const freedBytes = this.#removeBlobs([...blobs, ...this.#leftBlobs]);
    const unneeded = new Set<DiffID>();
    for (const diffId of new Set([...layers, ...this.#leftLayers])) {
      this.#leftLayers.delete(diffId);
      if (this.#held.has(diffId)) {
        this.#deferredLayers.add(diffId);
        continue;
      }
      this.#deferredLayers.delete(diffId);
      if (!tables.hasLayer(diffId)) unneeded.add(diffId);
    }
    // All containers and builds are asked, so only where the answer counts, and no longer than it does.
    for (const layer of unneeded.size === 0 ? [] : layersInUse()) {
      unneeded.delete(layer);
      if (unneeded.size === 0) break;
    }
    const freed = await Promise.all([...unneeded].map((diffId) => this.#removeOrLeave(diffId)));
    return freed.reduce((sum, bytes) => sum + bytes, freedBytes);
  }

  /** Those that nobody needs; returns the bytes that they took. */
  #removeBlobs(blobs: Iterable<Digest>): number {
    const { tables, contentStore } = this.#options;
    let freedBytes = 0;
    for (const digest of new Set(blobs)) {
      this.#leftBlobs.delete(digest);
      if (this.#held.has(digest)) {
        this.#deferredBlobs.add(digest);
        continue;
      }
      this.#deferredBlobs.delete(digest);
      if (tables.hasBlob(digest)) continue;
      const sizeBytes = contentStore.size(digest) ?? 0;
      try {
        contentStore.remove(digest);
        freedBytes += sizeBytes;
      } catch (error) {
        this.#leftBlobs.add(digest);
        this.#leave(`blob ${digest}`, error);
      }
    }
    return freedBytes;
  }

  async #removeOrLeave(diffId: DiffID): Promise<number> {
    try {
      return await this.#removeLayer(diffId);
    } catch (error) {
      this.#leftLayers.add(diffId);
      this.#leave(`layer ${diffId}`, error);
      return 0;
    }
  }

  #leave(what: string, error: unknown): void {
    if (this.#retrying) {
      log.debug({ object: what, error: errorMessage(error) }, 'what no image needs still cannot be removed');
      return;
    }
    log.warn(
      { object: what, error: errorMessage(error) },
      'what no image needs cannot be removed: it is tried again',
    );
    this.#retrying = true;
    const again = async (): Promise<void> => {
      await this.collect([], []);
      const count = this.#leftLayers.size + this.#leftBlobs.size;
      if (count > 0) throw new InternalError(`${count} layers and blobs still cannot be removed`);
      this.#retrying = false;
    };
    retryLater(again, () => undefined);
  }

  /** With its compressed forms: what was kept of it for a build has no image that takes them along. */
  async #removeLayer(diffId: DiffID): Promise<number> {
    const running = this.#removing.get(diffId);
    if (running !== undefined) {
      await running;
      return 0;
    }
    const layer = this.#options.snapshotter.layer(diffId);
    const removal = this.#options.snapshotter.remove(diffId).finally(() => this.#removing.delete(diffId));
    this.#removing.set(diffId, removal);
    const { tables } = this.#options;
    let freedBytes = 0;
    try {
      freedBytes = this.#removeBlobs(tables.layerBlobs(diffId).map(({ digest }) => digest));
      tables.deleteLayerBlobs(diffId);
    } finally {
      await removal;
    }
    return freedBytes + (layer?.tarSizeBytes ?? layer?.sizeBytes ?? 0);
  }

  /** Collects everything: what crashes and abandoned pulls left. */
  async sweep(): Promise<void> {
    const { tables, contentStore, snapshotter } = this.#options;
    contentStore.sweep();
    const old = contentStore
      .list()
      .filter(
        (digest) => !tables.hasBlob(digest) && (contentStore.ageMs(digest) ?? 0) > KEEP_UNUSED_BLOBS_MS,
      );
    const known = tables.layers();
    await this.collect(
      snapshotter.layers().filter((diffId) => !known.has(diffId)),
      old,
    );
    // Where a removal was cut short, what is known of a layer has outlived it.
    tables.forgetLayerBlobsBut(snapshotter.layers());
  }
}
