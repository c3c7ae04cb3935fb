/**
 * The EROFS driver: every layer is its tar as it came and a small EROFS image of names and attributes that points into
 * it; nothing is unpacked. The indexes of an image's layers are merged into one (merged-images.ts), which is mounted
 * once (image-mounts.ts); a container is one overlay over that, and a read-only root filesystem is a bind of it. Where a
 * root grows step by step, the layers of its steps are mounted by their own indexes and lie on the image unmerged.
 */
import { createHash } from 'node:crypto';
import { statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Readable } from 'node:stream';
import { InternalError, InvalidParameterError } from '../../../base/errors.ts';
import { log } from '../../../base/log.ts';
import { addon } from '../../../native/addon.ts';
import { type DiffID, digestHex } from '../../digest.ts';
import { backingFileSystem } from '../backing-file-system.ts';
import { INDEX_NAME, layerDevices, readTarFile } from '../layer-files.ts';
import { LayerStore } from '../layer-store.ts';
import { mountMapped, mountMappedOverlay, sweepMapped } from '../mapped-mounts.ts';
import { mountOverlay, unmount } from '../overlay-mount.ts';
import type {
  CommitOptions,
  CommittedLayer,
  ContentIndex,
  DriverStatus,
  LayerInfo,
  LayerSource,
  LayerWriter,
  MountRequest,
  Snapshotter,
  TarOptions,
  UpperDirectory,
} from '../snapshotter.ts';
import { type ImageFiles, type MountMethod, mountImage } from './image-mount.ts';
import { ImageMounts } from './image-mounts.ts';
import { imageKey } from './merged-image.ts';
import { MergedImages, type UnusedBound } from './merged-images.ts';

const MS_BIND = 0x1000;
/** So many lowers of one overlay are cheap; where there would be more, what is stored is merged. */
const STACK_MAX = 48;
/** `run --rm` in a loop finds the image mounted still. */
const LINGER_MS = 10_000;

export interface ErofsOptions {
  /** Where images are mounted: below the exec root, gone after a reboot. */
  mountDirectory: string;
  method: MountMethod;
  /** False: nothing is ever flushed to disk. Default true. */
  lasting?: boolean;
  /** Root of the store that another driver keeps in this data root. */
  otherRoot?: string;
  /** Why this driver, for `info`. */
  reason?: string;
  /** How long an image stays mounted without a user; default 10 seconds. */
  lingerMs?: number;
  /** How many merged images stay that nobody has mounted. */
  unusedImages?: UnusedBound;
}

export class ErofsSnapshotter implements Snapshotter {
  readonly driver = 'erofs';
  readonly keepsTars = true;
  readonly #store: LayerStore;
  readonly #merged: MergedImages;
  readonly #mounts: ImageMounts;
  readonly #mountDirectory: string;
  readonly #method: MountMethod;
  readonly #reason: string | undefined;

  /** `root` is the driver's own directory, `<data-root>/layers/erofs`. */
  constructor(root: string, options: ErofsOptions) {
    const { mountDirectory, method, reason, lingerMs, unusedImages, ...storeOptions } = options;
    this.#store = new LayerStore(root, { format: 'indexed', ...storeOptions });
    this.#merged = new MergedImages(this.#store, unusedImages);
    this.#mounts = new ImageMounts(mountDirectory, lingerMs ?? LINGER_MS);
    this.#mountDirectory = mountDirectory;
    this.#method = method;
    this.#reason = reason;
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
    const { tarSizeBytes } = this.#store.stored(diffId);
    return readTarFile(this.#store.directory.path(diffId), tarSizeBytes ?? 0);
  }

  async check(diffId: DiffID): Promise<void> {
    const layer = this.#store.stored(diffId);
    const directory = this.#store.directory.path(diffId);
    const sizes = [layer.tarSizeBytes ?? 0, layer.spillSizeBytes ?? 0];
    for (const [i, path] of layerDevices(directory, layer).entries()) {
      const actual = statSync(path, { throwIfNoEntry: false })?.size;
      if (actual === undefined) throw new InternalError(`${path} is missing`);
      if (actual < (sizes[i] ?? 0)) throw new InternalError(`${path} is cut off at ${actual} bytes`);
    }
    const index = join(directory, INDEX_NAME);
    await this.#store.pool.run({ kind: 'check', index, name: `the index of layer ${diffId}` });
  }

  async restore(diffId: DiffID): Promise<boolean> {
    this.#dropImages(diffId);
    return await this.#store.restore(diffId);
  }

  async remove(diffId: DiffID): Promise<void> {
    this.#dropImages(diffId);
    this.#store.remove(diffId);
  }

  #dropImages(diffId: DiffID): void {
    this.#mounts.letGo(layerKey(diffId));
    for (const key of this.#merged.withLayer(diffId)) {
      this.#mounts.letGo(key);
      this.#merged.drop(key);
    }
  }

  async prepare(layers: readonly DiffID[]): Promise<void> {
    await this.#ensureMerged(imageKey(layers), layers);
  }

  async #ensureMerged(key: string, layers: readonly DiffID[]): Promise<void> {
    for (const diffId of layers) this.#store.stored(diffId);
    await this.#merged.ensure(key, layers);
    this.#merged.trim((other) => other === key || this.#mounts.has(other));
  }

  async mount(request: MountRequest): Promise<void> {
    const { upper, work, target } = request;
    if ((upper === undefined) !== (work === undefined)) {
      throw new InvalidParameterError('a writable mount needs both an upper and a work directory');
    }
    const { image, above } = this.#arrange(request);
    for (const diffId of image) this.#store.stored(diffId);
    const key = imageKey(image);
    try {
      const lowers = [await this.#mounts.use(key, target, (path) => this.#mountImage(key, image, path))];
      for (const part of above) {
        lowers.push(typeof part === 'string' ? await this.#useLayer(part, target) : part.upper);
      }
      this.#mountRoot(lowers, request);
    } catch (error) {
      this.#mounts.release(target);
      throw error;
    }
  }

  /** Which layers are one merged image, and what lies on it piece by piece. */
  #arrange({ layers, above }: MountRequest): {
    image: readonly DiffID[];
    above: readonly (DiffID | UpperDirectory)[];
  } {
    if (above === undefined) return { image: layers, above: [] };
    const parts = [...layers, ...above];
    const isOpaque = (part: DiffID | UpperDirectory): boolean =>
      typeof part === 'string' && this.#store.stored(part).hasOpaqueRoot;
    const opaque = above.findLastIndex(isOpaque);
    /* overlayfs does not look for the mark on the root of a lower. */
    if (opaque >= 0) return { image: [], above: above.slice(opaque) };
    const firstUpper = parts.findIndex((part) => typeof part !== 'string');
    const stored = parts.slice(0, firstUpper < 0 ? parts.length : firstUpper) as DiffID[];
    const merged = this.#longestMerged(stored) ?? layers.length;
    const count = parts.length - merged <= STACK_MAX ? merged : stored.length;
    return { image: stored.slice(0, count), above: parts.slice(count) };
  }

  /** How many of the layers, from the base on, are an image that is merged already. */
  #longestMerged(layers: readonly DiffID[]): number | undefined {
    for (let count = layers.length; count > 0; count--) {
      if (this.#merged.has(imageKey(layers.slice(0, count)))) return count;
    }
    return undefined;
  }

  /** Where a layer is mounted by its own index, whose whiteouts are in overlayfs's form. */
  async #useLayer(diffId: DiffID, target: string): Promise<string> {
    const directory = this.#store.directory.path(diffId);
    const devices = layerDevices(directory, this.#store.stored(diffId));
    const files = { image: join(directory, INDEX_NAME), devices };
    return await this.#mounts.use(layerKey(diffId), target, (path) => this.#mountFiles(files, path));
  }

  #mountRoot(lowers: readonly string[], { upper, work, volatile, target, owners }: MountRequest): void {
    const [image = ''] = lowers;
    const mount = { lowers, upper, work, volatile, target };
    const isPlain = upper === undefined && lowers.length === 1;
    if (owners === undefined) {
      if (isPlain) addon().mount(image, target, '', MS_BIND, '');
      else mountOverlay(mount);
    } else if (isPlain) mountMapped(image, target, owners);
    else mountMappedOverlay(mount, { lowerRoots: lowers, directory: dirname(image), owners });
  }

  async #mountImage(key: string, layers: readonly DiffID[], path: string): Promise<void> {
    await this.#ensureMerged(key, layers);
    try {
      await this.#mountMerged(key, layers, path);
    } catch (error) {
      log.warn({ err: error }, 'the merged image cannot be mounted, and is made again');
      this.#merged.drop(key);
      await this.#ensureMerged(key, layers);
      await this.#mountMerged(key, layers, path);
    }
  }

  async #mountMerged(key: string, layers: readonly DiffID[], target: string): Promise<void> {
    await this.#mountFiles({ image: this.#merged.path(key), devices: this.#devices(layers) }, target);
  }

  async #mountFiles(files: ImageFiles, target: string): Promise<void> {
    const method = this.#method;
    if (method === 'file-backed') mountImage(method, files, target);
    else await this.#store.pool.run({ kind: 'mount', method, files, target });
  }

  #devices(layers: readonly DiffID[]): string[] {
    return layers.flatMap((diffId) =>
      layerDevices(this.#store.directory.path(diffId), this.#store.stored(diffId)),
    );
  }

  contentIndex(layers: readonly DiffID[]): ContentIndex {
    return { path: this.#merged.path(imageKey(layers)), devices: this.#devices(layers) };
  }

  async unmount(target: string): Promise<void> {
    await unmount(target);
    this.#mounts.release(target);
  }

  status(): DriverStatus {
    return [
      ['Backing Filesystem', backingFileSystem(this.#store.directory.root)],
      ['Mounts', this.#method],
      ['Layers', String(this.#store.size)],
      ['Mounted Images', String(this.#mounts.size)],
      ...(this.#reason === undefined ? [] : ([['Reason', this.#reason]] as DriverStatus)),
    ];
  }

  async sweep(): Promise<void> {
    sweepMapped(this.#mountDirectory);
    this.#mounts.sweep();
    this.#merged.sweep();
    await this.#store.sweep();
  }

  async close(): Promise<void> {
    /* Others may have unmounted what lay on an image. */
    this.#mounts.sweep();
    await this.#mounts.close();
    await this.#store.close();
  }
}

/** Names the mount of a layer by itself, among those of images. */
function layerKey(diffId: DiffID): string {
  return createHash('sha256')
    .update(`layer\n${digestHex(diffId)}`)
    .digest('hex');
}
