/**
 * The overlay driver: every layer unpacked into a directory of its own, root filesystems mounted with overlayfs. It
 * owns what is visible when; reading and writing layers happens in worker threads (layer-jobs.ts), files and names on
 * disk are layer-directory.ts.
 */
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { InternalError, InvalidParameterError, NotFoundError } from '../../base/errors.ts';
import { log } from '../../base/log.ts';
import { type DiffID, parseDiffID, parseDigest } from '../digest.ts';
import { LayerDirectory, type StoredLayer } from './layer-directory.ts';
import { feedEntries, feedTar } from './layer-feed.ts';
import { mountOverlay, unmountOverlay } from './overlay-mount.ts';
import { SharedRuns } from './shared-runs.ts';
import type {
  BlobOptions,
  CommitOptions,
  CommittedLayer,
  DriverStatus,
  LayerInfo,
  LayerSource,
  LayerWriter,
  MountRequest,
  Snapshotter,
} from './snapshotter.ts';
import { type JobHooks, WorkerPool } from './worker-pool.ts';
import type { Job, JobResult, LayerFiles, NewLayer } from './worker-protocol.ts';

const SYNC_DELAY_MS = 2000;

export class OverlaySnapshotter implements Snapshotter {
  readonly driver = 'overlay';
  readonly keepsTars = false;
  readonly #directory: LayerDirectory;
  readonly #pool = new WorkerPool();
  readonly #layers = new Map<DiffID, StoredLayer>();
  readonly #adding = new SharedRuns<LayerInfo>();
  /** Stored, but maybe not on the disk yet. */
  readonly #unsynced = new Set<DiffID>();
  readonly #lasting: boolean;
  #syncTimer: NodeJS.Timeout | undefined;
  #syncing: Promise<void> | undefined;

  /**
   * `root` is the driver's own directory (`<data-root>/layers`), on the file system of the content store. With
   * `lasting` false nothing is ever flushed to disk: for stores that need not outlive the machine's next boot.
   */
  constructor(root: string, options: { lasting?: boolean } = {}) {
    this.#lasting = options.lasting ?? true;
    this.#directory = new LayerDirectory(root);
    const { layers, unsynced } = this.#directory.read();
    for (const layer of layers) this.#layers.set(layer.diffId, layer);
    for (const diffId of unsynced) this.#unsynced.add(diffId);
  }

  layer(diffId: DiffID): LayerInfo | undefined {
    const layer = this.#layers.get(diffId);
    return layer === undefined ? undefined : { diffId, sizeBytes: layer.sizeBytes };
  }

  layers(): DiffID[] {
    return [...this.#layers.keys()];
  }

  async add(source: LayerSource, signal?: AbortSignal): Promise<LayerInfo> {
    signal?.throwIfAborted();
    const known = this.layer(source.diffId);
    if (known !== undefined) return known;
    return await this.#adding.join(source.diffId, source.onProgress, signal, (onProgress, shared) =>
      this.#add(source, onProgress, shared),
    );
  }

  async #add(
    source: LayerSource,
    onProgress: (consumedBytes: number) => void,
    signal: AbortSignal,
  ): Promise<LayerInfo> {
    const { blobPath, compression, diffId } = source;
    const directory = this.#directory.begin();
    const target: LayerFiles = { format: 'unpacked', directory: join(directory, 'fs') };
    const job: Job = { kind: 'add', blobPath, compression, diffId, target };
    try {
      const result = await this.#pool.run(job, { onProgress }, signal);
      return await this.#publish(directory, diffId, result);
    } catch (error) {
      await this.#discard(directory);
      throw error;
    }
  }

  async addTar(
    source: string | AsyncIterable<Uint8Array>,
    options: BlobOptions = {},
    signal?: AbortSignal,
  ): Promise<CommittedLayer> {
    if (typeof source === 'string') {
      return await this.#newLayer((layer) => ({ kind: 'tar', tarPath: source, layer }), {}, options, signal);
    }
    const feed: JobHooks['feed'] = (send) => feedTar(source, send);
    return await this.#newLayer(
      (layer) => ({ kind: 'tar', tarPath: undefined, layer }),
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

  async #newLayer(
    job: (layer: NewLayer) => Job,
    hooks: JobHooks,
    options: BlobOptions,
    signal: AbortSignal | undefined,
  ): Promise<CommittedLayer> {
    const directory = this.#directory.begin();
    const blobPath = this.#directory.temporary();
    const compression = options.compression ?? 'gzip';
    try {
      const target: LayerFiles = { format: 'unpacked', directory: join(directory, 'fs') };
      const result = await this.#pool.run(
        job({ target, blob: { path: blobPath, compression } }),
        hooks,
        signal,
      );
      const layer = await this.#publish(directory, parseDiffID(result.diffId), result);
      if (result.blob === undefined)
        throw new InternalError(`layer ${layer.diffId} was made without its blob`);
      const { digest, sizeBytes } = result.blob;
      return { ...layer, blob: { path: blobPath, digest: parseDigest(digest), sizeBytes } };
    } catch (error) {
      await this.#discard(directory);
      await this.#discard(blobPath);
      throw error;
    }
  }

  async #publish(directory: string, diffId: DiffID, result: JobResult): Promise<LayerInfo> {
    const { sizeBytes, hasRootEntry, hasOpaqueRoot } = result;
    const layer: StoredLayer = { diffId, sizeBytes, hasRootEntry, hasOpaqueRoot };
    if (this.#layers.has(diffId)) {
      /* Another call made the same layer meanwhile. */
      await this.#discard(directory);
      return { diffId, sizeBytes };
    }
    /* What has the name and is not known was found torn. */
    const torn = this.#directory.unpublish(diffId);
    this.#directory.publish(directory, layer);
    this.#layers.set(diffId, layer);
    this.#unsynced.add(diffId);
    this.#syncSoon();
    if (torn !== undefined) await this.#discard(torn);
    return { diffId, sizeBytes };
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
      await this.#pool.run({ kind: 'sync', path: this.#directory.root });
      for (const diffId of layers) {
        this.#directory.markSynced(diffId);
        this.#unsynced.delete(diffId);
      }
    }
  }

  async #discard(path: string): Promise<void> {
    try {
      await this.#pool.run({ kind: 'remove', path });
    } catch (error) {
      log.warn({ err: error, path }, 'leftovers of a layer remain until the next start');
    }
  }

  exportTar(diffId: DiffID): Readable {
    const layer = this.#stored(diffId);
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
    const job: Job = {
      kind: 'export',
      directory: this.#directory.tree(diffId),
      withRoot: layer.hasRootEntry,
    };
    this.#pool.run(job, { onOutput }, abort.signal).then(
      () => stream.push(null),
      (error: unknown) => stream.destroy(error instanceof Error ? error : new Error(String(error))),
    );
    return stream;
  }

  #stored(diffId: DiffID): StoredLayer {
    const layer = this.#layers.get(diffId);
    if (layer === undefined) throw new NotFoundError(`layer ${diffId} is not in the store`);
    return layer;
  }

  async remove(diffId: DiffID): Promise<void> {
    this.#layers.delete(diffId);
    this.#unsynced.delete(diffId);
    const leftover = this.#directory.unpublish(diffId);
    if (leftover !== undefined) await this.#discard(leftover);
  }

  async prepare(): Promise<void> {
    // Unpacked layers are ready to be mounted.
  }

  status(): DriverStatus {
    return [['Layers', String(this.#layers.size)]];
  }

  async mount(request: MountRequest): Promise<void> {
    const layers = request.layers.map((diffId) => this.#stored(diffId));
    if ((request.upper === undefined) !== (request.work === undefined)) {
      throw new InvalidParameterError('a writable mount needs both an upper and a work directory');
    }
    const opaque = layers.findLastIndex((layer) => layer.hasOpaqueRoot);
    mountOverlay({
      lowers: layers.slice(Math.max(opaque, 0)).map(({ diffId }) => this.#directory.tree(diffId)),
      empties: this.#directory.empties,
      upper: request.upper,
      work: request.work,
      target: request.target,
    });
  }

  async unmount(target: string): Promise<void> {
    unmountOverlay(target);
  }

  async sweep(): Promise<void> {
    const { leftovers } = this.#directory.read();
    for (const path of leftovers) await this.#discard(path);
    this.#syncSoon();
  }

  async close(): Promise<void> {
    await this.#sync();
    await this.#pool.close();
  }
}
