/**
 * Images as one scoped socket has them. They belong to no project: a socket with labels sees all of them. Patterns
 * limit which of them it may name; archives and Dockerfiles name images too.
 */

import type { SolveRequest } from '../../build/solve-request.ts';
import type { BuildBackend } from '../routes/build/backend.ts';
import type { ImagesBackend } from '../routes/images/backend.ts';
import { limitBuild } from './build-policy.ts';
import { beyond, requireOperation } from './guard.ts';
import type { VisibleObjects } from './visible.ts';

export function scopedImages(engine: ImagesBackend, visible: VisibleObjects): ImagesBackend {
  const { scope } = visible;
  const require = (reference: string): string => {
    visible.requireImage(reference);
    return reference;
  };
  const refuseArchives = (what: string): void => {
    if (scope.limitsImages) throw beyond(scope, what, 'it cannot be limited to --image patterns');
  };
  return {
    driver: engine.driver,
    list: () => engine.list(),
    resolve: (reference) => engine.resolve(require(reference)),
    tryResolve: (reference) => engine.tryResolve(reference),
    forPlatform: (image, platform) => engine.forPlatform(image, platform),
    children: (imageId) => engine.children(imageId),
    layersByImage: () => engine.layersByImage(),
    layerSizeBytes: (diffId) => engine.layerSizeBytes(diffId),
    manifests: (image, containersOf) => engine.manifests(image, containersOf),
    containersByImage: () => {
      const own = visible.containerIds();
      const users = [...engine.containersByImage()].map(
        ([image, ids]) => [image, ids.filter((id) => own.has(id))] as const,
      );
      return new Map(users.filter(([, ids]) => ids.length > 0));
    },
    tag: (source, target) => {
      visible.requireImageName(target);
      engine.tag(require(source), target);
    },
    remove: async (reference, options) => {
      visible.requireImage(reference, true);
      return await engine.remove(reference, options);
    },
    prune: async (options) => {
      if (scope.limitsObjects || scope.limitsImages)
        throw beyond(scope, 'pruning images', 'images belong to no socket');
      return await engine.prune(options);
    },
    pull: async (request) => {
      visible.requireImageName(request.reference);
      return await engine.pull(request);
    },
    push: async (request) => await engine.push({ ...request, reference: require(request.reference) }),
    archives: {
      save: async (request) => {
        request.names.forEach(require);
        await engine.archives.save(request);
      },
      load: async (request) => {
        refuseArchives('loading images');
        return await engine.archives.load(request);
      },
      import: async (request) => {
        refuseArchives('importing an image');
        return await engine.archives.import(request);
      },
    },
    registry: {
      search: async (request) => await engine.registry.search(request),
      describe: async (request) => await engine.registry.describe(request),
      manifests: async (request) => await engine.registry.manifests(request),
    },
  };
}

/**
 * RUN steps are containers as every other: on the default bridge, on none, or on a network that may be joined. Contexts come
 * from the client, never from this machine's folders, and cache mounts are the socket's own.
 */
export function scopedBuild(engine: BuildBackend, visible: VisibleObjects): BuildBackend {
  const { scope } = visible;
  return {
    contextFolders: false,
    platforms: () => engine.platforms(),
    hostGateway: () => engine.hostGateway(),
    solve: async (request, io, listener) => await engine.solve(limitedBuild(request, visible), io, listener),
    export: async (solved, outputs, io, auth) => {
      for (const output of outputs) {
        if (output.type !== 'image') continue;
        for (const name of output.names) visible.requireImageName(name);
      }
      return await engine.export(solved, outputs, io, auth);
    },
    openFiles: async (image, signal) => await engine.openFiles(image, signal),
    resolveSource: async (question, io) =>
      await engine.resolveSource(question, {
        ...io,
        cacheNamespace: scope.name,
        requireImage: (name) => visible.requireImage(name),
      }),
    // The same answers come over BuildKit's protocol, which is one operation with the build itself.
    cacheEntries: async () => {
      requireOperation(scope, { name: 'system.df', kind: 'read' });
      if (scope.limitsObjects || scope.limitsImages)
        throw beyond(scope, 'listing the build cache', 'it belongs to no socket');
      return await engine.cacheEntries();
    },
    prune: async (request, signal) => {
      requireOperation(scope, { name: 'images.prune', kind: 'write' });
      if (scope.limitsObjects || scope.limitsImages)
        throw beyond(scope, 'pruning the build cache', 'it belongs to no socket');
      return await engine.prune(request, signal);
    },
  };
}

function limitedBuild(request: SolveRequest, visible: VisibleObjects): SolveRequest {
  const { scope } = visible;
  const entitlements = request.entitlements.filter(
    // It comes with the network mode, which is judged by its own name.
    (name) => !(name === 'network.host' && request.networkMode === 'host'),
  );
  return { ...limitBuild({ ...request, entitlements }, visible), cacheNamespace: scope.name };
}
