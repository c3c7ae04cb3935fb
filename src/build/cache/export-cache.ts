/**
 * The cache of a build, brought elsewhere (`--cache-to`): which of its steps, with which blobs, as which documents. Where
 * that goes is a CacheTarget's. The same build gives the same cache; blobs that are there already are neither made nor
 * sent again.
 */
import { createWriteStream } from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { errorMessage, InvalidParameterError } from '../../base/errors.ts';
import { type DiffID, type Digest, digestHex, digestOf } from '../../image/digest.ts';
import type { LayerCompression } from '../../image/layers/snapshotter.ts';
import {
  DOCKER_LAYER,
  DOCKER_MANIFEST_LIST,
  OCI_INDEX,
  OCI_LAYER,
  OCI_LAYER_GZIP,
  OCI_LAYER_ZSTD,
  OCI_MANIFEST,
} from '../../image/media-types.ts';
import { firstFailure } from '../../image/push/first-failure.ts';
import { Semaphore } from '../../image/semaphore.ts';
import type { LayerTarDeps } from '../../image/store/layer-tar.ts';
import { type BlobChoice, type ExportBlob, exportBlob, readBlobChoice } from '../export/layer-blobs.ts';
import { now, type ProgressVertex } from '../progress.ts';
import type { BuiltImage, BuiltLayer, CacheTrail } from '../solve/solved.ts';
import type { WorkFolders } from '../source/work-folders.ts';
import { CACHE_CONFIG_TYPE, type CacheBlob, type CacheRecord, formatCache } from './cache-document.ts';
import { readMountBytes } from './cache-mount-transfer.ts';
import { recordsOf } from './export-inline.ts';

const PARALLEL_BLOBS = 3;

export interface CacheTarget {
  /** Blobs of layers that an earlier export left there. They need not be there any more. */
  earlier: ReadonlyMap<DiffID, CacheBlob>;
  has(blob: CacheBlob): Promise<boolean>;
  putFile(digest: Digest, sizeBytes: number, path: string): Promise<void>;
  putBytes(digest: Digest, bytes: Buffer): Promise<void>;
  /** The document that names everything else: visible from now on. */
  publish(manifest: { bytes: Buffer; mediaType: string; digest: Digest }): Promise<void>;
}

export interface ExportForm {
  mode: 'min' | 'max';
  isOci: boolean;
  /** An image manifest, else an index. */
  asManifest: boolean;
  choice: BlobChoice;
  /** Cache mounts go along, up to `mountBytes` each. */
  cacheMounts: boolean;
  mountBytes: number;
}

export interface CacheExport {
  images: readonly Pick<BuiltImage, 'layers'>[];
  trail: readonly CacheTrail[];
  /** Are there whatever the mode. */
  mounts: readonly CacheTrail[];
  form: ExportForm;
  deps: LayerTarDeps & { work: Pick<WorkFolders, 'create'> };
  vertex: ProgressVertex;
  signal: AbortSignal;
}

/** Reads the attributes that all types have. Throws InvalidParameter, naming what it does not know. */
export function readExportForm(attributes: Readonly<Record<string, string>>): ExportForm {
  const mode = attributes['mode'] || 'min';
  if (mode !== 'min' && mode !== 'max') {
    throw new InvalidParameterError(`invalid cache mode "${mode}": expected min or max`);
  }
  const isOci = flag(attributes, 'oci-mediatypes') ?? true;
  const asManifest = flag(attributes, 'image-manifest') ?? isOci;
  if (asManifest && !isOci) {
    throw new InvalidParameterError(
      'image-manifest=true: a cache as an image manifest has OCI media types; leave out oci-mediatypes=false',
    );
  }
  const choice = readBlobChoice(attributes);
  if (!isOci && choice.compression === 'zstd') {
    throw new InvalidParameterError('compression=zstd: there is no Docker media type for it');
  }
  const cacheMounts = flag(attributes, 'cache-mounts') ?? false;
  return { mode, isOci, asManifest, choice, cacheMounts, mountBytes: readMountBytes(attributes) };
}

function flag(attributes: Readonly<Record<string, string>>, name: string): boolean | undefined {
  const text = attributes[name];
  if (text === undefined || text === '') return undefined;
  if (!/^(?:true|false|0|1)$/.test(text)) {
    throw new InvalidParameterError(`non-bool value for ${name}: ${text}`);
  }
  return text === 'true' || text === '1';
}

/** Throws what the target does. Nothing is to be seen there before all of it is. */
export async function exportCache(job: CacheExport, target: CacheTarget): Promise<void> {
  const { trail, mounts, images, form, deps, vertex, signal } = job;
  const wanted = form.mode === 'max' ? undefined : new Set(images.flatMap(diffIdsOf));
  const records = [...recordsOf(trail, wanted), ...recordsOf(mounts, undefined)];
  const layers = layersOf([...trail, ...mounts], records);
  const folder = deps.work.create();
  const blobs = new Map<DiffID, CacheBlob>();
  const slots = new Semaphore(PARALLEL_BLOBS);
  try {
    await firstFailure(layers, signal, async (layer, layerSignal) => {
      await slots.acquire(layerSignal);
      const started = now();
      const name = `writing layer ${layer.diffId}`;
      try {
        vertex.amount(name, 0, 0, false, started);
        const blob = await place(job, target, layer, folder.path, layerSignal);
        if (blob !== undefined) blobs.set(layer.diffId, blob);
        vertex.amount(name, 0, 0, true, started);
      } finally {
        slots.release();
      }
    });
    await publish(form, withBlobs(records, blobs), target);
  } finally {
    await folder.release();
  }
}

function diffIdsOf({ layers }: Pick<BuiltImage, 'layers'>): DiffID[] {
  return layers.map(({ diffId }) => diffId);
}

function layersOf(trail: readonly CacheTrail[], records: readonly CacheRecord[]): BuiltLayer[] {
  const keys = new Set(records.map(({ key }) => key));
  const layers = new Map<DiffID, BuiltLayer>();
  for (const { key, layer } of trail) {
    if (layer !== undefined && keys.has(key) && !layers.has(layer.diffId)) layers.set(layer.diffId, layer);
  }
  return [...layers.values()];
}

function withBlobs(records: readonly CacheRecord[], blobs: ReadonlyMap<DiffID, CacheBlob>): CacheRecord[] {
  return records.flatMap((record): CacheRecord[] => {
    const { layer } = record;
    if (layer === undefined) return [record];
    const blob = blobs.get(layer.diffId);
    return blob === undefined ? [] : [{ ...record, layer: { diffId: layer.diffId, blob } }];
  });
}

/** Undefined for a layer that cannot be had any more. */
async function place(
  { form, deps, vertex }: CacheExport,
  target: CacheTarget,
  layer: BuiltLayer,
  folder: string,
  signal: AbortSignal,
): Promise<CacheBlob | undefined> {
  const { diffId, remote } = layer;
  for (const known of [target.earlier.get(diffId), remote]) {
    if (known === undefined || !fits(known, form)) continue;
    const { digest, sizeBytes, mediaType } = known;
    if (await target.has(known)) return { digest, sizeBytes, mediaType };
  }
  if (!(await isHere(layer, vertex, signal))) return undefined;
  const made = await exportBlob(deps, layer, form.choice, folder, signal);
  const { digest, sizeBytes, compression } = made;
  const blob = { digest, sizeBytes, mediaType: layerType(compression, form.isOci) };
  if (!(await target.has(blob))) {
    await target.putFile(digest, sizeBytes, await fileOf(deps, made, folder, signal));
  }
  return blob;
}

/** A layer that an imported cache promised, and cannot bring, is left out. */
async function isHere(
  { diffId, remote }: BuiltLayer,
  vertex: ProgressVertex,
  signal: AbortSignal,
): Promise<boolean> {
  try {
    await remote?.fetch(signal);
    return true;
  } catch (error) {
    signal.throwIfAborted();
    vertex.warn({ rule: '', message: `layer ${diffId} is not exported: ${errorMessage(error)}` });
    return false;
  }
}

/** One that says how it is compressed, as it is wanted now. */
function fits({ mediaType }: { mediaType: string }, { choice, isOci }: ExportForm): boolean {
  return mediaType === layerType(choice.compression, isOci);
}

function layerType(compression: LayerCompression, isOci: boolean): string {
  if (!isOci && compression !== 'zstd') {
    return compression === 'gzip' ? DOCKER_LAYER : 'application/vnd.docker.image.rootfs.diff.tar';
  }
  return { none: OCI_LAYER, gzip: OCI_LAYER_GZIP, zstd: OCI_LAYER_ZSTD }[compression];
}

/** Uploads read from any place, again and again. */
async function fileOf(
  { contentStore }: LayerTarDeps,
  { digest, sizeBytes, path, content }: ExportBlob,
  folder: string,
  signal: AbortSignal,
): Promise<string> {
  if (path !== undefined) return path;
  if (contentStore.size(digest) === sizeBytes) return contentStore.path(digest);
  const file = join(folder, `${digestHex(digest)}.blob`);
  await pipeline(Readable.from(content()), createWriteStream(file, { mode: 0o600 }), { signal });
  return file;
}

async function publish(
  { isOci, asManifest }: ExportForm,
  records: readonly CacheRecord[],
  target: CacheTarget,
): Promise<void> {
  const { bytes, blobs } = formatCache(records);
  const digest = digestOf(bytes);
  await target.putBytes(digest, bytes);
  const config = { mediaType: CACHE_CONFIG_TYPE, digest, size: bytes.length };
  const layers = blobs.map((blob) => ({
    mediaType: blob.mediaType,
    digest: blob.digest,
    size: blob.sizeBytes,
  }));
  const mediaType = asManifest ? OCI_MANIFEST : isOci ? OCI_INDEX : DOCKER_MANIFEST_LIST;
  const body = asManifest ? { config, layers } : { manifests: [...layers, config] };
  const manifest = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType, ...body }));
  await target.publish({ bytes: manifest, mediaType, digest: digestOf(manifest) });
}
