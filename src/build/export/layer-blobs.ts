/**
 * Layers of built images as archives and registries carry them: compressed as the output asks for. Blobs that a base
 * image came with are used again; all others are made of the layers' exact tars, in a folder that is gone with the
 * export. The same layers give the same blobs.
 */

import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline, Readable } from 'node:stream';
import { createZstdCompress, constants as zlib } from 'node:zlib';
import { InvalidParameterError } from '../../base/errors.ts';
import { step } from '../../base/steps.ts';
import { compressionOf } from '../../image/archive/layer-loader.ts';
import { type DiffID, type Digest, parseDigest } from '../../image/digest.ts';
import type { LayerCompression } from '../../image/layers/snapshotter.ts';
import { parallelGzip } from '../../image/push/parallel-gzip.ts';
import { type LayerTarDeps, layerTar, layerTarSize } from '../../image/store/layer-tar.ts';
import type { BuiltLayer } from '../solve/solved.ts';

export interface ExportBlob {
  digest: Digest;
  sizeBytes: number;
  compression: LayerCompression;
  content: () => AsyncIterable<Buffer>;
  /** Of a file that was made for it. */
  path?: string;
}

type LayerInput = Pick<BuiltLayer, 'diffId' | 'cacheKey'>;

export interface BlobChoice {
  compression: LayerCompression;
  /** Blobs that are there, but compressed otherwise, are not used. */
  force: boolean;
}

const READ_BYTES = 1 << 20;
const ZSTD_LEVEL = 3;

/** Reads `compression` and `force-compression` of an output. Throws InvalidParameter, naming what it does not know. */
export function readBlobChoice(attributes: Readonly<Record<string, string>>): BlobChoice {
  const asked = attributes['compression'] ?? '';
  const compression = COMPRESSIONS[asked];
  if (compression === undefined) {
    throw new InvalidParameterError(
      `unsupported layer compression type "${asked}": it can be uncompressed, gzip or zstd`,
    );
  }
  return { compression, force: attributes['force-compression'] === 'true' };
}

const COMPRESSIONS: Readonly<Record<string, LayerCompression>> = {
  '': 'gzip',
  uncompressed: 'none',
  gzip: 'gzip',
  zstd: 'zstd',
};

/** `directory`: for what is made, gone only after the content was read. */
export async function exportBlob(
  deps: LayerTarDeps,
  { diffId, cacheKey }: LayerInput,
  choice: BlobChoice,
  directory: string,
  signal: AbortSignal,
): Promise<ExportBlob> {
  // A layer that builds made is compressed the same way everywhere, whatever an earlier output asked for.
  const force = choice.force || cacheKey !== undefined;
  const known = await knownBlob(deps, diffId, { ...choice, force });
  if (known !== undefined) return known;
  if (choice.compression === 'none') {
    const sizeBytes = await layerTarSize(deps, diffId, signal);
    const content = (): AsyncIterable<Buffer> => layerTar(deps, diffId, signal);
    return { digest: parseDigest(diffId), sizeBytes, compression: 'none', content };
  }
  const path = join(directory, diffId.slice('sha256:'.length));
  const tar = layerTar(deps, diffId, signal);
  const packed = choice.compression === 'gzip' ? parallelGzip(tar, signal) : zstd(tar);
  return { ...(await writeBlob(path, packed)), compression: choice.compression };
}

async function knownBlob(
  deps: LayerTarDeps,
  diffId: DiffID,
  { compression, force }: BlobChoice,
): Promise<ExportBlob | undefined> {
  for (const { digest, sizeBytes, verified } of deps.imageStore.layerBlobs(diffId)) {
    if (!verified || deps.contentStore.size(digest) !== sizeBytes) continue;
    const path = deps.contentStore.path(digest);
    const actual = await compressionOf(path);
    if (force && actual !== compression) continue;
    return { digest, sizeBytes, compression: actual, content: () => fileChunks(path) };
  }
  return undefined;
}

/** Opened when the first one is asked for. */
export async function* fileChunks(path: string): AsyncGenerator<Buffer, void, undefined> {
  for await (const chunk of createReadStream(path, { highWaterMark: READ_BYTES })) yield chunk as Buffer;
}

function zstd(source: AsyncIterable<Buffer>): AsyncIterable<Buffer> {
  const params = { [zlib.ZSTD_c_compressionLevel]: ZSTD_LEVEL, [zlib.ZSTD_c_checksumFlag]: 1 };
  const stream = createZstdCompress({ params });
  // What goes wrong is thrown to whoever reads the stream.
  return pipeline(Readable.from(source), stream, () => undefined) as AsyncIterable<Buffer>;
}

/**
 * The same, in the content store. `directory` is on its file system. The caller holds the layer, and the blob from
 * `onDigest` on.
 */
export async function storeBlob(
  deps: LayerTarDeps,
  layer: LayerInput,
  choice: BlobChoice,
  directory: string,
  io: { signal: AbortSignal; onDigest: (digest: Digest) => Promise<void> },
): Promise<ExportBlob> {
  let blob = await exportBlob(deps, layer, choice, directory, io.signal);
  await io.onDigest(blob.digest);
  if (deps.contentStore.size(blob.digest) === blob.sizeBytes) return blob;
  if (blob.path === undefined && blob.compression !== 'none') {
    // One that was known went with its image before it was held.
    blob = await exportBlob(deps, layer, choice, directory, io.signal);
    await io.onDigest(blob.digest);
  }
  const path = blob.path ?? join(directory, `${layer.diffId}.tar`);
  if (blob.path === undefined) await writeBlob(path, blob.content());
  const { digest } = blob;
  await step('build/store-blob', digest, () =>
    deps.contentStore.ingestFile(path, digest, { verified: true }),
  );
  return blob;
}

async function writeBlob(
  path: string,
  chunks: AsyncIterable<Buffer>,
): Promise<Omit<ExportBlob, 'compression'>> {
  const hash = createHash('sha256');
  let sizeBytes = 0;
  // The same layer may be in several of the images.
  const file = await open(path, 'w', 0o600);
  try {
    for await (const chunk of chunks) {
      hash.update(chunk);
      await file.writeFile(chunk);
      sizeBytes += chunk.length;
    }
  } finally {
    await file.close();
  }
  const digest = parseDigest(`sha256:${hash.digest('hex')}`);
  return { digest, sizeBytes, content: () => fileChunks(path), path };
}
