/**
 * `GET /system/df`: what images, containers, volumes and the build cache take on the disk. The figures are those of du(1) over the
 * data root: a container's include its log, the layers' include the compressed blobs that were pulled.
 */
import { join } from 'node:path';
import type { ImageSummary } from '../api/images.ts';
import type { BuildCacheRecord, DiskUsage } from '../api/system.ts';
import { diskUsage } from '../base/disk-usage.ts';
import { errorMessage } from '../base/errors.ts';
import { log } from '../base/log.ts';
import type { BuildCacheEntry } from '../build/builder.ts';
import type { ContainerEngine } from '../container/engine.ts';
import { containerPaths } from '../container/paths.ts';
import type { Snapshotter } from '../image/layers/snapshotter.ts';
import type { ImageStore } from '../image/store/image-store.ts';
import { volumeSize } from '../volume/volume-size.ts';
import type { VolumeStore } from '../volume/volume-store.ts';

export interface DiskUsageSources {
  dataRoot: string;
  execRoot: string;
  engine: ContainerEngine;
  images: ImageStore;
  snapshotter: Snapshotter;
  volumes: VolumeStore;
  /** With their shared sizes. */
  summarizeImages(): ImageSummary[];
  cacheEntries(): Promise<BuildCacheEntry[]>;
}

export const DISK_OBJECTS = ['container', 'image', 'volume', 'build-cache'] as const;
export type DiskObject = (typeof DISK_OBJECTS)[number];

/** Measures the objects asked for; the others are empty. What cannot be measured says -1, as Docker's sizes do. */
export async function systemDiskUsage(
  sources: DiskUsageSources,
  wanted: ReadonlySet<DiskObject>,
): Promise<DiskUsage> {
  const usage: DiskUsage = { LayersSize: 0, Images: [], Containers: [], Volumes: [], BuildCache: [] };
  if (wanted.has('image')) {
    usage.LayersSize =
      (await measured(join(sources.dataRoot, 'layers'))) +
      (await measured(join(sources.dataRoot, 'content')));
    usage.Images = sources.summarizeImages();
  }
  if (wanted.has('container')) usage.Containers = await containers(sources);
  if (wanted.has('build-cache')) usage.BuildCache = (await sources.cacheEntries()).map(cacheRecord);
  if (wanted.has('volume')) usage.Volumes = await volumes(sources.volumes);
  return usage;
}

function cacheRecord(entry: BuildCacheEntry): BuildCacheRecord {
  return {
    ID: entry.id,
    ...(entry.parents.length === 0 ? {} : { Parents: [...entry.parents] }),
    Type: entry.type,
    Description: entry.description,
    InUse: entry.inUse,
    Shared: entry.shared,
    Size: entry.sizeBytes,
    CreatedAt: new Date(entry.createdMs).toISOString(),
    LastUsedAt: entry.lastUsedMs === undefined ? null : new Date(entry.lastUsedMs).toISOString(),
    UsageCount: entry.usageCount,
  };
}

async function measured(path: string): Promise<number> {
  try {
    return await diskUsage(path);
  } catch (error) {
    log.warn({ path, error: errorMessage(error) }, 'cannot measure what a folder takes');
    return -1;
  }
}

async function containers(sources: DiskUsageSources): Promise<DiskUsage['Containers']> {
  const found: DiskUsage['Containers'] = [];
  // Of few images there are many containers.
  const imageBytes = new Map<string, number>();
  for (const summary of sources.engine.list({ all: true, limit: 0, filters: {} })) {
    const { home } = containerPaths(sources.dataRoot, sources.execRoot, summary.Id);
    const below =
      imageBytes.get(summary.ImageID) ?? sources.images.tryResolve(summary.ImageID)?.sizeBytes ?? 0;
    imageBytes.set(summary.ImageID, below);
    const written = await measured(home);
    found.push({ ...summary, SizeRw: written, SizeRootFs: below + Math.max(0, written) });
  }
  return found;
}

async function volumes(store: VolumeStore): Promise<DiskUsage['Volumes']> {
  const found: DiskUsage['Volumes'] = [];
  for (const volume of store.list()) {
    const UsageData = {
      Size: await volumeSize(store, volume),
      RefCount: store.references(volume.Name).length,
    };
    found.push({ ...volume, UsageData });
  }
  return found;
}
