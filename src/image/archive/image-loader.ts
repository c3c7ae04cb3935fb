/**
 * Load: from an archive to images in the store. The archive is spooled whole, its images are read from it, their
 * layers go to the storage driver, and each image becomes visible in one transaction at its end. Messages are Docker's.
 */

import { mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { errorMessage } from '../../base/errors.ts';
import { log } from '../../base/log.ts';
import { step } from '../../base/steps.ts';
import { type DiffID, type ImageID, parseImageID } from '../digest.ts';
import type { Snapshotter } from '../layers/snapshotter.ts';
import type { Platform } from '../platform.ts';
import type { OnProgress } from '../progress.ts';
import { familiarString, parseReference } from '../reference.ts';
import type { ContentStore } from '../store/content-store.ts';
import type { AddLayer, Image, ImageStore } from '../store/image-store.ts';
import { type ArchiveImage, readArchiveImages } from './archive-images.ts';
import { archiveInput } from './archive-input.ts';
import { type BroughtLayer, LayerLoader } from './layer-loader.ts';
import { Spool } from './spool.ts';

export interface LoadRequest {
  /** The archive as it comes, compressed or not. Left open where it is not read to its end. */
  source: AsyncIterable<Buffer>;
  /** Only images for it; default is every image, and of one for several platforms what fits this machine best. */
  platform?: Platform | undefined;
  onProgress: OnProgress;
  /** Lines for the user: `Loaded image: busybox:latest`. */
  onText: (line: string) => void;
  signal: AbortSignal;
}

export interface ImageLoaderOptions {
  /** On the data root's file system; each load has a folder of its own in it. */
  directory: string;
  contentStore: ContentStore;
  imageStore: ImageStore;
  snapshotter: Snapshotter;
}

/**
 * Returns the images, in the order in which they were stored. Whatever interrupts it, an image is there whole or not at
 * all, and the space of the others is given back. Throws InvalidParameter, naming the file, for archives that are
 * broken, beyond the limits, or none.
 */
export async function loadImages(options: ImageLoaderOptions, request: LoadRequest): Promise<Image[]> {
  const directory = await step('load/folder', undefined, () => mkdtemp(join(options.directory, 'load-')));
  const spool = new Spool(directory);
  try {
    await step('load/spool', directory, async () => {
      for await (const chunk of archiveInput(request.source)) {
        request.signal.throwIfAborted();
        await spool.write(chunk);
      }
      spool.finish();
    });
    request.signal.throwIfAborted();
    const images = await readArchiveImages(spool, request.platform);
    return await loadAll(options, spool, images, request);
  } finally {
    await spool.close();
    await step('load/discard', directory, () => rm(directory, { recursive: true, force: true })).catch(
      (error: unknown) => {
        log.warn(
          { directory, error: errorMessage(error) },
          'leftovers of a load remain until the next start',
        );
      },
    );
  }
}

/** What any of them needs is held until the last one stands: they share layers and blobs. */
async function loadAll(
  options: ImageLoaderOptions,
  spool: Spool,
  images: readonly ArchiveImage[],
  request: LoadRequest,
): Promise<Image[]> {
  const layers = images.flatMap((image) => image.layers);
  const hold = await options.imageStore.hold({
    layers: new Set(layers.map(({ diffId }) => diffId)),
    blobs: new Set(layers.flatMap(({ file }) => spool.stat(file)?.digest ?? [])),
  });
  const added: DiffID[] = [];
  const loader = new LayerLoader({ ...options, ...request, spool, added });
  try {
    const loaded: Image[] = [];
    for (const image of images) loaded.push(await loadImage(options, spool, loader, image, request));
    return loaded;
  } finally {
    await hold.release(added);
  }
}

async function loadImage(
  options: ImageLoaderOptions,
  spool: Spool,
  loader: LayerLoader,
  image: ArchiveImage,
  { signal, onText }: LoadRequest,
): Promise<Image> {
  signal.throwIfAborted();
  const brought = await step('load/layers', image.id, () => loader.bring(image));
  await step('load/prepare', image.id, () =>
    options.snapshotter.prepare(image.layers.map(({ diffId }) => diffId)),
  );
  signal.throwIfAborted();
  // Kept only now, when little can fail any more: a blob without an image stays until it is swept a day later.
  const layers: AddLayer[] = [];
  for (const layer of brought) layers.push(await keepBlob(options.contentStore, spool, layer));
  return addImage(options.imageStore, image, layers, onText);
}

async function keepBlob(content: ContentStore, spool: Spool, layer: BroughtLayer): Promise<AddLayer> {
  const { diffId, blob, keep, file } = layer;
  if (blob === undefined) return { diffId };
  if (keep && !content.has(blob.digest)) {
    await step('load/blob', diffId, () => content.ingestFile(blob.path, blob.digest, { verified: true }));
    spool.moved(file, content.path(blob.digest));
  }
  return { diffId, blobDigest: blob.digest, blobSizeBytes: blob.sizeBytes, mediaType: blob.mediaType };
}

function addImage(
  imageStore: ImageStore,
  image: ArchiveImage,
  layers: AddLayer[],
  onText: (line: string) => void,
): Image {
  const id = parseImageID(image.id);
  const names = image.references.map((name) => familiarString(parseReference(name)));
  for (const name of names) {
    const before = imageStore.tryResolve(name)?.id;
    if (before !== undefined && before !== id) {
      onText(`The image ${name} already exists, renaming the old one with ID ${before} to empty string`);
    }
  }
  const parent = parentOf(imageStore, image);
  const input = {
    configBytes: image.configBytes,
    layers,
    ...(image.manifest === undefined ? {} : { manifest: image.manifest }),
    ...(image.index === undefined ? {} : { index: image.index }),
    ...(parent === undefined ? {} : { parent }),
    references: image.references,
  };
  const [first, ...others] = image.repoDigests;
  let stored = imageStore.add({ ...input, ...(first === undefined ? {} : { repoDigest: first }) });
  for (const repoDigest of others) stored = imageStore.add({ ...input, repoDigest });
  for (const name of names) onText(`Loaded image: ${name}`);
  if (names.length === 0) onText(`Loaded image ID: ${id}`);
  imageStore.tell('load', id, id, stored);
  return stored;
}

/** The archive's word is taken where it can be true: a parent has the layers and the history below its child's last step. */
function parentOf(imageStore: ImageStore, { parent, config }: ArchiveImage): ImageID | undefined {
  if (parent === undefined || !/^sha256:[0-9a-f]{64}$/.test(parent)) return undefined;
  const found = imageStore.get(parseImageID(parent));
  if (found === undefined || found.config.history.length + 1 !== config.history.length) return undefined;
  const isBelow = found.diffIds.every((diffId, i) => config.rootfs.diff_ids[i] === diffId);
  return isBelow ? found.id : undefined;
}
