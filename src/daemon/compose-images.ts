/** Puts the image routes' engine together: what pushes, saves, loads, imports and asks registries, over the stores. */
import { join } from 'node:path';
import { configOfChanges } from '../build/apply-changes.ts';
import type { ContainerEngine } from '../container/engine.ts';
import { ImageArchives } from '../image/archive/image-archives.ts';
import { importFetch } from '../image/archive/import-source.ts';
import type { Snapshotter } from '../image/layers/snapshotter.ts';
import type { Puller } from '../image/pull/puller.ts';
import { Pusher, type PusherOptions } from '../image/push/pusher.ts';
import { RateLimit } from '../image/rate-limit.ts';
import type { RegistryOptions } from '../image/registry/options.ts';
import { RemoteImages } from '../image/registry/remote-images.ts';
import { searchRegistry } from '../image/registry/search.ts';
import type { ContentStore } from '../image/store/content-store.ts';
import { imageManifests } from '../image/store/image-manifests.ts';
import type { ImageStore } from '../image/store/image-store.ts';
import type { DaemonConfig } from './config.ts';
import type { ImagesBackend, RegistryBackend } from './routes/images/backend.ts';

export interface ImageParts {
  config: DaemonConfig;
  images: ImageStore;
  contentStore: ContentStore;
  snapshotter: Snapshotter;
  engine: ContainerEngine;
  puller: Puller;
  registry: RegistryOptions;
}

/** Removes what an earlier daemon's loads have left, too. */
export async function composeImages(parts: ImageParts): Promise<ImagesBackend> {
  const { config, images, contentStore, snapshotter, engine, puller, registry } = parts;
  const stores = { imageStore: images, contentStore, snapshotter };
  const pusher = createPusher(config, { ...stores, registry });
  const archives = new ImageArchives({
    ...stores,
    directory: join(config.dataRoot, 'archives'),
    fetch: importFetch(registry),
    applyChanges: configOfChanges,
  });
  await archives.sweep();
  const usedBy = (imageId: string) => engine.usersOfImage(imageId);
  return {
    driver: snapshotter.driver,
    archives,
    registry: registryBackend(registry),
    list: () => images.list(),
    resolve: (reference) => images.resolve(reference),
    tryResolve: (reference) => images.tryResolve(reference),
    forPlatform: (image, platform) => images.forPlatform(image, platform),
    tag: (source, target) => images.tag(images.resolve(source).id, target),
    children: (imageId) => images.children(imageId),
    layersByImage: () => images.layersByImage(),
    layerSizeBytes: (diffId) => snapshotter.layer(diffId)?.sizeBytes ?? 0,
    manifests: (image, containersOf) =>
      imageManifests({ images, content: contentStore, containersOf }, image),
    containersByImage: () => containersByImage(engine),
    remove: (reference, options) => images.remove(reference, { ...options, usedBy }),
    prune: (options) => images.prune({ ...options, usedBy }),
    pull: (request) => puller.pull(request),
    push: (request) => pusher.push(request),
  };
}

function createPusher(config: DaemonConfig, stores: PusherOptions): Pusher {
  const { maxConcurrentUploads, maxUploadRate } = config;
  const limiter = maxUploadRate === 0 ? {} : { limiter: new RateLimit(maxUploadRate) };
  return new Pusher({ ...stores, maxConcurrentUploads, ...limiter });
}

function registryBackend(options: RegistryOptions): RegistryBackend {
  const remote = new RemoteImages(options);
  return {
    search: (request) => searchRegistry(request, options),
    describe: (request) => remote.describe(request),
    manifests: (request) => remote.manifests(request),
  };
}

function containersByImage(engine: ContainerEngine): Map<string, string[]> {
  const users = new Map<string, string[]>();
  for (const { id, record } of engine.all()) {
    const own = users.get(record.imageId);
    if (own === undefined) users.set(record.imageId, [id]);
    else own.push(id);
  }
  return users;
}
