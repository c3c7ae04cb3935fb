/**
 * What storage drivers share: the layers of one store, how they come in (in worker threads: layer-jobs.ts), when they
 * are visible, when they are on the disk, and how they go. What a layer's files are is the format's business
 * (layer-target.ts); mounting them is the driver's.
 */

import { existsSync, renameSync } from 'node:fs';
import { Readable } from 'node:stream';
import { errnoCode, InternalError, NotFoundError } from '../../base/errors.ts';
import { log } from '../../base/log.ts';
import { step, stepSync } from '../../base/steps.ts';
import { type DiffID, parseDiffID, parseDigest } from '../digest.ts';
import { LayerDirectory, type StoredLayer } from './layer-directory.ts';
import { readTarFile } from './layer-files.ts';
import { LayerLeftovers } from './layer-leftovers.ts';
import type {
  BlobOptions,
  CommitOptions,
  CommittedLayer,
  LayerInfo,
  LayerSource,
  LayerWriter,
  TarOptions,
} from './snapshotter.ts';
import { feedEntries, feedTar } from './work/layer-feed.ts';
import { SharedRuns } from './work/shared-runs.ts';
import { type JobHooks, WorkerPool } from './work/worker-pool.ts';
import type { Job, JobResult, LayerFormat, NewLayer } from './work/worker-protocol.ts';

const SYNC_DELAY_MS = 2000;

type OnStored = BlobOptions['onStored'] | undefined;

export interface LayerStoreOptions {
  format: LayerFormat;
  /** False: nothing is ever flushed to disk, for stores that need not outlive the machine's next boot. Default true. */
  lasting?: boolean;
  /** Root of the store that another driver keeps in this data root, whether it exists or not. */
  otherRoot?: string;
}

export class LayerStore {
  readonly directory: LayerDirectory;
  readonly pool = new WorkerPool();
  readonly #leftovers = new LayerLeftovers(this.pool);
  readonly #format: LayerFormat;
  readonly #lasting: boolean;
  readonly #other: LayerDirectory | undefined;
  readonly #layers = new Map<DiffID, StoredLayer>();
  readonly #adding = new SharedRuns<LayerInfo>();
  /** Stored, but maybe not on the disk yet. */
  readonly #unsynced = new Set<DiffID>();
  #syncTimer: NodeJS.Timeout | undefined;
  #syncing: Promise<void> | undefined;

  /** `root` is the store's own directory, on the file system of the content store. */
  constructor(root: string, options: LayerStoreOptions) {
    const { format, lasting, otherRoot } = options;
    this.#format = format;
    this.#lasting = lasting ?? true;
    this.directory = new LayerDirectory(root);
    if (otherRoot !== undefined && existsSync(otherRoot)) this.#other = new LayerDirectory(otherRoot);
    const { layers, unsynced } = this.directory.read();
    for (const layer of layers) this.#layers.set(layer.diffId, layer);
    for (const diffId of unsynced) this.#unsynced.add(diffId);
  }

  get size(): number {
    return this.#layers.size;
  }

  /** What is stored of a layer; throws NotFound. */
  stored(diffId: DiffID): StoredLayer {
    const layer = this.#layers.get(diffId);
    if (layer === undefined) throw new NotFoundError(`layer ${diffId} is not in the store`);
    return layer;
  }

  has(diffId: DiffID): boolean {
    return this.#layers.has(diffId);
  }

  layer(diffId: DiffID): LayerInfo | undefined {
    const layer = this.#layers.get(diffId);
    return layer === undefined ? undefined : layerInfo(layer);
  }

  layers(): DiffID[] {
    return [...this.#layers.keys()];
  }

  async add(source: LayerSource, signal?: AbortSignal): Promise<LayerInfo> {
    signal?.throwIfAborted();
    const known = this.layer(source.diffId);
    if (known !== undefined) {
      /* What was stored for a while may be meant to last now. */
      if (this.#unsynced.has(source.diffId)) this.#syncSoon();
      return known;
    }
    return await this.#adding.join(source.diffId, source.onProgress, signal, (onProgress, shared) =>
      this.#add(source, onProgress, shared),
    );
  }

  async #add(
    source: LayerSource,
    onProgress: (consumedBytes: number) => void,
    signal: AbortSignal,
  ): Promise<LayerInfo> {
    const { blobPath, compression, diffId, growing } = source;
    const directory = this.directory.begin();
    const target = { format: this.#format, directory };
    const job: Job = { kind: 'add', blobPath, compression, diffId, target };
    try {
      const result = await this.pool.run(
        job,
        growing === undefined ? { onProgress } : { onProgress, growing },
        signal,
      );
      return await this.#publish(directory, result);
    } catch (error) {
      await this.#leftovers.removeOrLeave(directory);
      throw error;
    }
  }

  async addTar(
    source: string | AsyncIterable<Uint8Array>,
    options: TarOptions = {},
    signal?: AbortSignal,
  ): Promise<CommittedLayer> {
    const files = options.contents === 'files';
    if (typeof source === 'string') {
      return await this.#newLayer(
        (layer) => ({ kind: 'tar', tarPath: source, layer, files }),
        {},
        options,
        signal,
      );
    }
    const feed: JobHooks['feed'] = (send) => feedTar(source, send);
    return await this.#newLayer(
      (layer) => ({ kind: 'tar', tarPath: undefined, layer, files }),
      { feed },
      options,
      signal,
    );
  }

  async create(
    write: (layer: LayerWriter) => Promise<void>,
    options: BlobOptions = {},
    signal?: AbortSignal,
  ): Promise<CommittedLayer> {
    const feed: JobHooks['feed'] = (send) => feedEntries(write, send);
    return await this.#newLayer((layer) => ({ kind: 'create', layer }), { feed }, options, signal);
  }

  async commit(upper: string, signal?: AbortSignal, options: CommitOptions = {}): Promise<CommittedLayer> {
    const exclude = options.exclude ?? [];
    return await this.#newLayer((layer) => ({ kind: 'commit', upper, exclude, layer }), {}, options, signal);
  }

  /** A layer that exists nowhere else: it gets a blob, or is on the disk when the call returns; files need neither. */
  async #newLayer(
    job: (layer: NewLayer) => Job,
    hooks: JobHooks,
    options: TarOptions,
    signal: AbortSignal | undefined,
  ): Promise<CommittedLayer> {
    const isTemporary = options.contents === 'files';
    const directory = this.directory.begin();
    const target = { format: this.#format, directory };
    const blob =
      this.#format === 'indexed' || isTemporary
        ? undefined
        : { path: this.directory.temporary(), compression: options.compression ?? 'gzip' };
    try {
      const result = await this.pool.run(
        job(blob === undefined ? { target } : { target, blob }),
        hooks,
        signal,
      );
      const { onStored } = options;
      if (isTemporary) return await this.#publish(directory, result, { isLasting: false, onStored });
      if (blob === undefined) return await this.#publishSynced(directory, result, onStored);
      const layer = await this.#publish(directory, result, { onStored });
      if (result.blob === undefined)
        throw new InternalError(`layer ${layer.diffId} was made without its blob`);
      const { digest, sizeBytes } = result.blob;
      return { ...layer, blob: { path: blob.path, digest: parseDigest(digest), sizeBytes } };
    } catch (error) {
      await this.#leftovers.removeOrLeave(directory);
      if (blob !== undefined) await this.discard(blob.path);
      throw error;
    }
  }

  async #publish(
    directory: string,
    result: JobResult,
    { isLasting = true, onStored }: { isLasting?: boolean; onStored?: OnStored } = {},
  ): Promise<LayerInfo> {
    const layer = storedLayer(result);
    stepSync('layer/complete', layer.diffId, () => this.directory.complete(directory, layer));
    const isNew = await this.#show(directory, layer, onStored);
    if (isNew) {
      this.#unsynced.add(layer.diffId);
      if (isLasting) this.#syncSoon();
    }
    return layerInfo(layer);
  }

  async #publishSynced(directory: string, result: JobResult, onStored: OnStored): Promise<LayerInfo> {
    if (!this.#lasting) return await this.#publish(directory, result, { onStored });
    const layer = storedLayer(result);
    await step('layer/complete', layer.diffId, () => this.directory.completeSynced(directory, layer));
    if (await this.#show(directory, layer, onStored)) await this.directory.syncNames();
    else if (this.#unsynced.has(layer.diffId)) await this.#sync();
    return layerInfo(layer);
  }

  /** Makes a layer visible; false where another call had made the same one meanwhile. */
  async #show(directory: string, layer: StoredLayer, onStored: OnStored): Promise<boolean> {
    const { diffId } = layer;
    if (this.#layers.has(diffId)) {
      onStored?.(diffId);
      await this.discard(directory);
      return false;
    }
    /* What has the name and is not known was found torn. */
    const torn = this.directory.unpublish(diffId);
    stepSync('layer/publish', diffId, () => this.directory.publish(directory, diffId));
    this.#layers.set(diffId, layer);
    onStored?.(diffId);
    if (torn !== undefined) await this.discard(torn);
    return true;
  }

  /**
   * Flushes what was stored, in the background and not while more is coming. A layer that a power cut tears before
   * that is dropped and added again.
   */
  #syncSoon(): void {
    clearTimeout(this.#syncTimer);
    this.#syncTimer = setTimeout(() => void this.#sync(), SYNC_DELAY_MS).unref();
  }

  async #sync(): Promise<void> {
    clearTimeout(this.#syncTimer);
    if (!this.#lasting) return;
    this.#syncing ??= this.#syncAll()
      .catch((error: unknown) => log.warn({ err: error }, 'layers could not be flushed to disk'))
      .finally(() => {
        this.#syncing = undefined;
      });
    await this.#syncing;
  }

  async #syncAll(): Promise<void> {
    while (this.#unsynced.size > 0) {
      const layers = [...this.#unsynced];
      await this.pool.run({ kind: 'sync', path: this.directory.root });
      for (const diffId of layers) {
        this.directory.markSynced(diffId);
        this.#unsynced.delete(diffId);
      }
    }
  }

  /** Removes a file or tree, whose failure is no more than a waste of space until the next `sweep`. */
  async discard(path: string): Promise<void> {
    await this.#leftovers.remove(path);
  }

  /** The same in the background; `close` waits for it. */
  discardSoon(path: string): void {
    void this.#leftovers.remove(path);
  }

  /** The output of a job as a stream. */
  readJob(job: Job): Readable {
    const abort = new AbortController();
    let room: (() => void) | undefined;
    const stream = new Readable({
      highWaterMark: 1024 * 1024,
      read: () => room?.(),
      destroy: (error, callback) => {
        abort.abort();
        callback(error);
      },
    });
    const onOutput = async (chunk: Buffer): Promise<void> => {
      if (stream.push(chunk)) return;
      await new Promise<void>((resolve) => {
        room = resolve;
      });
    };
    this.pool.run(job, { onOutput }, abort.signal).then(
      () => stream.push(null),
      (error: unknown) => stream.destroy(error instanceof Error ? error : new Error(String(error))),
    );
    return stream;
  }

  /**
   * Forgets a layer; its files go in the background. What another driver kept of it, before the driver of this data
   * root was changed, goes as well: nobody else would ever remove that. Where it throws, the layer is here as before.
   */
  remove(diffId: DiffID): void {
    stepSync('layer/remove', diffId, () => {
      const others = this.#other?.unpublish(diffId);
      if (others !== undefined) this.discardSoon(others);
      const own = this.directory.unpublish(diffId);
      this.#layers.delete(diffId);
      this.#unsynced.delete(diffId);
      if (own !== undefined) this.discardSoon(own);
    });
  }

  /**
   * Stores a layer anew from its tar, this store's own or another driver's; false where neither has one. Layers of
   * drivers without tars have blobs, from which they are added again.
   */
  async restore(diffId: DiffID): Promise<boolean> {
    const own = this.#layers.get(diffId);
    const tar = this.#openTar(this.directory, diffId) ?? this.#openTar(this.#other, diffId);
    if (tar === undefined) return false;
    /* What is not known is replaced where it is, when the new one is whole. */
    this.#layers.delete(diffId);
    try {
      const added = await this.addTar(tar, { compression: 'none' });
      if (added.blob !== undefined) await this.discard(added.blob.path);
      if (added.diffId === diffId) return true;
      this.remove(added.diffId);
      throw new InternalError(`the tar of layer ${diffId} is damaged: it is ${added.diffId}`);
    } catch (error) {
      if (own !== undefined && !this.#layers.has(diffId)) this.#layers.set(diffId, own);
      throw error;
    }
  }

  #openTar(store: LayerDirectory | undefined, diffId: DiffID): Readable | undefined {
    const found = store?.read().layers.find((layer) => layer.diffId === diffId);
    if (store === undefined || found?.tarSizeBytes === undefined) return undefined;
    try {
      return readTarFile(store.path(diffId), found.tarSizeBytes);
    } catch (error) {
      if (errnoCode(error) === 'ENOENT') return undefined;
      throw error;
    }
  }

  /** Removes leftovers; layers that a power cut may have torn are among them. */
  async sweep(): Promise<void> {
    const { leftovers } = this.directory.read();
    for (const path of leftovers) await this.#leftovers.removeOrLeave(this.#aside(path));
    for (const path of this.#other?.read().leftovers ?? []) await this.#leftovers.removeOrLeave(path);
    this.#syncSoon();
  }

  /** What is removed in the background must not have a layer's name: that may be stored anew meanwhile. */
  #aside(path: string): string {
    const aside = this.directory.temporary();
    renameSync(path, aside);
    return aside;
  }

  async close(): Promise<void> {
    await this.#sync();
    await this.#leftovers.close();
    await this.pool.close();
  }
}

function storedLayer(result: JobResult): StoredLayer {
  const { diffId, blob: _, ...facts } = result;
  return { diffId: parseDiffID(diffId), ...facts };
}

function layerInfo({ diffId, sizeBytes, tarSizeBytes }: StoredLayer): LayerInfo {
  return tarSizeBytes === undefined ? { diffId, sizeBytes } : { diffId, sizeBytes, tarSizeBytes };
}
