/**
 * The compressed form in which a layer leaves this machine: one that is known and here already, else the layer's exact
 * tar compressed, once, and kept. Layers that were made here have none before somebody pushes them.
 */

import { createHash } from 'node:crypto';
import { rmSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { temporaryPath } from '../../base/atomic-file.ts';
import { UnavailableError } from '../../base/errors.ts';
import { step } from '../../base/steps.ts';
import { type DiffID, parseDigest } from '../digest.ts';
import type { Snapshotter } from '../layers/snapshotter.ts';
import { SharedRuns } from '../layers/work/shared-runs.ts';
import { OCI_LAYER_GZIP } from '../media-types.ts';
import type { ContentStore } from '../store/content-store.ts';
import type { ImageStore, LayerBlob } from '../store/image-store.ts';
import { layerTar } from '../store/layer-tar.ts';
import { parallelGzip } from './parallel-gzip.ts';

export interface LayerBlobRequest {
  diffId: DiffID;
  /** Bytes of the tar that are compressed so far; not called where there is nothing to compress. */
  onProgress?: (tarBytes: number) => void;
  signal: AbortSignal;
}

export type StoredLayerBlob = Omit<LayerBlob, 'verified'> & { path: string };

export class LayerBlobs {
  readonly #imageStore: ImageStore;
  readonly #contentStore: ContentStore;
  readonly #snapshotter: Snapshotter;
  readonly #compressions = new SharedRuns<StoredLayerBlob>();

  constructor(options: { imageStore: ImageStore; contentStore: ContentStore; snapshotter: Snapshotter }) {
    this.#imageStore = options.imageStore;
    this.#contentStore = options.contentStore;
    this.#snapshotter = options.snapshotter;
  }

  /**
   * A blob in the content store that unpacks to the layer. The caller holds the layer, and an image that has it keeps
   * the blob. Calls for one layer at a time share one compression, which ends with the last of them. The same layer
   * gives the same blob. Throws NotFound for a layer that is not here, Internal for one that is damaged.
   */
  async layerBlob({ diffId, onProgress, signal }: LayerBlobRequest): Promise<StoredLayerBlob> {
    signal.throwIfAborted();
    const known = this.#known(diffId);
    if (known !== undefined) return known;
    return await this.#compressions.join(
      diffId,
      onProgress,
      signal,
      // A run that was joined just after its end finds its result.
      async (report, ended) => this.#known(diffId) ?? (await this.#compress(diffId, report, ended)),
    );
  }

  /** About how many bytes there are to compress. */
  tarBytes(diffId: DiffID): number {
    const info = this.#snapshotter.layer(diffId);
    return info?.tarSizeBytes ?? info?.sizeBytes ?? 0;
  }

  #known(diffId: DiffID): StoredLayerBlob | undefined {
    const blob = this.#imageStore.layerBlobs(diffId).find(({ digest, sizeBytes, verified }) => {
      const compressed = String(digest) !== String(diffId);
      return verified && compressed && this.#contentStore.size(digest) === sizeBytes;
    });
    if (blob === undefined) return undefined;
    const { digest, sizeBytes, mediaType } = blob;
    return { digest, sizeBytes, mediaType, path: this.#contentStore.path(digest) };
  }

  async #compress(
    diffId: DiffID,
    onProgress: (tarBytes: number) => void,
    signal: AbortSignal,
  ): Promise<StoredLayerBlob> {
    // Beside the blobs, where a sweep finds it after a crash.
    const temporary = temporaryPath(this.#contentStore.path(parseDigest(diffId)));
    const deps = {
      imageStore: this.#imageStore,
      contentStore: this.#contentStore,
      snapshotter: this.#snapshotter,
    };
    const tar = counted(layerTar(deps, diffId, signal), onProgress);
    try {
      const { digest, sizeBytes } = await step('push/compress', diffId, () =>
        writeFile(temporary, parallelGzip(tar, signal)),
      );
      await step('push/keep-blob', diffId, () =>
        this.#contentStore.ingestFile(temporary, digest, { verified: true }),
      );
      const blob = { digest, sizeBytes, mediaType: OCI_LAYER_GZIP };
      this.#imageStore.keepLayerBlob(diffId, blob);
      return { ...blob, path: this.#contentStore.path(digest) };
    } finally {
      rmSync(temporary, { force: true });
    }
  }
}

async function* counted(
  source: AsyncIterable<Buffer>,
  onProgress: (sizeBytes: number) => void,
): AsyncGenerator<Buffer, void, undefined> {
  let sizeBytes = 0;
  for await (const chunk of source) {
    yield chunk;
    sizeBytes += chunk.length;
    onProgress(sizeBytes);
  }
}

async function writeFile(
  path: string,
  chunks: AsyncIterable<Buffer>,
): Promise<{ digest: LayerBlob['digest']; sizeBytes: number }> {
  const hash = createHash('sha256');
  let sizeBytes = 0;
  const file = await open(path, 'wx', 0o600);
  try {
    for await (const chunk of chunks) {
      hash.update(chunk);
      await file.writeFile(chunk).catch((error: unknown) => {
        throw new UnavailableError(`cannot write ${path}`, error);
      });
      sizeBytes += chunk.length;
    }
  } finally {
    await file.close();
  }
  return { digest: parseDigest(`sha256:${hash.digest('hex')}`), sizeBytes };
}
