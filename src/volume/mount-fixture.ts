/** For tests of mounts: an image that is only known by its ID, and a storage driver that must not be asked. */
import type { DiffID, ImageID } from '../image/digest.ts';
import type { Snapshotter } from '../image/layers/snapshotter.ts';

export const DEFAULT_IMAGE = {
  id: `sha256:${'1'.repeat(64)}` as ImageID,
  diffIds: [`sha256:${'2'.repeat(64)}` as DiffID],
};

/** Any call throws. */
export const noSnapshotter = new Proxy({} as Snapshotter, {
  get(_, name) {
    throw new Error(`the storage driver was asked: ${String(name)}`);
  },
});
