/**
 * The overlay driver: every layer unpacked into a directory of its own, root filesystems mounted with overlayfs, one
 * lower a layer. Layers come and go through layer-store.ts.
 */
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { InvalidParameterError } from '../../base/errors.ts';
import { makeDirectory } from '../../base/make-directory.ts';
import type { DiffID } from '../digest.ts';
import { backingFileSystem } from './backing-file-system.ts';
import { LayerStore } from './layer-store.ts';
import { TREE_NAME } from './layer-target.ts';
import { mountMappedOverlay, sweepMapped } from './mapped-mounts.ts';
import { mountOverlay, unmount } from './overlay-mount.ts';
import type {
  CommitOptions,
  CommittedLayer,
  DriverStatus,
  LayerInfo,
  LayerSource,
  LayerWriter,
  MountRequest,
  Snapshotter,
  TarOptions,
  UpperDirectory,
} from './snapshotter.ts';

export interface OverlayOptions {
  /** False: nothing is ever flushed to disk. Default true. */
  lasting?: boolean;
  /** Root of the store that another driver keeps in this data root. */
  otherRoot?: string;
  /** Why this driver, for `info`. */
  reason?: string;
  /** Where mapped layers are mounted for a moment; below its root where left out. */
  mountDirectory?: string;
}

export class OverlaySnapshotter implements Snapshotter {
  readonly driver = 'overlay';
  readonly keepsTars = false;
  readonly #store: LayerStore;
  readonly #reason: string | undefined;
  /** Directories without anything, below images of no or one layer. */
  readonly #empties: readonly [string, string];
  readonly #root: string;
  readonly #mountDirectory: string;

  /** `root` is the driver's own directory, `<data-root>/layers/overlay`, on the file system of the content store. */
  constructor(root: string, options: OverlayOptions = {}) {
    const { reason, mountDirectory, ...storeOptions } = options;
    this.#store = new LayerStore(root, { format: 'unpacked', ...storeOptions });
    this.#reason = reason;
    this.#root = root;
    this.#mountDirectory = mountDirectory ?? join(root, 'mapped');
    this.#empties = [join(root, 'empty', '1'), join(root, 'empty', '2')];
    for (const directory of this.#empties) makeDirectory(directory, 0o755);
  }

  layer(diffId: DiffID): LayerInfo | undefined {
    return this.#store.layer(diffId);
  }

  layers(): DiffID[] {
    return this.#store.layers();
  }

  async add(source: LayerSource, signal?: AbortSignal): Promise<LayerInfo> {
    return await this.#store.add(source, signal);
  }

  async addTar(
    source: string | AsyncIterable<Uint8Array>,
    options?: TarOptions,
    signal?: AbortSignal,
  ): Promise<CommittedLayer> {
    return await this.#store.addTar(source, options, signal);
  }

  async create(
    write: (layer: LayerWriter) => Promise<void>,
    options?: TarOptions,
    signal?: AbortSignal,
  ): Promise<CommittedLayer> {
    return await this.#store.create(write, options, signal);
  }

  async commit(upper: string, signal?: AbortSignal, options?: CommitOptions): Promise<CommittedLayer> {
    return await this.#store.commit(upper, signal, options);
  }

  exportTar(diffId: DiffID): Readable {
    const { hasRootEntry } = this.#store.stored(diffId);
    return this.#store.readJob({ kind: 'export', directory: this.#tree(diffId), withRoot: hasRootEntry });
  }

  async remove(diffId: DiffID): Promise<void> {
    this.#store.remove(diffId);
  }

  async restore(diffId: DiffID): Promise<boolean> {
    return await this.#store.restore(diffId);
  }

  async prepare(): Promise<void> {
    // Unpacked layers are ready to be mounted.
  }

  status(): DriverStatus {
    return [
      ['Backing Filesystem', backingFileSystem(this.#store.directory.root)],
      ['Layers', String(this.#store.size)],
      ...(this.#reason === undefined ? [] : ([['Reason', this.#reason]] as DriverStatus)),
    ];
  }

  async mount(request: MountRequest): Promise<void> {
    const parts: (DiffID | UpperDirectory)[] = [...request.layers, ...(request.above ?? [])];
    const layers = parts.map((part) => (typeof part === 'string' ? this.#store.stored(part) : part));
    if ((request.upper === undefined) !== (request.work === undefined)) {
      throw new InvalidParameterError('a writable mount needs both an upper and a work directory');
    }
    const opaque = layers.findLastIndex((layer) => 'diffId' in layer && layer.hasOpaqueRoot);
    const uppers = layers.flatMap((layer) => ('upper' in layer ? [layer.upper] : []));
    const mount = {
      lowers: layers
        .slice(Math.max(opaque, 0))
        .map((layer) => ('upper' in layer ? layer.upper : this.#tree(layer.diffId))),
      empties: this.#empties,
      upper: request.upper,
      work: request.work,
      volatile: request.volatile,
      target: request.target,
    };
    const { owners } = request;
    if (owners === undefined) mountOverlay(mount);
    else {
      const lowerRoots = [this.#root, ...uppers];
      mountMappedOverlay(mount, { lowerRoots, directory: this.#mountDirectory, owners });
    }
  }

  #tree(diffId: DiffID): string {
    return join(this.#store.directory.path(diffId), TREE_NAME);
  }

  async unmount(target: string): Promise<void> {
    await unmount(target);
  }

  async sweep(): Promise<void> {
    sweepMapped(this.#mountDirectory);
    await this.#store.sweep();
  }

  async close(): Promise<void> {
    await this.#store.close();
  }
}
