/**
 * Pushes images into one repository of one registry: layers and configuration first, then the manifest, then the index
 * that it came with where all of that can be there. What is there already is not sent again.
 */

import { step } from '../../base/steps.ts';
import { type DiffID, type Digest, parseDigest } from '../digest.ts';
import type { Descriptor } from '../manifest.ts';
import { layerStatus, type OnProgress, ProgressMeter, shortDigest } from '../progress.ts';
import { parseReference, type Reference, repositoryName } from '../reference.ts';
import type { RepositoryClient } from '../registry/client.ts';
import type { Semaphore } from '../semaphore.ts';
import type { ContentStore } from '../store/content-store.ts';
import type { BlobInput, Hold, Image, ImageStore } from '../store/image-store.ts';
import { absentContent, type BlobContent, bytesContent, fileContent } from './blob-content.ts';
import { type BlobUploadRequest, mountBlob, uploadBlob } from './blob-upload.ts';
import { firstFailure } from './first-failure.ts';
import { keptManifest, makeManifest, type PushManifest } from './image-manifest.ts';
import type { LayerBlobs, StoredLayerBlob } from './layer-blob.ts';
import { mountSources } from './mount-sources.ts';
import type { UploadLimiter } from './upload-session.ts';

const UPLOAD_ATTEMPTS = 5;

/** A blob that a manifest names is neither here nor in the registry. */
export class ContentMissingError extends Error {
  constructor(digest: Digest) {
    super(`content ${digest} is neither here nor in the registry`);
    this.name = 'ContentMissingError';
  }
}

export interface RepositoryPushOptions {
  /** For `pull,push`. */
  client: RepositoryClient;
  /** Where it goes; tag and digest do not count. */
  repository: Reference;
  imageStore: ImageStore;
  contentStore: ContentStore;
  layerBlobs: LayerBlobs;
  /** Layers on their way at the same time, over all pushes. */
  slots: Semaphore;
  limiter: UploadLimiter | undefined;
  retryDelayMs: number;
  chunkBytes?: number;
  commitTimeoutMs?: number;
  onProgress: OnProgress;
  signal: AbortSignal;
}

/** Layers that manifests name by URL, and that registries need not have. */
export function isElsewhere({ urls }: Descriptor): boolean {
  return urls !== undefined;
}

/** A layer's way into the repository. */
interface Task {
  /** The same for layers that are one. */
  key: string;
  /** As it stands in messages. */
  id: string;
  /** Brings the blob; run when there is a slot. */
  content: (signal: AbortSignal) => Promise<BlobContent>;
}

export class RepositoryPush {
  readonly options: RepositoryPushOptions;
  /** Blobs that are in the repository for sure. */
  readonly #present = new Set<Digest>();
  readonly #holds: Hold[] = [];

  constructor(options: RepositoryPushOptions) {
    this.options = options;
  }

  /** Keeps what the image needs from being removed until `release`. */
  async hold(image: Image): Promise<void> {
    const { imageStore } = this.options;
    this.#holds.push(await imageStore.hold({ layers: image.diffIds, blobs: imageStore.blobsOf(image.id) }));
  }

  async release(): Promise<void> {
    for (const hold of this.#holds.splice(0)) await hold.release();
  }

  /** Brings the blobs of an image that is held; the manifest that names them is returned and not stored yet. */
  async placeImage(image: Image): Promise<BlobInput> {
    const kept = keptManifest(this.options.imageStore, image);
    if (kept !== undefined) {
      try {
        await this.placeExactly(image, kept);
        return kept.blob;
      } catch (error) {
        if (!(error instanceof ContentMissingError)) throw error;
      }
    }
    const made = await this.#placeMade(image);
    // One that the image came with stays, for a registry that has all of its blobs.
    if (kept === undefined) this.#keep(image, made);
    return made.blob;
  }

  /** Brings all that a kept manifest names. Throws ContentMissingError, before anything is sent, where it cannot be. */
  async placeExactly(image: Image, { parsed }: PushManifest): Promise<void> {
    const { contentStore, onProgress } = this.options;
    this.#announce(image.diffIds);
    const layers = parsed.layers.map((descriptor, i) => ({ descriptor, diffId: image.diffIds[i] }));
    const isHere = ({ digest, sizeBytes }: Descriptor): boolean => contentStore.size(digest) === sizeBytes;
    const ours = layers.filter(({ descriptor }) => !isElsewhere(descriptor));
    const absent = ours.filter(({ descriptor }) => !isHere(descriptor));
    for (const { descriptor, diffId } of layers) {
      if (!isElsewhere(descriptor)) continue;
      onProgress(layerStatus(shortDigest(diffId ?? descriptor.digest), 'Skipped foreign layer'));
    }
    await this.#placeRemote(absent);
    const tasks = ours
      .filter((layer) => !absent.includes(layer))
      .map(({ descriptor: { digest, sizeBytes }, diffId }) => ({
        key: digest,
        id: shortDigest(diffId ?? digest),
        content: () => Promise.resolve(fileContent(digest, sizeBytes, contentStore.path(digest))),
      }));
    await this.#placeLayers(tasks);
    await this.#placeConfig(image);
  }

  /** Layers whose blobs are not here can only be there, or be taken over from another repository. */
  async #placeRemote(
    layers: readonly { descriptor: Descriptor; diffId: DiffID | undefined }[],
  ): Promise<void> {
    for (const { descriptor, diffId } of layers) {
      const how = await this.takeOver(descriptor);
      if (how === undefined) throw new ContentMissingError(descriptor.digest);
      this.options.onProgress(layerStatus(shortDigest(diffId ?? descriptor.digest), how));
    }
  }

  async #placeMade(image: Image): Promise<PushManifest> {
    const { layerBlobs, imageStore, onProgress } = this.options;
    this.#announce(image.diffIds);
    const blobs = new Map<DiffID, StoredLayerBlob>();
    const tasks = image.diffIds.map((diffId): Task => {
      const id = shortDigest(diffId);
      const meter = new ProgressMeter(id, 'Preparing', layerBlobs.tarBytes(diffId), onProgress);
      return {
        key: diffId,
        id,
        content: async (signal) => {
          const blob = await layerBlobs.layerBlob({
            diffId,
            onProgress: (bytes) => meter.update(bytes),
            signal,
          });
          this.#holds.push(await imageStore.hold({ blobs: [blob.digest] }));
          blobs.set(diffId, blob);
          return fileContent(blob.digest, blob.sizeBytes, blob.path);
        },
      };
    });
    await this.#placeLayers(tasks);
    await this.#placeConfig(image);
    return await makeManifest(
      image,
      image.diffIds.flatMap((diffId) => blobs.get(diffId) ?? []),
    );
  }

  /** A made manifest is kept with its image, so that it stays the same whatever blobs its layers get later. */
  #keep(image: Image, { blob, parsed }: PushManifest): void {
    const { imageStore } = this.options;
    // It may have been removed meanwhile, and must not come back.
    if (imageStore.get(image.id) === undefined) return;
    const layers = image.diffIds.map((diffId, i) => {
      const layer = parsed.layers[i];
      if (layer === undefined) return { diffId };
      const { digest: blobDigest, sizeBytes: blobSizeBytes, mediaType } = layer;
      return { diffId, blobDigest, blobSizeBytes, mediaType };
    });
    imageStore.add({ configBytes: image.configBytes, manifest: blob, layers });
  }

  /** The top layer first, as in Docker. */
  #announce(diffIds: readonly DiffID[]): void {
    for (const diffId of [...diffIds].reverse())
      this.options.onProgress(layerStatus(shortDigest(diffId), 'Preparing'));
  }

  async #placeLayers(tasks: readonly Task[]): Promise<void> {
    const unique = new Map(tasks.map((task) => [task.key, task]));
    await firstFailure([...unique.values()].reverse(), this.options.signal, (task, signal) =>
      this.#placeLayer(task, signal),
    );
  }

  async #placeLayer({ id, content }: Task, signal: AbortSignal): Promise<void> {
    const { slots, onProgress } = this.options;
    if (!slots.tryAcquire()) {
      onProgress(layerStatus(id, 'Waiting'));
      await slots.acquire(signal);
    }
    try {
      const blob = await content(signal);
      const sources = this.#sourcesAmong(this.options.imageStore.repositoriesOfBlob(blob.digest));
      onProgress(layerStatus(id, await this.#placeBlob(blob, id, sources, signal)));
    } finally {
      slots.release();
    }
  }

  async #placeConfig(image: Image): Promise<void> {
    const content = bytesContent(parseDigest(image.id), image.configBytes);
    const origins = image.repoDigests.map((name) => repositoryName(parseReference(name)));
    await this.#placeBlob(content, undefined, this.#sourcesAmong(origins), this.options.signal);
  }

  /** Returns how it came to be there, as Docker says it. `id` undefined reports no progress. */
  async #placeBlob(
    content: BlobContent,
    id: string | undefined,
    sources: string[],
    signal: AbortSignal,
  ): Promise<string> {
    const { digest, sizeBytes } = content;
    const { onProgress } = this.options;
    if (await this.#isThere(digest, sizeBytes, signal)) return 'Layer already exists';
    const progress: OnProgress = id === undefined ? () => {} : onProgress;
    const name = id ?? '';
    const meter = new ProgressMeter(name, 'Pushing', sizeBytes, progress);
    const source = await step('push/upload', digest, () =>
      uploadBlob({
        ...this.#uploadRequest(content, sources, signal),
        onBytes: (bytes) => meter.update(bytes),
        onRetry: (seconds) =>
          progress(layerStatus(name, `Retrying in ${seconds} second${seconds === 1 ? '' : 's'}`)),
      }),
    );
    this.#present.add(digest);
    return source === undefined ? 'Pushed' : `Mounted from ${source}`;
  }

  /** Without sending anything; undefined where the blob is not there and no known repository has it. */
  async takeOver(
    { digest, sizeBytes }: Descriptor,
    sources: readonly string[] = [],
  ): Promise<string | undefined> {
    const { signal } = this.options;
    if (await this.#isThere(digest, sizeBytes, signal)) return 'Layer already exists';
    const all = [
      ...new Set([...sources, ...this.#sourcesAmong(this.options.imageStore.repositoriesOfBlob(digest))]),
    ];
    const source = await mountBlob(this.#uploadRequest(absentContent(digest, sizeBytes), all, signal));
    if (source === undefined) return undefined;
    this.#present.add(digest);
    return `Mounted from ${source}`;
  }

  #uploadRequest(content: BlobContent, sources: string[], signal: AbortSignal): BlobUploadRequest {
    const { client, retryDelayMs, limiter, chunkBytes, commitTimeoutMs } = this.options;
    return {
      client,
      content,
      sources,
      attempts: UPLOAD_ATTEMPTS,
      retryDelayMs,
      ...(limiter === undefined ? {} : { limiter }),
      ...(chunkBytes === undefined ? {} : { chunkBytes }),
      ...(commitTimeoutMs === undefined ? {} : { commitTimeoutMs }),
      onBytes: () => {},
      onRetry: () => {},
      signal,
    };
  }

  async #isThere(digest: Digest, sizeBytes: number, signal: AbortSignal): Promise<boolean> {
    if (this.#present.has(digest)) return true;
    if (!(await this.options.client.hasBlob(digest, sizeBytes, signal))) return false;
    this.#present.add(digest);
    return true;
  }

  #sourcesAmong(repositories: readonly string[]): string[] {
    return mountSources(repositories, repositoryName(this.options.repository));
  }
}
