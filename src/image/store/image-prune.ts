/**
 * Removing the images that nothing needs (Engine API, "Delete unused images"): those without a tag, or with `all` those
 * that no container was made from. An image that a container has keeps all its names, also where it has several; those
 * of other platforms in the index that a tag stands for stay with it.
 */
import { ConflictError, errorMessage, NotFoundError } from '../../base/errors.ts';
import { log } from '../../base/log.ts';
import { Turns } from '../../base/turns.ts';
import type { ImageID } from '../digest.ts';
import type { ListedImage } from './image-list.ts';
import type { ImageUser, Removal, RemovedItem, RemoveOptions } from './image-removal.ts';

export interface PruneOptions {
  /** Leave images that have a tag. */
  danglingOnly: boolean;
  /** What the client's filters let through. */
  matches: (image: ListedImage) => boolean;
  usedBy: (imageId: ImageID) => readonly ImageUser[];
  /** Ends the work after the image at hand. */
  signal: AbortSignal;
}

export interface PruneResult {
  removed: RemovedItem[];
  /** What the layers and blobs took that are gone now; none that another image or a container has. */
  freedBytes: number;
}

export interface PrunedStore {
  list(): ListedImage[];
  has(id: ImageID): boolean;
  children(id: ImageID): ImageID[];
  isOfTaggedIndex(id: ImageID): boolean;
  removal(nameOrId: string, options: RemoveOptions): Promise<Removal>;
}

/** An image that something begins to need in the meantime stays. Others get their turn, however many images there are. */
export async function pruneImages(store: PrunedStore, options: PruneOptions): Promise<PruneResult> {
  const result: PruneResult = { removed: [], freedBytes: 0 };
  const turns = new Turns();
  for (const image of store.list().filter(options.matches)) {
    await turns.take();
    if (options.signal.aborted) break;
    const names = [...image.repoTags, ...image.repoDigests];
    if (options.danglingOnly && (image.repoTags.length > 0 || store.isOfTaggedIndex(image.id))) continue;
    if (options.usedBy(image.id).length > 0 || !store.has(image.id)) continue;
    if (names.length === 0 && store.children(image.id).length > 0) continue;
    for (const name of names.length === 0 ? [image.id] : names) {
      const removal = await tryRemove(store, name, options);
      result.removed.push(...(removal?.items ?? []));
      result.freedBytes += removal?.freedBytes ?? 0;
    }
  }
  return result;
}

async function tryRemove(
  store: PrunedStore,
  name: string,
  { usedBy }: PruneOptions,
): Promise<Removal | undefined> {
  try {
    return await store.removal(name, { force: false, noPrune: false, usedBy });
  } catch (error) {
    // A digest goes with the last tag of its repository; a container or an image may have come meanwhile.
    if (!(error instanceof NotFoundError || error instanceof ConflictError)) {
      log.warn({ image: name, error: errorMessage(error) }, 'cannot prune an image');
    }
    return undefined;
  }
}
