/** Puts the builder together: where trees come from, what COPY and RUN do, and what is kept between builds. */
import { join } from 'node:path';
import { Builder, type FileExport } from '../build/builder.ts';
import { BuildCaches } from '../build/cache/build-caches.ts';
import type { StepCache } from '../build/cache/step-cache.ts';
import { FileDigests } from '../build/copy/file-digests.ts';
import { makeWorkdir } from '../build/copy/make-workdir.ts';
import { prepareCopy } from '../build/copy/prepare-copy.ts';
import { RunService } from '../build/run/run-service.ts';
import type { CopyService } from '../build/solve/build-parts.ts';
import { BuildSources } from '../build/source/build-sources.ts';
import type { ContainerEngine } from '../container/engine.ts';
import type { EventBus } from '../events/event-bus.ts';
import { readMountTable } from '../image/layers/mount-table.ts';
import type { Snapshotter } from '../image/layers/snapshotter.ts';
import type { Puller } from '../image/pull/puller.ts';
import type { RegistryOptions } from '../image/registry/options.ts';
import type { ContentStore } from '../image/store/content-store.ts';
import type { ImageStore } from '../image/store/image-store.ts';
import type { DaemonConfig } from './config.ts';
import type { ImagesBackend } from './routes/images/backend.ts';

export interface BuildComposition {
  config: DaemonConfig;
  images: ImageStore;
  contentStore: ContentStore;
  snapshotter: Snapshotter;
  engine: ContainerEngine;
  puller: Puller;
  pusher: Pick<ImagesBackend, 'push'>;
  registry: RegistryOptions;
  cache: StepCache;
  events: EventBus;
}

export interface ComposedBuilder {
  builder: Builder;
  /** For shells in failed steps. */
  runs: RunService;
  close(): Promise<void>;
}

/** Removes what an earlier daemon's builds have left, too. */
export async function composeBuilder(parts: BuildComposition): Promise<ComposedBuilder> {
  const { config, images, contentStore, snapshotter, engine, puller, pusher, registry, cache, events } =
    parts;
  const directory = join(config.dataRoot, 'build');
  const sources = new BuildSources({ directory, snapshotter, images, registry });
  const runs = new RunService({
    snapshotter,
    stepRunner: engine.stepRunner(),
    directory,
    execDirectory: join(config.execRoot, 'build'),
  });
  const roots = mountPointsBelow(directory);
  await Promise.all([sources.sweep(), runs.sweep()]);
  // The driver counts them as users of its images, as long as it is not told that they are gone.
  for (const root of roots) await snapshotter.unmount(root);
  let digests: FileDigests | undefined;
  const fileDigests = (): FileDigests => {
    digests ??= new FileDigests(join(directory, 'file-digests.db'));
    return digests;
  };
  const builder = new Builder({
    parts: {
      images,
      contentStore,
      snapshotter,
      puller,
      pusher,
      sources,
      copy: copyService(snapshotter, fileDigests, sources),
      run: runs,
    },
    cache,
    cacheMounts: runs.caches,
    caches: new BuildCaches({
      imageStore: images,
      contentStore,
      snapshotter,
      registry,
      work: sources.work,
      cacheMounts: runs.caches,
    }),
    stores: [...sources.stores, runs.caches],
    directory,
    events,
    budget: config.builder,
    exportFiles: async (...job: Parameters<FileExport>) => {
      const { fileExport } = await import('../build/export/files.ts');
      const exporting = fileExport({ imageStore: images, contentStore, snapshotter, work: sources.work });
      return await exporting(...job);
    },
    platforms: () => runs.platforms(),
    hostGateway: () => engine.hostGateway(),
    failedSteps: runs,
  });
  return {
    builder,
    runs,
    close: async () => {
      await runs.close();
      await builder.close();
      await runs.close();
      digests?.close();
    },
  };
}

function mountPointsBelow(directory: string): string[] {
  return readMountTable()
    .map(({ mountPoint }) => mountPoint)
    .filter((path) => path.startsWith(`${directory}/`));
}

function copyService(
  snapshotter: Snapshotter,
  fileDigests: () => FileDigests,
  sources: BuildSources,
): CopyService {
  return {
    prepare: (request, signal) =>
      prepareCopy(request, {
        snapshotter,
        fileDigests: fileDigests(),
        openArchive: (path, title, archiveSignal) => sources.layers.openArchive(path, title, archiveSignal),
        signal,
      }),
    makeWorkdir: ({ parent, newLayers, ...request }, signal) =>
      makeWorkdir(request, parent, { snapshotter, newLayers, signal }),
  };
}
