/**
 * The layout of image archives: Docker's (`docker save`: manifest.json over configurations and layers) and OCI's
 * (image-spec image-layout.md: index.json over blobs), which may be one archive. Names of files, limits, and
 * manifest.json itself; manifests and indexes are read by ../manifest.ts.
 */
import { InvalidParameterError } from '../../base/errors.ts';
import { type Digest, digestHex } from '../digest.ts';
import { JsonReader } from '../json.ts';

export const MANIFEST_FILE = 'manifest.json';
export const INDEX_FILE = 'index.json';
export const LAYOUT_FILE = 'oci-layout';
export const REPOSITORIES_FILE = 'repositories';
const BLOBS = 'blobs/sha256/';

/** Full name of the image, as containerd and Docker write it. */
export const IMAGE_NAME_ANNOTATION = 'io.containerd.image.name';
/** Tag, or with Podman and Skopeo a whole name (OCI image-spec annotations.md). */
export const REF_NAME_ANNOTATION = 'org.opencontainers.image.ref.name';
/** With the registry's host behind it: repositories there that have this very manifest, with commas between them. */
export const SOURCE_ANNOTATION = 'containerd.io/distribution.source.';

/** manifest.json, index.json and repositories beyond this are refused unread. */
export const MAX_LIST_BYTES = 8 << 20;
/** Images that one archive may name. */
export const MAX_IMAGES = 10_000;

export function blobPath(digest: Digest): string {
  return `${BLOBS}${digestHex(digest)}`;
}

/** The digest that a file under `blobs/` must have; undefined for other files. */
export function digestOfBlobPath(path: string): string | undefined {
  return path.startsWith(BLOBS) ? `sha256:${path.slice(BLOBS.length)}` : undefined;
}

/** One image of manifest.json. Paths are those of files in the archive. */
export interface ManifestItem {
  config: string;
  repoTags: string[];
  /** Base first. */
  layers: string[];
  /** ID of another image of the archive that this one was made from. */
  parent: string | undefined;
}

/** Throws InvalidParameter, with Docker's text for `null`. */
export function parseManifestItems(bytes: Uint8Array): ManifestItem[] {
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch (error) {
    throw new InvalidParameterError(`${MANIFEST_FILE} is not valid JSON`, error);
  }
  if (value === null) {
    throw new InvalidParameterError('invalid manifest, manifest cannot be null (but can be [])');
  }
  if (!Array.isArray(value)) throw new InvalidParameterError(`${MANIFEST_FILE}: expected an array`);
  if (value.length > MAX_IMAGES) {
    throw new InvalidParameterError(`${MANIFEST_FILE} names ${value.length} images: more than ${MAX_IMAGES}`);
  }
  return value.map((item, i) => parseItem(new JsonReader(item, `${MANIFEST_FILE}: [${i}]`)));
}

function parseItem(json: JsonReader): ManifestItem {
  return {
    config: json.string('Config') ?? json.fail('Config', 'a path'),
    repoTags: json.strings('RepoTags') ?? [],
    layers: json.strings('Layers') ?? [],
    parent: json.string('Parent') || undefined,
  };
}
