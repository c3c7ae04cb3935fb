/** `GET /images/{name}/history`: the steps of an image, newest first, with what each of them added. */
import type { ImageHistoryItem } from '../../../api/images.ts';
import { InternalError } from '../../../base/errors.ts';
import type { Image } from '../../../image/store/image-store.ts';
import type { ImagesBackend } from './backend.ts';

/**
 * A step is `<missing>` unless an image of that state is here: the image itself for the last step, and its parents
 * where they were built here. Throws Internal for a history with more layers than the image has.
 */
export function imageHistory(backend: ImagesBackend, image: Image): ImageHistoryItem[] {
  const images = withParents(backend, image);
  let layers = 0;
  const sizes = image.config.history.map(({ empty_layer: empty }) => {
    if (empty === true) return 0;
    const diffId = image.diffIds[layers++];
    if (diffId === undefined) throw new InternalError('too many non-empty layers in History section');
    return backend.layerSizeBytes(diffId);
  });
  const steps = image.config.history.map((step, index) => ({ step, sizeBytes: sizes[index] ?? 0 }));
  return steps.reverse().map(({ step, sizeBytes }, index) => ({
    Comment: step.comment ?? '',
    Created: step.created === undefined ? 0 : Math.floor(Date.parse(step.created) / 1000) || 0,
    CreatedBy: step.created_by ?? '',
    Id: images[index]?.id ?? '<missing>',
    Size: sizeBytes,
    Tags: images[index]?.repoTags.length ? images[index].repoTags : null,
  }));
}

/** The image, its parent, and so on. */
function withParents(backend: ImagesBackend, image: Image): Image[] {
  const images = [image];
  for (let last: Image | undefined = image; last?.parent !== undefined; ) {
    const parent = backend.tryResolve(last.parent);
    if (parent === undefined || images.length > image.config.history.length) break;
    images.push(parent);
    last = parent;
  }
  return images;
}
