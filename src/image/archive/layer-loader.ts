/**
 * The layers of one image of an archive, on their way to the storage driver. Every layer is checked against its diffID,
 * also one that is here already; blobs that are worth keeping are named, and stored by the caller at the end.
 */
import { createHash } from 'node:crypto';
import { open } from 'node:fs/promises';
import { InternalError, InvalidParameterError } from '../../base/errors.ts';
import type { DiffID, Digest } from '../digest.ts';
import type { LayerCompression, Snapshotter } from '../layers/snapshotter.ts';
import { detectCompression, inflate } from '../layers/work/inflate.ts';
import { OCI_LAYER, OCI_LAYER_GZIP, OCI_LAYER_ZSTD } from '../media-types.ts';
import { type OnProgress, ProgressMeter, shortDigest } from '../progress.ts';
import { Semaphore } from '../semaphore.ts';
import type { ContentStore } from '../store/content-store.ts';
import type { ImageStore } from '../store/image-store.ts';
import type { ArchiveImage, ArchiveLayer } from './archive-images.ts';
import type { Spool, SpooledFile } from './spool.ts';

const LAYERS_AT_ONCE = 4;
const READ_BYTES = 256 << 10;

const MEDIA_TYPES: Readonly<Record<LayerCompression, string>> = {
  none: OCI_LAYER,
  gzip: OCI_LAYER_GZIP,
  zstd: OCI_LAYER_ZSTD,
};

export interface BroughtLayer {
  diffId: DiffID;
  /** Its file in the archive. */
  file: string;
  /** What the archive has of it, verified to be this layer; undefined where nobody needs to remember it. */
  blob: { path: string; digest: Digest; sizeBytes: number; mediaType: string } | undefined;
  /** The blob is to stand in the content store. */
  keep: boolean;
}

export interface LayerLoaderOptions {
  spool: Spool;
  contentStore: ContentStore;
  imageStore: Pick<ImageStore, 'layerBlobs'>;
  snapshotter: Snapshotter;
  /** Gets the layers that were not here before. */
  added: DiffID[];
  onProgress: OnProgress;
  signal: AbortSignal;
}

export class LayerLoader {
  readonly #options: LayerLoaderOptions;
  readonly #slots = new Semaphore(LAYERS_AT_ONCE);

  constructor(options: LayerLoaderOptions) {
    this.#options = options;
  }

  /** All layers of the image, base first; the first failure stops the others and is thrown. */
  async bring(image: ArchiveImage): Promise<BroughtLayer[]> {
    const failed = new AbortController();
    const signal = AbortSignal.any([this.#options.signal, failed.signal]);
    const started = new Map<string, Promise<BroughtLayer>>();
    const results = image.layers.map((layer, position) => {
      const key = `${layer.diffId} ${this.#options.spool.stat(layer.file)?.digest}`;
      const running = started.get(key) ?? this.#bringOne(image, layer, position, signal);
      if (!started.has(key)) running.catch((error: unknown) => failed.abort(error));
      started.set(key, running);
      return running;
    });
    const settled = await Promise.allSettled(results);
    this.#options.signal.throwIfAborted();
    if (failed.signal.aborted) throw failed.signal.reason;
    return settled.map((one) => {
      if (one.status === 'rejected') throw one.reason;
      return one.value;
    });
  }

  async #bringOne(
    image: ArchiveImage,
    layer: ArchiveLayer,
    position: number,
    signal: AbortSignal,
  ): Promise<BroughtLayer> {
    await this.#slots.acquire(signal);
    try {
      const file = await this.#options.spool.file(layer.file);
      const compression = await compressionOf(file.path);
      if (compression === 'none') return await this.#plain(image, layer, file, position, signal);
      return await this.#compressed(image, layer, file, compression, position, signal);
    } finally {
      this.#slots.release();
    }
  }

  /** An uncompressed tar: its digest is the diffID. Drivers that keep tars need no second copy of it. */
  async #plain(
    image: ArchiveImage,
    layer: ArchiveLayer,
    file: SpooledFile,
    position: number,
    signal: AbortSignal,
  ): Promise<BroughtLayer> {
    const { snapshotter, added } = this.#options;
    const { diffId } = layer;
    if ((file.digest as string) !== diffId) throw wrongLayer(position, diffId, file.digest);
    const isNew = snapshotter.layer(diffId) === undefined;
    if (isNew && snapshotter.keepsTars) {
      // Nothing but the driver's copy is left when the load ends, so it has to last.
      const stored = await snapshotter.addTar(file.path, {}, signal);
      added.push(stored.diffId);
      if (stored.diffId !== diffId) {
        throw new InternalError(`layer ${diffId} was stored as ${stored.diffId}`);
      }
      this.#meter(diffId, file).update(file.sizeBytes);
    } else if (isNew) await this.#add(layer, file, 'none', signal);
    const wanted = image.manifest !== undefined || (isNew && !snapshotter.keepsTars);
    return {
      diffId,
      file: layer.file,
      blob: wanted ? this.#blob(layer, file, 'none') : undefined,
      keep: wanted && !snapshotter.keepsTars,
    };
  }

  async #compressed(
    image: ArchiveImage,
    layer: ArchiveLayer,
    file: SpooledFile,
    compression: LayerCompression,
    position: number,
    signal: AbortSignal,
  ): Promise<BroughtLayer> {
    const { snapshotter } = this.#options;
    const { diffId } = layer;
    const isNew = snapshotter.layer(diffId) === undefined;
    if (isNew) await this.#add(layer, file, compression, signal);
    else if (!this.#isKnownBlob(diffId, file.digest)) {
      const actual = await inflatedDigest(file.path, compression, signal);
      if (actual !== diffId) throw wrongLayer(position, diffId, actual);
    }
    const wanted = isNew || image.manifest !== undefined;
    const blob = wanted ? this.#blob(layer, file, compression) : undefined;
    return { diffId, file: layer.file, blob, keep: wanted };
  }

  async #add(
    layer: ArchiveLayer,
    file: SpooledFile,
    compression: LayerCompression,
    signal: AbortSignal,
  ): Promise<void> {
    const meter = this.#meter(layer.diffId, file);
    const onProgress = (consumedBytes: number): void => meter.update(consumedBytes);
    await this.#options.snapshotter.add(
      { blobPath: file.path, compression, diffId: layer.diffId, onProgress },
      signal,
    );
    this.#options.added.push(layer.diffId);
    meter.update(file.sizeBytes);
  }

  #meter(diffId: DiffID, { sizeBytes }: SpooledFile): ProgressMeter {
    return new ProgressMeter(shortDigest(diffId), 'Loading layer', sizeBytes, this.#options.onProgress);
  }

  #isKnownBlob(diffId: DiffID, digest: Digest): boolean {
    return this.#options.imageStore
      .layerBlobs(diffId)
      .some((blob) => blob.verified && blob.digest === digest);
  }

  #blob(
    { mediaType }: ArchiveLayer,
    file: SpooledFile,
    compression: LayerCompression,
  ): NonNullable<BroughtLayer['blob']> {
    return { ...file, mediaType: mediaType ?? MEDIA_TYPES[compression] };
  }
}

function wrongLayer(position: number, expected: string, actual: string): InvalidParameterError {
  return new InvalidParameterError(
    `invalid diffID for layer ${position}: expected "${expected}", got "${actual}"`,
  );
}

/** By the file's first bytes. */
export async function compressionOf(path: string): Promise<LayerCompression> {
  const file = await open(path, 'r');
  try {
    const head = Buffer.alloc(8);
    const { bytesRead } = await file.read(head, 0, head.length, 0);
    return detectCompression(head.subarray(0, bytesRead));
  } finally {
    await file.close();
  }
}

async function inflatedDigest(
  path: string,
  compression: LayerCompression,
  signal: AbortSignal,
): Promise<string> {
  const hash = createHash('sha256');
  const file = await open(path, 'r');
  try {
    const chunks = file.createReadStream({ highWaterMark: READ_BYTES, autoClose: false });
    for await (const chunk of inflate(chunks, compression)) {
      signal.throwIfAborted();
      hash.update(chunk);
    }
  } finally {
    await file.close();
  }
  return `sha256:${hash.digest('hex')}`;
}
