/**
 * Trees that are shown by mounting layers read-only: images and stages, and archives of clients, which are stored as a
 * layer of their own instead of being unpacked and go when the last build that has them is done.
 */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { DiffID } from '../../image/digest.ts';
import type { Snapshotter } from '../../image/layers/snapshotter.ts';
import type { ImageStore, NewLayersHold } from '../../image/store/image-store.ts';
import type { SourceTree } from './source-tree.ts';
import type { WorkFolders } from './work-folders.ts';

export interface LayerTreesOptions {
  snapshotter: Snapshotter;
  images: Pick<ImageStore, 'holdNew'>;
  work: WorkFolders;
}

export class LayerTrees {
  readonly #options: LayerTreesOptions;

  constructor(options: LayerTreesOptions) {
    this.#options = options;
  }

  /** Base first. The caller sees to it that the layers stay. */
  async open(layers: readonly DiffID[], title: string): Promise<SourceTree> {
    const { path, unmount } = await this.#mount(layers);
    return { path, title, times: 'kept', live: false, identity: layers.join(), release: unmount };
  }

  /**
   * Stores an archive, compressed or not, and shows its files. Throws InvalidParameter, naming the entry, for one that is
   * broken, leaves its root, or has names that mean something in layers.
   */
  async openArchive(
    source: string | AsyncIterable<Uint8Array>,
    title: string,
    signal: AbortSignal,
  ): Promise<SourceTree> {
    const hold = this.#options.images.holdNew();
    try {
      const diffId = await this.#store(source, hold, signal);
      const { path, unmount } = await this.#mount([diffId]);
      const release = async (): Promise<void> => {
        await unmount();
        await hold.release();
      };
      return { path, title, times: 'uniform', live: false, release };
    } catch (error) {
      await hold.release();
      throw error;
    }
  }

  async #store(
    source: string | AsyncIterable<Uint8Array>,
    { onStored }: NewLayersHold,
    signal: AbortSignal,
  ): Promise<DiffID> {
    const options = { contents: 'files', compression: 'none', onStored } as const;
    const layer = await this.#options.snapshotter.addTar(source, options, signal);
    // Drivers that make a blob beside the layer: nobody pushes this one.
    if (layer.blob !== undefined) await this.#options.work.remove(layer.blob.path);
    return layer.diffId;
  }

  async #mount(layers: readonly DiffID[]): Promise<{ path: string; unmount: () => Promise<void> }> {
    const { snapshotter, work } = this.#options;
    const folder = work.create();
    const path = join(folder.path, 'root');
    mkdirSync(path);
    try {
      await snapshotter.mount({ layers, target: path });
    } catch (error) {
      await folder.release();
      throw error;
    }
    let unmounted: Promise<void> | undefined;
    const unmount = async (): Promise<void> => {
      await snapshotter.unmount(path);
      await folder.release();
    };
    return {
      path,
      unmount: () => {
        unmounted ??= unmount();
        return unmounted;
      },
    };
  }
}
