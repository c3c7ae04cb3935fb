/**
 * The check of images, layers and blobs: every record against the files that it stands for, and every file against its
 * digest. What is damaged is made anew from what is whole (a layer from its blob); what nobody needs is removed.
 * Pulls, loads and builds may run meanwhile: what they hold is left alone.
 */
import { createHash } from 'node:crypto';
import { setTimeout } from 'node:timers/promises';
import { type CheckRun, found } from '../../base/check.ts';
import { errorMessage, NotFoundError } from '../../base/errors.ts';
import { type DiffID, type Digest, digestOf } from '../digest.ts';
import { parseImageConfig } from '../image-config.ts';
import type { Snapshotter } from '../layers/snapshotter.ts';
import { type ContentStore, hashFile } from './content-store.ts';
import type { ImageRow, ImageTables } from './image-tables.ts';

/** Between a layer's making and the hold on it lies a sync of a directory, and the unmounting of a container's root. */
const UNUSED_MS = 2000;

export interface ImageCheckOptions {
  tables: ImageTables;
  content: ContentStore;
  snapshotter: Snapshotter;
  /** Whether a pull, load or build holds a layer or blob at the moment. */
  isHeld: (key: DiffID | Digest) => boolean;
  /** Layers of containers. */
  layersInUse: () => Iterable<DiffID>;
  /** Removes an image and its names from the database. */
  forget: (image: ImageRow) => void;
}

/** How many of each were looked at. */
export interface ImagesChecked {
  images: number;
  layers: number;
  blobs: number;
}

export async function checkImages(options: ImageCheckOptions, run: CheckRun): Promise<ImagesChecked> {
  // In this order: layers are made anew from blobs, which must be known to be right, and images need their layers.
  const blobs = await checkBlobs(options, run);
  const layers = await checkLayers(options, run);
  const images = await checkRecords(options, run);
  return { images, layers, blobs };
}

async function checkBlobs({ content, tables, isHeld }: ImageCheckOptions, run: CheckRun): Promise<number> {
  const digests = content.list();
  for (const digest of run.quick ? [] : digests) {
    run.signal.throwIfAborted();
    const actual = await digestOfBlob(content, digest);
    if (actual === undefined || actual === digest) continue;
    const problem = `its bytes have the digest ${actual}`;
    await found(run, { object: `blob ${digest}`, problem, remedy: 'remove it' }, () =>
      content.remove(digest),
    );
  }
  for (const digest of tables.blobs()) {
    if (content.has(digest) || isHeld(digest)) continue;
    const remedy = 'forget it; the image works, and the next pull of it brings the blob back';
    await found(run, { object: `blob ${digest}`, problem: 'it is missing', remedy }, () =>
      tables.forgetBlob(digest),
    );
  }
  return digests.length;
}

/** Undefined where the blob was removed meanwhile. */
async function digestOfBlob(content: ContentStore, digest: Digest): Promise<Digest | undefined> {
  try {
    return await hashFile(content.path(digest));
  } catch (error) {
    if (!content.has(digest)) return undefined;
    throw error;
  }
}

async function checkLayers(options: ImageCheckOptions, run: CheckRun): Promise<number> {
  const { tables, snapshotter, layersInUse } = options;
  const begunMs = performance.now();
  const needed = new Set<DiffID>([...tables.layers(), ...layersInUse()]);
  const unused = snapshotter.layers().filter((diffId) => !needed.has(diffId));
  for (const diffId of needed) {
    run.signal.throwIfAborted();
    const problem = await layerProblem(options, diffId, run);
    // Its last image may have gone while it was read.
    if (problem === undefined || options.isHeld(diffId) || !isNeeded(options, diffId)) continue;
    await found(
      run,
      { object: `layer ${diffId}`, problem, remedy: 'make it anew from its blob' },
      async () => await restoreLayer(options, diffId),
    );
  }
  return needed.size + (await checkUnused(options, run, { layers: unused, begunMs }));
}

/**
 * Layers that nothing used when the check began, and still nothing does. A layer that has just been made has no image
 * yet, and for a moment no hold either: what came later than that, or is not unused for a while, is no finding.
 */
async function checkUnused(
  options: ImageCheckOptions,
  run: CheckRun,
  { layers, begunMs }: { layers: readonly DiffID[]; begunMs: number },
): Promise<number> {
  const isUnused = (diffId: DiffID): boolean =>
    options.snapshotter.layer(diffId) !== undefined && !options.isHeld(diffId) && !isNeeded(options, diffId);
  if (!layers.some(isUnused)) return 0;
  const waitMs = UNUSED_MS - (performance.now() - begunMs);
  if (waitMs > 0) await setTimeout(waitMs, undefined, { signal: run.signal });
  const unused = layers.filter(isUnused);
  for (const diffId of unused) {
    // Asked again for each: removing the one before takes time.
    if (!isUnused(diffId)) continue;
    const finding = { object: `layer ${diffId}`, problem: 'nothing uses it', remedy: 'remove it' };
    await found(run, finding, () => options.snapshotter.remove(diffId));
  }
  return unused.length;
}

function isNeeded({ tables, layersInUse }: ImageCheckOptions, diffId: DiffID): boolean {
  return tables.hasLayer(diffId) || new Set(layersInUse()).has(diffId);
}

async function layerProblem(
  { snapshotter }: ImageCheckOptions,
  diffId: DiffID,
  run: CheckRun,
): Promise<string | undefined> {
  if (snapshotter.layer(diffId) === undefined) return `it is missing in the ${snapshotter.driver} store`;
  if (run.quick) return undefined;
  try {
    if (snapshotter.keepsTars) {
      const hash = createHash('sha256');
      for await (const chunk of snapshotter.exportTar(diffId)) {
        run.signal.throwIfAborted();
        hash.update(chunk as Buffer);
      }
      const actual = `sha256:${hash.digest('hex')}`;
      if (actual !== diffId) return `its tar has the digest ${actual}`;
    }
    await snapshotter.check?.(diffId);
    return undefined;
  } catch (error) {
    run.signal.throwIfAborted();
    return errorMessage(error);
  }
}

/** Mounts of the old files stay as they are until their containers end. */
async function restoreLayer(
  { tables, content, snapshotter }: ImageCheckOptions,
  diffId: DiffID,
): Promise<void> {
  const blob = tables.layerBlobs(diffId).find(({ digest }) => content.has(digest));
  if (blob === undefined) {
    // Layers that were made here have no blob, and may have a tar that is whole.
    if ((await snapshotter.restore?.(diffId)) === true) return;
    throw new NotFoundError('its blob is not here: pull, load or build the images that have it again');
  }
  // A missing one needs no removal, which would take along what another driver has of it.
  if (snapshotter.layer(diffId) !== undefined) await snapshotter.remove(diffId);
  await snapshotter.add({ blobPath: content.path(blob.digest), compression: 'detect', diffId });
}

async function checkRecords(options: ImageCheckOptions, run: CheckRun): Promise<number> {
  const { tables, forget } = options;
  const images = tables.images();
  for (const image of images) {
    run.signal.throwIfAborted();
    const object = `image ${image.id}`;
    const problem = configProblem(image);
    if (problem !== undefined) {
      await found(run, { object, problem, remedy: 'remove the image, and pull or build it again' }, () =>
        forget(image),
      );
      continue;
    }
    if (image.parent !== undefined && tables.image(image.parent) === undefined) {
      const finding = {
        object,
        problem: `its parent ${image.parent} is missing`,
        remedy: 'forget the parent',
      };
      await found(run, finding, () => tables.forgetParent(image.id));
    }
  }
  return images.length;
}

function configProblem(image: ImageRow): string | undefined {
  const actual: string = digestOf(image.config);
  if (actual !== image.id) return `its configuration has the digest ${actual}`;
  try {
    parseImageConfig(image.config);
    return undefined;
  } catch (error) {
    return errorMessage(error);
  }
}
