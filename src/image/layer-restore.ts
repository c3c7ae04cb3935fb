/**
 * Repairs what a power cut did to a storage driver: a layer that images need, and that the driver no longer has
 * whole, is unpacked again from its blob. Blobs are synced before an image appears, so they outlive what layers may not.
 */
import { errorMessage } from '../base/errors.ts';
import { log } from '../base/log.ts';
import type { ContentStore } from './content-store.ts';
import type { DiffID } from './digest.ts';
import type { ImageTables } from './image-tables.ts';
import type { Snapshotter } from './layers/snapshotter.ts';

/** Failures are logged, not thrown: the other images still work, and pulling the damaged one again mends it. */
export async function restoreLayers(
  tables: ImageTables,
  content: ContentStore,
  snapshotter: Snapshotter,
): Promise<void> {
  const missing = [...tables.layers()].filter((diffId) => snapshotter.layer(diffId) === undefined);
  await Promise.all(missing.map((diffId) => restoreLayer(diffId, tables, content, snapshotter)));
}

async function restoreLayer(
  diffId: DiffID,
  tables: ImageTables,
  content: ContentStore,
  snapshotter: Snapshotter,
): Promise<void> {
  const blob = tables.layerBlobs(diffId).find(({ digest }) => content.has(digest));
  if (blob === undefined) {
    log.error({ diffId }, 'a layer is missing and its blob is not here: pull or build its images again');
    return;
  }
  try {
    await snapshotter.add({ blobPath: content.path(blob.digest), compression: 'detect', diffId });
    log.warn({ diffId }, 'a layer was missing and has been unpacked again');
  } catch (error) {
    log.error({ diffId, error: errorMessage(error) }, 'a missing layer cannot be unpacked again');
  }
}
