/**
 * A cache that a build was given (`--cache-from`): its records are read while the build begins, and a layer of a hit is
 * brought only once its files are needed. It is trusted as far as the user who named it does, in this build alone: what
 * it says a step results in is not written down for others. (A new cache mount that it fills is like any other from then
 * on, and stays.) A cache that is missing or broken is a warning, never the
 * build's failure. One whose layer turns out damaged or gone when it is needed is `broken`, and said to be: what was
 * built upon that layer is then done without this cache.
 */
import { errorMessage } from '../../base/errors.ts';
import type { DiffID } from '../../image/digest.ts';
import type { Snapshotter } from '../../image/layers/snapshotter.ts';
import type { Hold, ImageStore } from '../../image/store/image-store.ts';
import type { ProgressVertex } from '../progress.ts';
import { releaseAll } from '../release-all.ts';
import type { BuiltLayer, CacheMountUse } from '../solve/solved.ts';
import type { CacheBlob, CacheLayer, CacheRecord } from './cache-document.ts';
import { cacheMountKey } from './cache-mount-transfer.ts';
import type { CachedStep, CacheSource } from './cache-source.ts';

export interface OpenedCache {
  records: readonly CacheRecord[];
  /** Whether the blob of a layer can be had. */
  has(blob: CacheBlob, signal: AbortSignal): Promise<boolean>;
  /** Brings a layer into the store, its bytes checked against digest and diffID. */
  bring(diffId: DiffID, blob: CacheBlob, signal: AbortSignal): Promise<void>;
  /** Once nothing is brought any more. */
  close?(): void;
}

export interface ImportCacheOptions {
  images: Pick<ImageStore, 'hold'>;
  snapshotter: Pick<Snapshotter, 'layer'>;
  /** Begins at once. */
  open(signal: AbortSignal): Promise<OpenedCache>;
  /** Copies the files of a layer that is here into an empty folder. */
  unpack(layer: BuiltLayer, directory: string, signal: AbortSignal): Promise<void>;
  /** Shows how the reading goes. */
  vertex: ProgressVertex;
  signal: AbortSignal;
}

export class ImportCache implements CacheSource {
  readonly #options: ImportCacheOptions;
  readonly #opened: Promise<OpenedCache | undefined>;
  #records: Map<string, CacheRecord> | undefined;
  #definitions: ReadonlySet<string | undefined> | undefined;
  /** One object a layer, whatever the records: what brings it, does so once. */
  readonly #layers = new Map<DiffID, Promise<BuiltLayer | undefined>>();
  readonly #holds: Hold[] = [];
  readonly #bringing = new Set<Promise<void>>();
  readonly #brought: DiffID[] = [];
  /** Nobody waits for a cache after the build. */
  readonly #over = new AbortController();
  #closed = false;
  #broken = false;

  constructor(options: ImportCacheOptions) {
    this.#options = options;
    this.#opened = this.#open();
  }

  get broken(): boolean {
    return this.#broken;
  }

  async #open(): Promise<OpenedCache | undefined> {
    const { open, vertex } = this.#options;
    const signal = AbortSignal.any([this.#options.signal, this.#over.signal]);
    vertex.start();
    try {
      const opened = await open(signal);
      vertex.complete();
      return opened;
    } catch (error) {
      if (signal.aborted) return undefined;
      vertex.warn({ rule: '', message: `${vertex.name}: the cache is not used: ${errorMessage(error)}` });
      vertex.complete();
      return undefined;
    }
  }

  /** One that does not tell of definitions may have anything. */
  async mayHave(definition: string): Promise<boolean> {
    const opened = await this.#opened;
    if (opened === undefined || opened.records.length === 0) return false;
    this.#definitions ??= new Set(opened.records.map((record) => record.definition));
    return this.#definitions.has(definition) || this.#definitions.has(undefined);
  }

  async find(key: string): Promise<CachedStep | undefined> {
    const opened = await this.#opened;
    if (opened === undefined) return undefined;
    this.#records ??= recordsByKey(opened.records);
    const record = this.#records.get(key);
    if (record === undefined) return undefined;
    if (record.layer === undefined) return { key: record.key, layer: undefined };
    const layer = await this.#layer(opened, record.layer);
    return layer === undefined ? undefined : { key: record.key, layer };
  }

  #layer(opened: OpenedCache, layer: CacheLayer): Promise<BuiltLayer | undefined> {
    const known = this.#layers.get(layer.diffId) ?? this.#hold(opened, layer);
    this.#layers.set(layer.diffId, known);
    return known;
  }

  async #hold(opened: OpenedCache, { diffId, blob }: CacheLayer): Promise<BuiltLayer | undefined> {
    const { images, snapshotter } = this.#options;
    this.#holds.push(
      await images.hold({ layers: [diffId], ...(blob === undefined ? {} : { blobs: [blob.digest] }) }),
    );
    const here = snapshotter.layer(diffId);
    if (here !== undefined) return { diffId, sizeBytes: here.sizeBytes };
    if (blob === undefined || !(await this.#canBeHad(opened, diffId, blob))) return undefined;
    const { digest, sizeBytes, mediaType } = blob;
    const layer: BuiltLayer = {
      diffId,
      sizeBytes: 0,
      blobDigest: digest,
      blobSizeBytes: sizeBytes,
      mediaType,
      // Until the layer was made of that very blob, only the cache says that it is one.
      verified: false,
    };
    let brought: Promise<void> | undefined;
    const bring = async (signal: AbortSignal): Promise<void> => {
      if (snapshotter.layer(diffId) !== undefined) return;
      // A failure behind that, and a release meanwhile, may leave it here.
      this.#brought.push(diffId);
      await opened.bring(diffId, blob, signal).catch((error: unknown) => {
        if (!signal.aborted) this.#break(diffId, error);
        throw error;
      });
      layer.verified = true;
      layer.sizeBytes = snapshotter.layer(diffId)?.sizeBytes ?? 0;
    };
    layer.remote = {
      digest,
      sizeBytes,
      mediaType,
      fetch: (signal) => {
        // One that was aborted is tried for again.
        if (brought !== undefined) return brought;
        const bringing = bring(AbortSignal.any([signal, this.#over.signal])).catch((error: unknown) => {
          brought = undefined;
          throw error;
        });
        brought = bringing;
        this.#bringing.add(bringing);
        return bringing;
      },
    };
    return layer;
  }

  #break(diffId: DiffID, error: unknown): void {
    if (this.#broken) return;
    this.#broken = true;
    const { vertex } = this.#options;
    const message = `${vertex.name}: layer ${diffId} cannot be used, and the cache is not any more: ${errorMessage(error)}`;
    vertex.warn({ rule: '', message });
  }

  /** Asked before a step counts as done, so that a layer that is gone costs its own step alone. */
  async #canBeHad(opened: OpenedCache, diffId: DiffID, blob: CacheBlob): Promise<boolean> {
    const { vertex, signal } = this.#options;
    try {
      if (await opened.has(blob, signal)) return true;
      vertex.warn({ rule: '', message: `${vertex.name}: layer ${diffId} is not there any more` });
    } catch (error) {
      signal.throwIfAborted();
      vertex.warn({
        rule: '',
        message: `${vertex.name}: layer ${diffId} is not used: ${errorMessage(error)}`,
      });
    }
    return false;
  }

  async fillMount(mount: CacheMountUse, directory: string, signal: AbortSignal): Promise<boolean> {
    const { unpack, vertex } = this.#options;
    const layer = (await this.find(cacheMountKey(mount)))?.layer;
    if (layer === undefined) return false;
    try {
      await layer.remote?.fetch(signal);
      await unpack(layer, directory, signal);
      return true;
    } catch (error) {
      signal.throwIfAborted();
      const message = `${vertex.name}: cache mount "${mount.id}" begins empty: ${errorMessage(error)}`;
      vertex.warn({ rule: '', message });
      return false;
    }
  }

  /** Layers that were brought, and that nothing has come to need, go. */
  async release(): Promise<void> {
    this.#over.abort();
    const opened = await this.#opened;
    await Promise.allSettled(this.#layers.values());
    await Promise.allSettled(this.#bringing);
    if (!this.#closed) opened?.close?.();
    this.#closed = true;
    await releaseAll(this.#holds.splice(0).map((hold) => () => hold.release(this.#brought)));
  }
}

/** The first to say something about a key is believed. */
function recordsByKey(records: readonly CacheRecord[]): Map<string, CacheRecord> {
  const found = new Map<string, CacheRecord>();
  for (const record of records) if (!found.has(record.key)) found.set(record.key, record);
  for (const record of records) {
    for (const alias of record.aliases) if (!found.has(alias)) found.set(alias, record);
  }
  return found;
}
