/**
 * One image as an archive carries it: its manifest, and where the bytes of each layer come from. An image that came with
 * a manifest whose layers are all here keeps it, byte for byte; for any other one a manifest is made, always the same
 * one: over the blobs of layers that have one (those of its base, which other images of the archive share), and the
 * uncompressed tars of the others.
 */
import { InternalError } from '../../base/errors.ts';
import { type DiffID, type Digest, digestOf, parseDigest } from '../digest.ts';
import type { LayerCompression } from '../layers/snapshotter.ts';
import { type Descriptor, MAX_MANIFEST_BYTES, type Manifest, parseManifest } from '../manifest.ts';
import { OCI_CONFIG, OCI_LAYER, OCI_LAYER_GZIP, OCI_LAYER_ZSTD, OCI_MANIFEST } from '../media-types.ts';
import { parseReference } from '../reference.ts';
import type { BlobInput, Image, ImageStore } from '../store/image-store.ts';
import { type LayerTarDeps, layerTarSize, verifiedBlob } from '../store/layer-tar.ts';
import { compressionOf } from './layer-loader.ts';

export interface SavedLayer {
  diffId: DiffID;
  digest: Digest;
  sizeBytes: number;
  mediaType: string;
  /** The exact tar, from wherever it is; else the blob of the content store. */
  source: 'tar' | 'blob';
}

export interface SavedImage {
  image: Image;
  references: readonly string[];
  manifest: BlobInput;
  /** The index that led to the manifest, where it is here. */
  index: BlobInput | undefined;
  /** `repository@digest` of the index, or of the manifest where there is none. */
  repoDigests: string[];
  /** Base first. */
  layers: SavedLayer[];
}

export interface SaveDeps extends LayerTarDeps {
  imageStore: ImageStore;
}

/** The layers and blobs of the image are held. Throws Internal or NotFound where a layer has no exact source. */
export async function savedImage(
  deps: SaveDeps,
  image: Image,
  references: readonly string[],
  signal: AbortSignal,
): Promise<SavedImage> {
  const original = deps.imageStore.manifest(image.id);
  const layers = original === undefined ? undefined : await originalLayers(deps, image, original, signal);
  if (original === undefined || layers === undefined) {
    const made = await madeLayers(deps, image, signal);
    const manifest = makeManifest(image, made);
    return { image, references, manifest, index: undefined, repoDigests: [], layers: made };
  }
  const index = indexOver(deps, image, original.digest);
  const digest = (index ?? original).digest;
  const repoDigests = image.repoDigests.filter((name) => parseReference(name).digest === digest);
  return { image, references, manifest: original, index, repoDigests, layers };
}

/** Undefined where some layer of the manifest is not here as the manifest has it. */
async function originalLayers(
  deps: SaveDeps,
  image: Image,
  original: BlobInput,
  signal: AbortSignal,
): Promise<SavedLayer[] | undefined> {
  const manifest = parseManifest(original.bytes, original.mediaType, image.id);
  const isWhole =
    manifest.kind === 'image' &&
    manifest.layers.length === image.diffIds.length &&
    (manifest.config.digest as string) === image.id;
  if (!isWhole) return undefined;
  const layers: SavedLayer[] = [];
  for (const [i, diffId] of image.diffIds.entries()) {
    const descriptor = manifest.layers[i];
    const source = descriptor === undefined ? undefined : await sourceOf(deps, diffId, descriptor, signal);
    if (descriptor === undefined || source === undefined) return undefined;
    const { digest, sizeBytes, mediaType } = descriptor;
    layers.push({ diffId, digest, sizeBytes, mediaType, source });
  }
  return layers;
}

async function sourceOf(
  deps: SaveDeps,
  diffId: DiffID,
  { digest, sizeBytes }: Descriptor,
  signal: AbortSignal,
): Promise<SavedLayer['source'] | undefined> {
  if (deps.contentStore.size(digest) === sizeBytes) {
    const known = deps.imageStore.layerBlobs(diffId).some((blob) => blob.verified && blob.digest === digest);
    if (known) return 'blob';
  }
  if ((digest as string) !== diffId || !deps.snapshotter.keepsTars) return undefined;
  return (await layerTarSize(deps, diffId, signal)) === sizeBytes ? 'tar' : undefined;
}

const MEDIA_TYPES: Readonly<Record<LayerCompression, string>> = {
  none: OCI_LAYER,
  gzip: OCI_LAYER_GZIP,
  zstd: OCI_LAYER_ZSTD,
};

async function madeLayers(deps: SaveDeps, image: Image, signal: AbortSignal): Promise<SavedLayer[]> {
  const layers: SavedLayer[] = [];
  for (const diffId of image.diffIds) {
    signal.throwIfAborted();
    const blob = verifiedBlob(deps, diffId);
    if (blob === undefined) {
      const sizeBytes = await layerTarSize(deps, diffId, signal);
      layers.push({ diffId, digest: parseDigest(diffId), sizeBytes, mediaType: OCI_LAYER, source: 'tar' });
    } else {
      const { digest, sizeBytes } = blob;
      const mediaType = MEDIA_TYPES[await compressionOf(deps.contentStore.path(digest))];
      layers.push({ diffId, digest, sizeBytes, mediaType, source: 'blob' });
    }
  }
  return layers;
}

function makeManifest({ id, configBytes }: Image, layers: readonly SavedLayer[]): BlobInput {
  const manifest = {
    schemaVersion: 2,
    mediaType: OCI_MANIFEST,
    config: { mediaType: OCI_CONFIG, digest: id, size: configBytes.length },
    layers: layers.map(({ mediaType, digest, sizeBytes }) => ({ mediaType, digest, size: sizeBytes })),
  };
  const bytes = Buffer.from(JSON.stringify(manifest));
  if (bytes.length > MAX_MANIFEST_BYTES)
    throw new InternalError(`image ${id} has too many layers to be saved`);
  return { bytes, digest: digestOf(bytes), mediaType: OCI_MANIFEST };
}

/** The image's repository digests name what was pulled: an index over its manifest, or the manifest itself. */
function indexOver(deps: SaveDeps, image: Image, manifestDigest: Digest): BlobInput | undefined {
  for (const name of image.repoDigests) {
    const { digest } = parseReference(name);
    if (digest === undefined || digest === manifestDigest) continue;
    const size = deps.contentStore.size(digest);
    if (size === undefined || size > MAX_MANIFEST_BYTES) continue;
    const bytes = deps.contentStore.read(digest, MAX_MANIFEST_BYTES);
    const index = parseIndex(bytes);
    const names = index?.kind === 'index' && index.manifests.some((entry) => entry.digest === manifestDigest);
    if (index !== undefined && names) return { bytes, digest, mediaType: index.mediaType };
  }
  return undefined;
}

function parseIndex(bytes: Buffer): Manifest | undefined {
  try {
    return parseManifest(bytes, '');
  } catch {
    // Stored by an import of something else under that digest: then there is no index to keep.
    return undefined;
  }
}
