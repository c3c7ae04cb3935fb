/** A Snapshotter for tests with a real store of indexed layers, worker threads included, but without mounts. */
import { existsSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { DiffID } from '../digest.ts';
import { TAR_NAME } from '../layers/layer-files.ts';
import { LayerStore } from '../layers/layer-store.ts';
import type { LayerInfo, LayerSource } from '../layers/snapshotter.ts';
import { FakeSnapshotter } from './fake-snapshotter.ts';

export class StoreSnapshotter extends FakeSnapshotter {
  readonly #root: string;
  readonly #store: LayerStore;

  constructor(root: string) {
    super();
    this.#root = root;
    this.#store = new LayerStore(root, { format: 'indexed', lasting: false });
  }

  override async add(source: LayerSource, signal?: AbortSignal): Promise<LayerInfo> {
    await this.gate(source);
    this.adds += 1;
    return await this.#store.add(source, signal);
  }

  override layer(diffId: DiffID): LayerInfo | undefined {
    return this.#store.layer(diffId);
  }

  override layers(): DiffID[] {
    return this.#store.layers();
  }

  override async remove(diffId: DiffID): Promise<void> {
    await this.#store.remove(diffId);
  }

  override async close(): Promise<void> {
    await this.#store.close();
  }

  /** Bytes of each tar in the store, unfinished ones included. */
  tarSizes(): number[] {
    return readdirSync(this.#root)
      .map((name) => join(this.#root, name, TAR_NAME))
      .filter((path) => existsSync(path))
      .map((path) => statSync(path).size);
  }
}
