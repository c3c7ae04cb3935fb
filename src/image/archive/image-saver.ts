/**
 * Save: images as one archive that is a Docker archive and an OCI layout at once, written as it is read: nothing is
 * gathered, all sizes are known before the first byte. The same images give the same bytes.
 */
import { NotFoundError } from '../../base/errors.ts';
import { step } from '../../base/steps.ts';
import type { Platform } from '../platform.ts';
import type { Hold } from '../store/image-holds.ts';
import { archiveFiles } from './archive-files.ts';
import { archiveBytes } from './archive-writer.ts';
import { type SelectedImage, selectImages } from './save-selection.ts';
import { type SaveDeps, type SavedImage, savedImage } from './saved-image.ts';

export interface SaveRequest {
  /** Names, repositories, IDs. */
  names: readonly string[];
  platform?: Platform | undefined;
  /** Called when the archive is sure to begin; gives what takes its bytes, at the client's speed. */
  begin: () => (chunk: Buffer) => Promise<void>;
  signal: AbortSignal;
}

/**
 * Writes the archive. Images may be removed meanwhile: what the archive needs is held until its end. Throws NotFound
 * before `begin`; after it Internal, where the store is damaged, or the signal's reason.
 */
export async function saveImages(deps: SaveDeps, request: SaveRequest): Promise<void> {
  const { names, platform, signal } = request;
  const selected = selectImages(deps.imageStore, names, platform);
  const hold = await step('save/hold', names[0], () => holdAll(deps, selected));
  try {
    const images: SavedImage[] = [];
    for (const { image, references } of selected) {
      if (deps.imageStore.get(image.id) === undefined) {
        throw new NotFoundError(`No such image: ${image.id} (it was removed just now)`);
      }
      images.push(await savedImage(deps, image, references, signal));
    }
    const files = archiveFiles(deps, images, signal);
    const write = request.begin();
    // One piece is on its way while the next one is read and hashed.
    await step('save/write', names[0], async () => {
      let writing = Promise.resolve();
      for await (const chunk of archiveBytes(files)) {
        await writing;
        signal.throwIfAborted();
        writing = write(chunk);
        writing.catch(() => {
          // Told by the next turn, or by the end.
        });
      }
      await writing;
    });
    signal.throwIfAborted();
    for (const { image } of images) deps.imageStore.tell('save', image.id, image.id, image);
  } finally {
    await hold.release();
  }
}

async function holdAll(deps: SaveDeps, selected: readonly SelectedImage[]): Promise<Hold> {
  const layers = new Set(selected.flatMap(({ image }) => image.diffIds));
  const blobs = [...layers].flatMap((diffId) =>
    deps.imageStore.layerBlobs(diffId).map(({ digest }) => digest),
  );
  return await deps.imageStore.hold({ layers, blobs: new Set(blobs) });
}
