/**
 * The files of built images as they are: mounted read-only, one image alone or each of several in a folder of its
 * platform, so that what is sent is read where the layers have it.
 */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import type { Snapshotter } from '../../image/layers/snapshotter.ts';
import { WorkerPool } from '../../image/layers/work/worker-pool.ts';
import { formatPlatform } from '../../image/platform.ts';
import { releaseAll } from '../release-all.ts';
import type { BuiltImage } from '../solve/solved.ts';
import type { WorkFolders } from '../source/work-folders.ts';

export interface FilesRootOptions {
  snapshotter: Pick<Snapshotter, 'mount' | 'unmount'>;
  work: Pick<WorkFolders, 'create'>;
}

/** Calls `use` with the folder; everything is unmounted and gone when it has ended. `split`: a folder each. */
export async function withFiles<T>(
  options: FilesRootOptions,
  images: readonly BuiltImage[],
  split: boolean,
  use: (folder: string) => Promise<T>,
): Promise<T> {
  const folder = options.work.create();
  const mounted: string[] = [];
  try {
    for (const image of images) {
      const target = join(folder.path, split ? platformFolder(image) : 'root');
      mkdirSync(target);
      await options.snapshotter.mount({ layers: image.layers.map(({ diffId }) => diffId), target });
      mounted.push(target);
    }
    return await use(split ? folder.path : join(folder.path, 'root'));
  } finally {
    await releaseAll(mounted.map((target) => () => options.snapshotter.unmount(target)));
    await folder.release();
  }
}

/** As BuildKit names it: `linux_arm64`. */
export function platformFolder({ platform }: BuiltImage): string {
  return formatPlatform(platform).replaceAll('/', '_');
}

/** All below a folder as a tar, sorted, the same bytes for the same files. */
export function folderTar(folder: string, signal: AbortSignal): Readable {
  const stopped = new AbortController();
  const pool = new WorkerPool(1);
  let room: (() => void) | undefined;
  const stream = new Readable({
    highWaterMark: 1024 * 1024,
    read: () => room?.(),
    destroy: (error, callback) => {
      stopped.abort();
      room?.();
      callback(error);
    },
  });
  const onOutput = async (chunk: Buffer): Promise<void> => {
    if (stream.push(chunk) || stream.destroyed) return;
    await new Promise<void>((resolve) => {
      room = resolve;
    });
  };
  const job = { kind: 'export', directory: folder, withRoot: false } as const;
  pool
    .run(job, { onOutput }, AbortSignal.any([signal, stopped.signal]))
    .then(
      () => void stream.push(null),
      (error: unknown) => void stream.destroy(error instanceof Error ? error : new Error(String(error))),
    )
    .finally(() => pool.close());
  return stream;
}
