/**
 * Brings back layers that images or containers need and the storage driver does not have whole: after a power cut, or with another
 * driver than before. They are stored again from their blobs, which are synced before an image appears, or from what
 * the other driver left, which has the only copy of layers that were made here.
 */
import { errorMessage } from '../../base/errors.ts';
import { log } from '../../base/log.ts';
import type { DiffID } from '../digest.ts';
import type { Snapshotter } from '../layers/snapshotter.ts';
import type { ContentStore } from './content-store.ts';
import type { ImageTables } from './image-tables.ts';

/** `layersInUse` are those of containers. Failures are logged, not thrown: the other images still work, and pulling the damaged one again mends it. */
export async function restoreLayers(
  tables: ImageTables,
  content: ContentStore,
  snapshotter: Snapshotter,
  layersInUse: Iterable<DiffID>,
): Promise<void> {
  const needed = new Set([...tables.layers(), ...layersInUse]);
  const missing = [...needed].filter((diffId) => snapshotter.layer(diffId) === undefined);
  const withoutBlob = await Promise.all(
    missing.map(async (diffId) => ((await fromBlob(diffId, tables, content, snapshotter)) ? [] : [diffId])),
  );
  /* One by one: each of these has a thread of its own. */
  for (const diffId of withoutBlob.flat()) await fromOtherDriver(diffId, snapshotter);
}

/** False where there is no blob that would do. */
async function fromBlob(
  diffId: DiffID,
  tables: ImageTables,
  content: ContentStore,
  snapshotter: Snapshotter,
): Promise<boolean> {
  const blob = tables.layerBlobs(diffId).find(({ digest }) => content.has(digest));
  if (blob === undefined) return false;
  try {
    await snapshotter.add({ blobPath: content.path(blob.digest), compression: 'detect', diffId });
    log.warn({ diffId }, 'a layer was missing and has been stored again from its blob');
    return true;
  } catch (error) {
    log.error({ diffId, error: errorMessage(error) }, 'a missing layer cannot be stored again from its blob');
    return false;
  }
}

async function fromOtherDriver(diffId: DiffID, snapshotter: Snapshotter): Promise<void> {
  try {
    if ((await snapshotter.restore?.(diffId)) === true) {
      log.warn({ diffId }, 'a layer was missing and has been taken over from another storage driver');
    } else {
      log.error({ diffId }, 'a layer is missing and its blob is not here: pull or build its images again');
    }
  } catch (error) {
    log.error({ diffId, error: errorMessage(error) }, 'a missing layer cannot be taken over');
  }
}
