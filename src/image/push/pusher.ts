/**
 * Push: from a name here to the same name in its registry. Tries the registry's endpoints in order, pushes the images
 * of the tags that are meant, and remembers under which digest they are known there. Progress messages, their order
 * and the error texts are Docker's.
 */

import { InternalError, InvalidParameterError, NotFoundError } from '../../base/errors.ts';
import { log } from '../../base/log.ts';
import { step } from '../../base/steps.ts';
import { configPlatform } from '../image-config.ts';
import type { Snapshotter } from '../layers/snapshotter.ts';
import { parseManifest } from '../manifest.ts';
import { formatPlatform, imageMatchesPlatform, type Platform } from '../platform.ts';
import type { OnProgress, PullProgress } from '../progress.ts';
import {
  canonicalString,
  familiarName,
  familiarString,
  isNameOnly,
  parseReference,
  type Reference,
  repositoryName,
} from '../reference.ts';
import { type FetchedManifest, RepositoryClient } from '../registry/client.ts';
import type { RegistryAuth } from '../registry/credentials.ts';
import { mayFallBack, registryEndpoints } from '../registry/endpoints.ts';
import { translatePushError } from '../registry/errors.ts';
import {
  type RegistryOptions,
  type ResolvedRegistryOptions,
  resolveRegistryOptions,
} from '../registry/options.ts';
import { Transport } from '../registry/transport.ts';
import { Semaphore } from '../semaphore.ts';
import type { ContentStore } from '../store/content-store.ts';
import type { BlobInput, Image, ImageStore } from '../store/image-store.ts';
import { IndexPush } from './index-push.ts';
import { LayerBlobs } from './layer-blob.ts';
import { RepositoryPush } from './repository-push.ts';
import type { UploadLimiter } from './upload-session.ts';

/** Structured results, beside the messages for people. */
export interface PushAux {
  aux:
    | { Tag: string; Digest: string; Size: number }
    | {
        manifestPushedInsteadOfIndex: true;
        originalIndex: { mediaType: string; digest: string; size: number };
        selectedManifest: { mediaType: string; digest: string; size: number; platform: Platform };
      };
}

export interface PushRequest {
  /** `name[:tag]`; without a tag all tags of the repository are pushed. */
  reference: string;
  /** The image must be for this platform, and is pushed without the index that it came with. */
  platform?: Platform;
  auth?: RegistryAuth;
  onProgress: (message: PullProgress | PushAux) => void;
  signal: AbortSignal;
}

export interface PusherOptions {
  contentStore: ContentStore;
  imageStore: ImageStore;
  snapshotter: Snapshotter;
  registry: RegistryOptions;
  /** Layers uploaded at the same time, over all pushes. Default 5. */
  maxConcurrentUploads?: number;
  limiter?: UploadLimiter;
  /** Size of the parts that layers are sent in; default 64 MiB. */
  chunkBytes?: number;
  /** How long a registry may take to store a layer that it has received; default 5 minutes. */
  commitTimeoutMs?: number;
}

export class Pusher {
  readonly #options: PusherOptions;
  readonly #registry: ResolvedRegistryOptions;
  readonly #transport: Transport;
  readonly #layerBlobs: LayerBlobs;
  readonly #slots: Semaphore;

  constructor(options: PusherOptions) {
    this.#options = options;
    this.#registry = resolveRegistryOptions(options.registry);
    this.#transport = new Transport(this.#registry);
    this.#layerBlobs = new LayerBlobs(options);
    this.#slots = new Semaphore(Math.max(1, options.maxConcurrentUploads ?? 5));
  }

  /**
   * Throws InvalidParameter or NotFound before the first message where the request makes no sense; later what the
   * registry says, in Docker's words, or the signal's reason. Nothing is left here of a push that ends early but layers
   * that were compressed for it, which the next one uses.
   */
  async push(request: PushRequest): Promise<void> {
    const reference = parseReference(request.reference);
    const { imageStore } = this.#options;
    if (request.platform !== undefined) this.#checkPlatform(reference, request.platform);
    request.onProgress({ status: `The push refers to repository [${repositoryName(reference)}]` });
    if (!imageStore.hasRepository(repositoryName(reference))) {
      throw new NotFoundError(`An image does not exist locally with the tag: ${familiarName(reference)}`);
    }
    const tags = this.#tags(reference);
    const ended = new AbortController();
    const signal = AbortSignal.any([request.signal, ended.signal]);
    try {
      await this.#toEndpoints(reference, tags, { ...request, signal });
      imageStore.tell('push', familiarString(reference), familiarName(reference), tags.at(-1)?.image);
    } catch (error) {
      request.signal.throwIfAborted();
      throw translatePushError(error);
    } finally {
      ended.abort();
    }
  }

  #checkPlatform(reference: Reference, platform: Platform): void {
    const image = this.#options.imageStore.resolve(familiarString(reference));
    if (imageMatchesPlatform(platform, configPlatform(image.config))) return;
    throw new NotFoundError(
      `image with reference ${familiarString(reference)} was found but does not provide the specified platform (${formatPlatform(platform)})`,
    );
  }

  /** The tags that are meant, each with its image as it is now. */
  #tags(reference: Reference): { tag: string; image: Image }[] {
    const { imageStore } = this.#options;
    if (reference.digest !== undefined) throw new InvalidParameterError('cannot push a digest reference');
    if (!isNameOnly(reference)) {
      const image = imageStore.tryResolve(canonicalString(reference));
      if (image !== undefined) return [{ tag: reference.tag ?? '', image }];
      throw new NotFoundError(`tag does not exist: ${familiarString(reference)}`);
    }
    const tags = imageStore.tagsOf(repositoryName(reference)).flatMap(({ tag, id }) => {
      const image = imageStore.get(id);
      return image === undefined ? [] : [{ tag, image }];
    });
    if (tags.length === 0) throw new NotFoundError(`no tags to push for ${familiarName(reference)}`);
    return tags;
  }

  async #toEndpoints(
    reference: Reference,
    tags: readonly { tag: string; image: Image }[],
    request: PushRequest,
  ): Promise<void> {
    const { signal } = request;
    let failure: unknown = new InternalError(`no endpoints found for ${familiarName(reference)}`);
    for (const endpoint of await registryEndpoints(reference.domain, this.#registry.insecureRegistries)) {
      const client = new RepositoryClient({
        endpoint,
        path: reference.path,
        auth: request.auth ?? {},
        transport: this.#transport,
        registry: this.#registry,
        actions: 'pull,push',
      });
      try {
        return await this.#toRepository(reference, tags, client, request);
      } catch (error) {
        signal.throwIfAborted();
        failure = error;
        if (!mayFallBack(error, endpoint, client.reached)) break;
        log.debug(
          { endpoint: endpoint.baseUrl, error: String(error) },
          'push failed, trying the next endpoint',
        );
      }
    }
    throw failure;
  }

  async #toRepository(
    repository: Reference,
    tags: readonly { tag: string; image: Image }[],
    client: RepositoryClient,
    request: PushRequest,
  ): Promise<void> {
    const { signal } = request;
    // Whether the registry is there and lets us in is known before layers are compressed for it.
    await client.manifestDigest(tags[0]?.tag ?? '', signal);
    const onProgress: OnProgress = request.onProgress;
    const { limiter, chunkBytes, commitTimeoutMs, imageStore, contentStore } = this.#options;
    const push = new RepositoryPush({
      client,
      repository,
      imageStore,
      contentStore,
      layerBlobs: this.#layerBlobs,
      slots: this.#slots,
      limiter,
      retryDelayMs: this.#registry.retryDelayMs,
      ...(chunkBytes === undefined ? {} : { chunkBytes }),
      ...(commitTimeoutMs === undefined ? {} : { commitTimeoutMs }),
      onProgress,
      signal,
    });
    for (const { tag, image } of tags) await this.#pushTag(push, tag, image, request);
  }

  async #pushTag(push: RepositoryPush, tag: string, image: Image, request: PushRequest): Promise<void> {
    try {
      await push.hold(image);
      const manifest = await step('push/blobs', image.id, () => push.placeImage(image));
      const top = await this.#top(push, image, manifest, request);
      await step('push/manifest', image.id, () => push.options.client.putManifest(tag, top, request.signal));
      const { digest } = top;
      request.onProgress({ status: `${tag}: digest: ${digest} size: ${top.bytes.length}` });
      this.#remember(push.options.repository, image, digest);
      request.onProgress({ aux: { Tag: tag, Digest: digest, Size: top.bytes.length } });
    } finally {
      await push.release();
    }
  }

  /** What the tag is to name: the index that the image came with where that can be, else its manifest. */
  async #top(
    push: RepositoryPush,
    image: Image,
    manifest: BlobInput,
    request: PushRequest,
  ): Promise<FetchedManifest> {
    const { imageStore } = this.#options;
    const kept = imageStore.index(image.id);
    if (kept === undefined || request.platform !== undefined) return manifest;
    const index = { ...kept, mediaType: parseManifest(kept.bytes, '').mediaType };
    const { client } = push.options;
    // A manifest that was made anew is in no index.
    if (imageStore.manifest(image.id)?.digest === manifest.digest) {
      await client.putManifest(manifest.digest, manifest, request.signal);
      if (await new IndexPush(push, image, manifest.digest).place(index)) return index;
    }
    const { mediaType, digest, bytes } = manifest;
    request.onProgress({
      aux: {
        manifestPushedInsteadOfIndex: true,
        originalIndex: { mediaType: index.mediaType, digest: index.digest, size: index.bytes.length },
        selectedManifest: { mediaType, digest, size: bytes.length, platform: configPlatform(image.config) },
      },
    });
    return manifest;
  }

  /** The image is known by this digest in the repository from now on, unless it was removed meanwhile. */
  #remember(repository: Reference, image: Image, digest: string): void {
    const { imageStore } = this.#options;
    if (imageStore.get(image.id) === undefined) return;
    imageStore.add({
      configBytes: image.configBytes,
      layers: image.diffIds.map((diffId) => ({ diffId })),
      repoDigest: `${repositoryName(repository)}@${digest}`,
    });
  }
}
