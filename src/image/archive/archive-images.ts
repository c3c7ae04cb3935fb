/**
 * Which images a spooled archive holds, from all that it says of itself: the OCI half, which keeps manifests and so
 * digests, manifest.json, and what Docker wrote before 1.10. Where the first two are of one archive, an image that
 * both know has the names of both, and a name that both give away means the OCI half's image.
 */
import { InvalidParameterError, NotFoundError } from '../../base/errors.ts';
import type { DiffID, Digest } from '../digest.ts';
import { configPlatform, type ImageConfig, parseImageConfig } from '../image-config.ts';
import { MAX_CONFIG_BYTES } from '../manifest.ts';
import { formatPlatform, imageMatchesPlatform, type Platform } from '../platform.ts';
import { canonicalString, parseReference, withDefaultTag } from '../reference.ts';
import type { BlobInput } from '../store/image-store.ts';
import {
  blobPath,
  INDEX_FILE,
  MANIFEST_FILE,
  MAX_LIST_BYTES,
  type ManifestItem,
  parseManifestItems,
  REPOSITORIES_FILE,
} from './archive-layout.ts';
import { archivePath } from './archive-paths.ts';
import { readLegacyImages } from './legacy-layout.ts';
import { type OciImage, readOciImages } from './oci-layout.ts';
import type { Spool } from './spool.ts';

export interface ArchiveLayer {
  diffId: DiffID;
  /** The file in the archive, compressed or not. */
  file: string;
  /** As the manifest has it; undefined where there is none. */
  mediaType: string | undefined;
}

export interface ArchiveImage {
  id: Digest;
  config: ImageConfig;
  configBytes: Buffer;
  /** Base first. */
  layers: ArchiveLayer[];
  manifest: BlobInput | undefined;
  index: BlobInput | undefined;
  /** Full names with a tag. */
  references: string[];
  repoDigests: string[];
  /** ID that another image must have to be this one's parent. */
  parent: string | undefined;
}

/**
 * All images of the archive for `platform`, or for any: parents before their children. Throws InvalidParameter for
 * what is no image archive or a broken one, and NotFound where it has nothing for the platform.
 */
export async function readArchiveImages(
  spool: Spool,
  platform: Platform | undefined,
): Promise<ArchiveImage[]> {
  const images = new Map<Digest, ArchiveImage>();
  let problem: Error | undefined;
  let skipped = false;
  if (spool.has(INDEX_FILE)) {
    const found = await readOciImages(spool, platform);
    for (const image of found.images) images.set(image.manifest.config.digest, fromOci(image));
    problem = found.problems[0];
  }
  if (spool.has(MANIFEST_FILE)) {
    problem = undefined;
    const items = parseManifestItems(await spool.read(MANIFEST_FILE, MAX_LIST_BYTES));
    const taken = new Set([...images.values()].flatMap(({ references }) => references));
    for (const item of items) skipped = !(await addItem(spool, images, taken, item, platform)) || skipped;
  } else if (!spool.has(INDEX_FILE)) {
    if (!spool.has(REPOSITORIES_FILE)) throw notAnArchive();
    for (const image of await readLegacyImages(spool)) {
      if (platform === undefined || matches(platform, image.config)) images.set(image.id, image);
      else skipped = true;
    }
  }
  for (const { config } of images.values()) checkOs(config);
  if (images.size > 0) return sorted([...images.values()]);
  if (problem !== undefined) throw problem;
  if (platform !== undefined && (skipped || spool.has(INDEX_FILE))) {
    throw new NotFoundError(
      `the archive has no image for the specified platform (${formatPlatform(platform)})`,
    );
  }
  return [];
}

function notAnArchive(): InvalidParameterError {
  return new InvalidParameterError(
    `the archive has neither ${MANIFEST_FILE} nor ${INDEX_FILE}, so it holds no images; a file system is what "import" takes`,
  );
}

/** A parent's history is shorter than its child's. */
function sorted(images: ArchiveImage[]): ArchiveImage[] {
  return images.sort((left, right) => left.config.history.length - right.config.history.length);
}

function fromOci(image: OciImage): ArchiveImage {
  const { config, configBytes, manifest, manifestBlob, indexBlob } = image;
  const layers = config.rootfs.diff_ids.flatMap((diffId, i) => {
    const layer = manifest.layers[i];
    return layer === undefined
      ? []
      : [{ diffId, file: blobPath(layer.digest), mediaType: layer.mediaType || undefined }];
  });
  return {
    id: manifest.config.digest,
    config,
    configBytes,
    layers,
    manifest: manifestBlob,
    index: indexBlob,
    references: [...image.references],
    repoDigests: [...image.repoDigests],
    parent: undefined,
  };
}

/** False where the item is for another platform. `taken` are the names that mean an image of the OCI half. */
async function addItem(
  spool: Spool,
  images: Map<Digest, ArchiveImage>,
  taken: ReadonlySet<string>,
  item: ManifestItem,
  platform: Platform | undefined,
): Promise<boolean> {
  const file = archivePath(item.config);
  const configBytes = await spool.read(file, MAX_CONFIG_BYTES);
  const id = spool.stat(file)?.digest;
  if (id === undefined) throw new InvalidParameterError(`image archive: file ${file} is missing`);
  const names = item.repoTags.map(taggedName);
  const known = images.get(id);
  if (known !== undefined) {
    known.references = [...new Set([...known.references, ...names.filter((name) => !taken.has(name))])];
    known.parent ??= item.parent;
    return true;
  }
  const config = parseImageConfig(configBytes);
  if (platform !== undefined && !matches(platform, config)) return false;
  const references = names.filter((name) => !taken.has(name));
  // The OCI half has taken this very image of several platforms, for another one.
  if (names.length > 0 && references.length === 0) return true;
  images.set(id, {
    id,
    config,
    configBytes,
    layers: itemLayers(item, config),
    manifest: undefined,
    index: undefined,
    references,
    repoDigests: [],
    parent: item.parent,
  });
  return true;
}

function itemLayers(item: ManifestItem, config: ImageConfig): ArchiveLayer[] {
  const diffIds = config.rootfs.diff_ids;
  if (diffIds.length !== item.layers.length) {
    throw new InvalidParameterError(
      `invalid manifest, layers length mismatch: expected ${item.layers.length}, got ${diffIds.length}`,
    );
  }
  return diffIds.map((diffId, i) => ({
    diffId,
    file: archivePath(item.layers[i] ?? ''),
    mediaType: undefined,
  }));
}

function taggedName(text: string): string {
  const reference = parseReference(text);
  if (reference.tag === undefined || reference.digest !== undefined) {
    throw new InvalidParameterError(`invalid tag ${JSON.stringify(text)}`);
  }
  return canonicalString(withDefaultTag(reference));
}

function matches(platform: Platform, config: ImageConfig): boolean {
  return imageMatchesPlatform(platform, configPlatform(config));
}

function checkOs({ os }: ImageConfig): void {
  if (os !== '' && os !== 'linux') throw new InvalidParameterError(`cannot load ${os} image on linux`);
}
