/**
 * A layer's tar byte for byte as its diffID names it, wherever its bytes are: from a driver that keeps tars, else from
 * a blob in the content store that was seen to unpack to the layer. The bytes are hashed on their way, so that what was
 * damaged on the disk is told and not passed on as good. For save and push.
 */
import { createHash } from 'node:crypto';
import { open } from 'node:fs/promises';
import { errnoCode, InternalError, NotFoundError } from '../../base/errors.ts';
import type { DiffID } from '../digest.ts';
import type { Snapshotter } from '../layers/snapshotter.ts';
import { detectCompression, inflate } from '../layers/work/inflate.ts';
import type { ContentStore } from './content-store.ts';
import type { ImageStore, LayerBlob } from './image-store.ts';

export interface LayerTarDeps {
  imageStore: Pick<ImageStore, 'layerBlobs'>;
  contentStore: ContentStore;
  snapshotter: Pick<Snapshotter, 'driver' | 'keepsTars' | 'layer' | 'exportTar'>;
}

const READ_BYTES = 256 << 10;

/**
 * The tar's bytes; the caller holds the layer (`ImageStore.hold`) until it has read them all. After the last chunk it
 * throws Internal where they are not what the diffID names. Throws NotFound for a layer that is not here, and the
 * signal's reason.
 */
export async function* layerTar(
  deps: LayerTarDeps,
  diffId: DiffID,
  signal?: AbortSignal,
): AsyncGenerator<Buffer, void, undefined> {
  const hash = createHash('sha256');
  for await (const chunk of exactBytes(deps, diffId)) {
    signal?.throwIfAborted();
    hash.update(chunk);
    yield chunk;
  }
  const actual = `sha256:${hash.digest('hex')}`;
  if (actual !== diffId) {
    throw new InternalError(
      `layer ${diffId}: the ${deps.snapshotter.driver} store has a tar of ${actual} for it`,
    );
  }
}

/**
 * How many bytes `layerTar` gives. Costs nothing where the driver knows it, else the tar is read (and so verified) to
 * its end.
 */
export async function layerTarSize(
  deps: LayerTarDeps,
  diffId: DiffID,
  signal?: AbortSignal,
): Promise<number> {
  const info = deps.snapshotter.layer(diffId);
  if (info === undefined) throw missing(deps, diffId);
  if (info.tarSizeBytes !== undefined) return info.tarSizeBytes;
  let sizeBytes = 0;
  for await (const chunk of layerTar(deps, diffId, signal)) sizeBytes += chunk.length;
  return sizeBytes;
}

/** The blob that `layerTar` would inflate; undefined where none is here. */
export function verifiedBlob(
  deps: Pick<LayerTarDeps, 'imageStore' | 'contentStore'>,
  diffId: DiffID,
): LayerBlob | undefined {
  return deps.imageStore
    .layerBlobs(diffId)
    .find((blob) => blob.verified && deps.contentStore.size(blob.digest) === blob.sizeBytes);
}

function exactBytes(deps: LayerTarDeps, diffId: DiffID): AsyncIterable<Buffer> {
  const { snapshotter, contentStore } = deps;
  if (snapshotter.layer(diffId) === undefined) throw missing(deps, diffId);
  const blob = snapshotter.keepsTars ? undefined : verifiedBlob(deps, diffId);
  // Drivers without tars still give layers that they made themselves exactly; the hash tells.
  return blob === undefined ? snapshotter.exportTar(diffId) : inflateFile(contentStore.path(blob.digest));
}

function missing(deps: LayerTarDeps, diffId: DiffID): NotFoundError {
  return new NotFoundError(`layer ${diffId} is not in the ${deps.snapshotter.driver} store`);
}

async function* inflateFile(path: string): AsyncGenerator<Buffer, void, undefined> {
  const file = await open(path).catch((error: unknown) => {
    if (errnoCode(error) === 'ENOENT') throw new NotFoundError(`blob ${path} is not in the content store`);
    throw error;
  });
  try {
    const head = Buffer.alloc(8);
    const { bytesRead } = await file.read(head, 0, head.length, 0);
    const chunks = file.createReadStream({ start: 0, highWaterMark: READ_BYTES, autoClose: false });
    yield* inflate(chunks, detectCompression(head.subarray(0, bytesRead)));
  } finally {
    await file.close();
  }
}
