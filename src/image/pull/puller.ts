/**
 * Pull: from a name to an image in the store. Tries the endpoints of the registry in order, resolves the name for the
 * platform, lets the layers flow, and at the very end makes the image visible in one transaction. Progress messages,
 * their order and the error texts are Docker's.
 */

import { ForbiddenError, InternalError } from '../../base/errors.ts';
import { log } from '../../base/log.ts';
import { step } from '../../base/steps.ts';
import type { DiffID } from '../digest.ts';
import type { Snapshotter } from '../layers/snapshotter.ts';
import type { Descriptor } from '../manifest.ts';
import { type Platform, parsePlatform } from '../platform.ts';
import { layerStatus, type OnProgress, shortDigest } from '../progress.ts';
import {
  canonicalString,
  familiarName,
  familiarString,
  isNameOnly,
  parseReference,
  type Reference,
  repositoryName,
  withDefaultTag,
} from '../reference.ts';
import { type FetchedManifest, RepositoryClient } from '../registry/client.ts';
import type { RegistryAuth } from '../registry/credentials.ts';
import { endpointAuth, mayFallBack, pullEndpoints } from '../registry/endpoints.ts';
import {
  type RegistryOptions,
  type ResolvedRegistryOptions,
  resolveRegistryOptions,
} from '../registry/options.ts';
import { Transport } from '../registry/transport.ts';
import type { ContentStore } from '../store/content-store.ts';
import { type AddLayer, type Image, type ImageStore, nameKey } from '../store/image-store.ts';
import { type ResolvedImage, resolveImage } from './image-resolver.ts';
import { LayerTransfers } from './layer-transfers.ts';
import { copyOrFailure } from './stale-copy.ts';

export type { PullProgress } from '../progress.ts';
export { decodeRegistryAuth, type RegistryAuth } from '../registry/credentials.ts';
export type { RegistryOptions } from '../registry/options.ts';

export interface PullRequest {
  /** As the user typed it; `latest` is added where it has neither tag nor digest. */
  reference: string;
  /** `os/arch[/variant]`; default is what fits this machine. */
  platform?: string;
  /** For the registry that is asked. */
  auth?: RegistryAuth;
  /** By registry; mirrors get theirs from here. */
  authConfigs?: Readonly<Record<string, RegistryAuth>>;
  /** Be content with the local copy while the registry is out of order. Default what the daemon is configured to. */
  stale?: boolean;
  /**
   * False: the tag that is asked for stays what it is here, and the image is known by its manifest's digest. For images
   * of other platforms than those that a name stands for. Default true.
   */
  tag?: boolean;
  /** Every tag of the repository; the reference must then be a bare name. Default false. */
  allTags?: boolean;
  onProgress: OnProgress;
  signal: AbortSignal;
}

interface Context {
  client: RepositoryClient;
  platform: Platform | undefined;
  tag: boolean;
  onProgress: OnProgress;
  signal: AbortSignal;
}

export class Puller {
  readonly #imageStore: ImageStore;
  readonly #snapshotter: Snapshotter;
  readonly #content: ContentStore;
  readonly #registry: ResolvedRegistryOptions;
  readonly #transport: Transport;
  readonly #transfers: LayerTransfers;

  constructor(options: {
    contentStore: ContentStore;
    imageStore: ImageStore;
    snapshotter: Snapshotter;
    registry: RegistryOptions;
  }) {
    this.#imageStore = options.imageStore;
    this.#snapshotter = options.snapshotter;
    this.#content = options.contentStore;
    this.#registry = resolveRegistryOptions(options.registry);
    this.#transport = new Transport(this.#registry);
    this.#transfers = new LayerTransfers({ ...options, registry: this.#registry });
  }

  /**
   * Pulls one image, or with `allTags` all of a repository and returns the last. Interrupted at any moment, no image
   * appears, and what was downloaded is used by the next pull. Throws NotFound, Unauthorized, InvalidParameter,
   * Unavailable or Internal with Docker's texts, or the signal's reason.
   */
  async pull(request: PullRequest): Promise<Image> {
    const named = parseReference(request.reference);
    if (familiarName(named) === 'scratch') throw new ForbiddenError("'scratch' is a reserved name");
    const all = request.allTags === true && isNameOnly(named);
    const reference = all ? named : withDefaultTag(named);
    const platform = request.platform ? parsePlatform(request.platform) : undefined;
    // Requests that nobody waits for any more end with the pull.
    const ended = new AbortController();
    const signal = AbortSignal.any([request.signal, ended.signal]);
    try {
      const image = await this.#fromEndpoints(reference, request, {
        platform,
        tag: request.tag !== false,
        onProgress: request.onProgress,
        signal,
      });
      this.#imageStore.tell('pull', familiarString(reference), familiarName(reference), image);
      return image;
    } catch (error) {
      request.signal.throwIfAborted();
      return copyOrFailure({
        error,
        reference,
        platform,
        allowed: this.#allowsStale(request),
        imageStore: this.#imageStore,
        onProgress: request.onProgress,
      });
    } finally {
      ended.abort();
    }
  }

  #allowsStale(request: PullRequest): boolean {
    return request.stale ?? this.#registry.pullStale;
  }

  async #fromEndpoints(
    reference: Reference,
    request: PullRequest,
    context: Omit<Context, 'client'>,
  ): Promise<Image> {
    let failure: unknown = new InternalError(`no endpoints found for ${familiarString(reference)}`);
    // With a local copy at hand nobody waits for a registry to recover.
    const inHaste = this.#allowsStale(request) && this.#imageStore.tryResolve(canonicalString(reference));
    const registry = inHaste ? { ...this.#registry, maxDownloadAttempts: 1 } : this.#registry;
    for (const endpoint of await pullEndpoints(reference.domain, this.#registry)) {
      const client = new RepositoryClient({
        endpoint,
        path: reference.path,
        auth: endpointAuth(endpoint, reference.domain, request),
        transport: this.#transport,
        registry,
      });
      try {
        return await this.#pullRepository(reference, { ...context, client });
      } catch (error) {
        context.signal.throwIfAborted();
        failure = error;
        if (!mayFallBack(error, endpoint, client.reached)) break;
        log[endpoint.mirror ? 'info' : 'debug'](
          { endpoint: endpoint.baseUrl, error: String(error) },
          'pull failed, trying the next endpoint',
        );
      }
    }
    throw failure;
  }

  async #pullRepository(reference: Reference, context: Context): Promise<Image> {
    const { client, signal, onProgress } = context;
    const tags = isNameOnly(reference) ? await client.tags(signal) : undefined;
    const references = tags?.map((tag) => parseReference(`${repositoryName(reference)}:${tag}`)) ?? [
      reference,
    ];
    let image: Image | undefined;
    let changed = false;
    for (const one of references) {
      const before = this.#imageStore.tryResolve(canonicalString(one))?.id;
      image = await this.#pullOne(one, context);
      changed ||= image.id !== before;
    }
    const outcome = changed ? 'Downloaded newer image for' : 'Image is up to date for';
    onProgress({ status: `Status: ${outcome} ${familiarString(reference)}` });
    if (image === undefined) throw new InternalError(`repository ${familiarName(reference)} has no tags`);
    return image;
  }

  async #pullOne(reference: Reference, context: Context): Promise<Image> {
    const { client, signal, platform, onProgress } = context;
    const top = await this.#fetchTop(reference, context);
    const id = reference.digest === undefined ? (reference.tag ?? '') : canonicalString(reference);
    onProgress({ status: `Pulling from ${reference.path}`, id });
    const name = familiarString(reference);
    const resolved = await resolveImage({ client, top, platform, name, signal });
    const image = await this.#store(reference, resolved, context);
    onProgress({ status: `Digest: ${resolved.digest}` });
    return image;
  }

  /**
   * The manifest or index behind a name. Where the name is known here, the registry is only asked for its digest
   * first: that does not count against rate limits, and usually nothing has changed.
   */
  async #fetchTop(reference: Reference, { client, signal }: Context): Promise<FetchedManifest> {
    const tagOrDigest = reference.digest ?? reference.tag ?? '';
    if (this.#imageStore.tryResolve(canonicalString(reference)) === undefined) {
      return await client.manifest(tagOrDigest, signal);
    }
    const digest = await client.manifestDigest(tagOrDigest, signal);
    return await client.manifest(digest ?? tagOrDigest, signal);
  }

  async #store(reference: Reference, resolved: ResolvedImage, context: Context): Promise<Image> {
    const { layers } = resolved.manifest;
    const diffIds = resolved.config.rootfs.diff_ids;
    const hold = await this.#imageStore.hold({ layers: diffIds, blobs: layers.map(({ digest }) => digest) });
    const added: DiffID[] = [];
    try {
      const name = familiarString(reference);
      const addLayers = await step('pull/layers', name, () =>
        this.#bringLayers(layers, diffIds, added, context),
      );
      context.signal.throwIfAborted();
      await step('pull/prepare', name, () => this.#snapshotter.prepare(diffIds));
      const { repository } = nameKey(reference);
      return this.#imageStore.add({
        configBytes: resolved.configBytes,
        manifest: resolved.manifestBlob,
        ...(resolved.indexBlob === undefined ? {} : { index: resolved.indexBlob }),
        layers: addLayers,
        references: reference.digest === undefined && context.tag ? [canonicalString(reference)] : [],
        repoDigest: `${repository}@${context.tag ? resolved.digest : resolved.manifestBlob.digest}`,
      });
    } finally {
      await hold.release(added);
    }
  }

  /** All layers at once, as far as there are slots; the first failure stops the others and is thrown. */
  async #bringLayers(
    layers: readonly Descriptor[],
    diffIds: readonly DiffID[],
    added: DiffID[],
    context: Context,
  ): Promise<AddLayer[]> {
    const failed = new AbortController();
    const signal = AbortSignal.any([context.signal, failed.signal]);
    const started = new Map<string, Promise<void>>();
    let failure: { error: unknown } | undefined;
    const results = layers.map((descriptor, i): AddLayer | undefined => {
      const diffId = diffIds[i];
      if (diffId === undefined) return undefined;
      const key = `${descriptor.digest} ${diffId}`;
      const { digest, sizeBytes, mediaType } = descriptor;
      const layer = { diffId, blobDigest: digest, blobSizeBytes: sizeBytes, mediaType };
      if (started.has(key)) return layer;
      if (this.#snapshotter.layer(diffId) !== undefined) {
        started.set(key, Promise.resolve());
        context.onProgress(layerStatus(shortDigest(digest), 'Already exists'));
        return { ...layer, verified: this.#isKnownBlob(diffId, descriptor) };
      }
      // Also one that is given up: it may be too late to stop it.
      added.push(diffId);
      const transfer = this.#transfers
        .transfer({ client: context.client, descriptor, diffId, onProgress: context.onProgress, signal })
        .catch((error: unknown) => {
          failure ??= { error };
          failed.abort(error);
        });
      started.set(key, transfer);
      return layer;
    });
    await Promise.all(started.values());
    context.signal.throwIfAborted();
    if (failure !== undefined) throw failure.error;
    return results.filter((layer) => layer !== undefined);
  }

  /** Whether this blob was seen before to unpack to this layer; if not, only the image at hand claims so. */
  #isKnownBlob(diffId: DiffID, { digest }: Descriptor): boolean {
    return (
      this.#content.has(digest) &&
      this.#imageStore.layerBlobs(diffId).some((blob) => blob.digest === digest && blob.verified)
    );
  }
}
