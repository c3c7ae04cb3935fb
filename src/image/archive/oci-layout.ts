/**
 * The OCI half of an archive: from index.json to the manifests of images, through nested indexes, for one platform.
 * Nothing is stored here. An image is taken only where its manifest is whole: some writers (Docker 25 to 27) name
 * manifests that lack the layers which manifest.json has.
 */
import { InvalidParameterError } from '../../base/errors.ts';
import type { Digest } from '../digest.ts';
import { configPlatform, type ImageConfig, parseImageConfig } from '../image-config.ts';
import {
  type Descriptor,
  type ImageManifest,
  MAX_CONFIG_BYTES,
  MAX_MANIFEST_BYTES,
  type Manifest,
  parseManifest,
} from '../manifest.ts';
import { checkConfigType, checkLayerType } from '../media-types.ts';
import { hostPlatform, imageMatchesPlatform, type Platform, platformRank } from '../platform.ts';
import { canonicalString, parseReference, repositoryName, withDefaultTag } from '../reference.ts';
import type { BlobInput } from '../store/image-store.ts';
import {
  blobPath,
  IMAGE_NAME_ANNOTATION,
  INDEX_FILE,
  MAX_IMAGES,
  MAX_LIST_BYTES,
  REF_NAME_ANNOTATION,
  SOURCE_ANNOTATION,
} from './archive-layout.ts';
import type { Spool } from './spool.ts';

const MAX_INDEX_DEPTH = 4;
/** Manifests read for one archive, those for other platforms included. */
const MAX_MANIFESTS = 4 * MAX_IMAGES;

export interface OciImage {
  config: ImageConfig;
  configBytes: Buffer;
  manifest: ImageManifest;
  manifestBlob: BlobInput;
  /** What index.json names where that is an index over the manifest. */
  indexBlob: BlobInput | undefined;
  /** Full names with a tag, of index.json's annotations. */
  references: Set<string>;
  /** `repository@digest`, likewise. */
  repoDigests: Set<string>;
}

export interface OciImages {
  /** One for each configuration. */
  images: OciImage[];
  /** Why an entry of index.json is no image here: to be told where nothing else explains the archive. */
  problems: Error[];
}

/** Throws InvalidParameter for an archive whose index or manifests are broken. */
export async function readOciImages(spool: Spool, platform: Platform | undefined): Promise<OciImages> {
  const index = parseManifest(await spool.read(INDEX_FILE, MAX_LIST_BYTES), '', INDEX_FILE);
  if (index.kind !== 'index') throw new InvalidParameterError(`${INDEX_FILE} is not an image index`);
  if (index.manifests.length > MAX_IMAGES) {
    throw new InvalidParameterError(
      `${INDEX_FILE} names ${index.manifests.length} images: more than ${MAX_IMAGES}`,
    );
  }
  const walk: Walk = { spool, platform, read: 0, problems: [] };
  const images = new Map<Digest, OciImage>();
  for (const entry of index.manifests) {
    const found = await resolveEntry(walk, entry, undefined, 1);
    if (found === undefined) continue;
    const known = images.get(found.manifest.config.digest) ?? found;
    images.set(found.manifest.config.digest, known);
    addNames(known, entry);
  }
  return { images: [...images.values()], problems: walk.problems };
}

interface Walk {
  spool: Spool;
  platform: Platform | undefined;
  read: number;
  problems: Error[];
}

/** The image behind an entry; undefined where the archive has none of it that fits. */
async function resolveEntry(
  walk: Walk,
  entry: Descriptor,
  top: BlobInput | undefined,
  depth: number,
): Promise<OciImage | undefined> {
  const { spool } = walk;
  const path = blobPath(entry.digest);
  const stat = spool.stat(path);
  if (stat === undefined) {
    walk.problems.push(new InvalidParameterError(`image archive: ${path} is missing`));
    return undefined;
  }
  if (stat.sizeBytes !== entry.sizeBytes) {
    throw new InvalidParameterError(
      `image archive: ${path} has ${stat.sizeBytes} bytes, its index says ${entry.sizeBytes}`,
    );
  }
  walk.read += 1;
  if (walk.read > MAX_MANIFESTS) {
    throw new InvalidParameterError(`image archive leads to more than ${MAX_MANIFESTS} manifests`);
  }
  const bytes = await spool.read(path, MAX_MANIFEST_BYTES);
  const parsed = readManifest(walk, bytes, entry);
  if (parsed === undefined) return undefined;
  const blob: BlobInput = { bytes, digest: entry.digest, mediaType: parsed.mediaType };
  if (parsed.kind === 'image') return await readImage(walk, parsed, blob, top, entry.platform);
  if (depth >= MAX_INDEX_DEPTH) {
    throw new InvalidParameterError(
      `image archive: ${path}: indexes are nested more than ${MAX_INDEX_DEPTH} deep`,
    );
  }
  for (const child of candidates(parsed.manifests, walk.platform)) {
    const found = await resolveEntry(walk, child, top ?? blob, depth + 1);
    if (found !== undefined) return found;
  }
  return undefined;
}

/** Undefined for artifacts that are no images: signatures, charts and the like lie beside images in some archives. */
function readManifest(walk: Walk, bytes: Buffer, entry: Descriptor): Manifest | undefined {
  try {
    const parsed = parseManifest(bytes, entry.mediaType, entry.digest);
    if (parsed.kind === 'image') {
      checkConfigType(parsed.config.mediaType);
      for (const layer of parsed.layers) checkLayerType(layer.mediaType);
    }
    return parsed;
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    walk.problems.push(error);
    return undefined;
  }
}

/** Entries worth following, best first. Without a wish, what is there counts, also for other machines. */
function candidates(entries: readonly Descriptor[], platform: Platform | undefined): Descriptor[] {
  const wanted = platform ?? hostPlatform();
  const unranked = Number.MAX_SAFE_INTEGER;
  return entries
    .map((entry) => {
      if (entry.platform === undefined) return { entry, rank: unranked - 1 };
      // Attestations stand beside images under a platform of their own.
      if (entry.platform.os === 'unknown') return { entry, rank: undefined };
      const rank = platformRank(wanted, entry.platform);
      return { entry, rank: rank ?? (platform === undefined ? unranked : undefined) };
    })
    .filter((one): one is { entry: Descriptor; rank: number } => one.rank !== undefined)
    .sort((left, right) => left.rank - right.rank)
    .map(({ entry }) => entry);
}

async function readImage(
  walk: Walk,
  manifest: ImageManifest,
  manifestBlob: BlobInput,
  indexBlob: BlobInput | undefined,
  stated: Platform | undefined,
): Promise<OciImage | undefined> {
  const { spool } = walk;
  const path = blobPath(manifest.config.digest);
  if (!spool.has(path)) {
    walk.problems.push(
      new InvalidParameterError(`image archive: configuration ${path} of ${manifestBlob.digest} is missing`),
    );
    return undefined;
  }
  const configBytes = await spool.read(path, MAX_CONFIG_BYTES);
  const config = parseImageConfig(configBytes);
  if (walk.platform !== undefined && !imageMatchesPlatform(walk.platform, stated ?? configPlatform(config))) {
    return undefined;
  }
  const problem = incomplete(spool, manifest, config);
  if (problem !== undefined) {
    walk.problems.push(problem);
    return undefined;
  }
  return {
    config,
    configBytes,
    manifest,
    manifestBlob,
    indexBlob,
    references: new Set(),
    repoDigests: new Set(),
  };
}

function incomplete(spool: Spool, manifest: ImageManifest, config: ImageConfig): Error | undefined {
  if (manifest.layers.length !== config.rootfs.diff_ids.length) {
    return new InvalidParameterError("layers from manifest don't match image configuration");
  }
  for (const { digest, sizeBytes } of manifest.layers) {
    const stat = spool.stat(blobPath(digest));
    if (stat === undefined)
      return new InvalidParameterError(`image archive: layer ${blobPath(digest)} is missing`);
    if (stat.sizeBytes !== sizeBytes) {
      return new InvalidParameterError(
        `image archive: layer ${blobPath(digest)} has ${stat.sizeBytes} bytes, its manifest says ${sizeBytes}`,
      );
    }
  }
  return undefined;
}

function addNames(image: OciImage, entry: Descriptor): void {
  const annotations = entry.annotations ?? {};
  const name = annotations[IMAGE_NAME_ANNOTATION] ?? wholeName(annotations[REF_NAME_ANNOTATION]);
  if (name !== undefined) {
    const reference = parseReference(name);
    if (reference.digest === undefined) image.references.add(canonicalString(withDefaultTag(reference)));
  }
  for (const [key, paths] of Object.entries(annotations)) {
    if (!key.startsWith(SOURCE_ANNOTATION)) continue;
    const host = key.slice(SOURCE_ANNOTATION.length);
    for (const path of paths.split(',')) {
      const repository = repositoryName(parseReference(`${host}/${path}`));
      image.repoDigests.add(`${repository}@${entry.digest}`);
    }
  }
}

/** `1.36` alone is a tag of nothing; `busybox:1.36` is a name. */
function wholeName(text: string | undefined): string | undefined {
  return text !== undefined && /[/:]/.test(text) ? text : undefined;
}
