/**
 * From a name in a repository to one image for one platform: follows indexes to the best manifest, fetches the
 * configuration, and refuses what is not an image for the platform that was asked for. Nothing is stored here.
 */
import { InternalError, InvalidParameterError, NotFoundError } from '../../base/errors.ts';
import type { Digest } from '../digest.ts';
import { configPlatform, type ImageConfig, parseImageConfig } from '../image-config.ts';
import {
  type Descriptor,
  type ImageIndex,
  type ImageManifest,
  MAX_CONFIG_BYTES,
  parseManifest,
} from '../manifest.ts';
import {
  checkConfigType,
  checkLayerType,
  DOCKER_MANIFEST,
  DOCKER_MANIFEST_LIST,
  OCI_INDEX,
  OCI_MANIFEST,
} from '../media-types.ts';
import {
  formatPlatform,
  hostPlatform,
  imageMatchesPlatform,
  type Platform,
  platformRank,
} from '../platform.ts';
import type { FetchedManifest, RepositoryClient } from '../registry/client.ts';
import type { BlobInput } from '../store/image-store.ts';

/** Indexes inside indexes, and manifests looked at altogether: published images need one or two of each. */
const MAX_INDEX_DEPTH = 4;
const MAX_MANIFESTS = 32;

const FOLLOWED_TYPES = new Set([DOCKER_MANIFEST, DOCKER_MANIFEST_LIST, OCI_MANIFEST, OCI_INDEX, '']);

export interface ResolvedImage {
  manifest: ImageManifest;
  manifestBlob: BlobInput;
  /** The outermost index; undefined where the name stands for a single manifest. */
  indexBlob: BlobInput | undefined;
  /** What the name stands for: the index's digest or else the manifest's. */
  digest: Digest;
  config: ImageConfig;
  configBytes: Buffer;
}

export interface ResolveRequest {
  client: Pick<RepositoryClient, 'manifest' | 'smallBlob'>;
  /** What the name stands for, fetched already. */
  top: FetchedManifest;
  /** What was asked for; undefined means whatever fits this machine. */
  platform: Platform | undefined;
  /** The reference, for messages. */
  name: string;
  signal: AbortSignal;
}

/**
 * Throws InvalidParameter for content that is not an image, and NotFound with Docker's texts where there is none for
 * the platform.
 */
export async function resolveImage(request: ResolveRequest): Promise<ResolvedImage> {
  const { top, name } = request;
  const parsed = parseManifest(top.bytes, top.mediaType, name);
  if (parsed.kind === 'image') {
    const resolved = await withConfig(request, parsed, blobOf(top, parsed.mediaType), undefined);
    checkPlatform(request, resolved.config);
    return resolved;
  }
  const walk: Walk = { request, index: blobOf(top, parsed.mediaType), fetched: 0 };
  const found = await searchIndex(walk, parsed, 1);
  if (found !== undefined) return found;
  const wanted = request.platform ?? hostPlatform();
  const shown = request.platform === undefined ? withoutLevel(wanted) : wanted;
  throw new NotFoundError(`no matching manifest for ${formatPlatform(shown)} in the manifest list entries`);
}

interface Walk {
  request: ResolveRequest;
  index: BlobInput;
  fetched: number;
}

/** The host's amd64 level is our finding, not the user's wish: messages leave it out. */
function withoutLevel(platform: Platform): Platform {
  return platform.architecture === 'amd64'
    ? { os: platform.os, architecture: platform.architecture }
    : platform;
}

async function searchIndex(walk: Walk, index: ImageIndex, depth: number): Promise<ResolvedImage | undefined> {
  if (depth > MAX_INDEX_DEPTH) {
    throw new InvalidParameterError(`image index is nested more than ${MAX_INDEX_DEPTH} levels deep`);
  }
  for (const entry of candidates(index, walk.request.platform ?? hostPlatform())) {
    walk.fetched += 1;
    if (walk.fetched > MAX_MANIFESTS) {
      throw new InvalidParameterError(`image index leads to more than ${MAX_MANIFESTS} manifests`);
    }
    const found = await followEntry(walk, entry, depth);
    if (found !== undefined) return found;
  }
  return undefined;
}

async function followEntry(walk: Walk, entry: Descriptor, depth: number): Promise<ResolvedImage | undefined> {
  const { request } = walk;
  const fetched = await request.client.manifest(entry.digest, request.signal);
  if (fetched.bytes.length !== entry.sizeBytes) {
    throw new InternalError(
      `manifest ${entry.digest} has ${entry.sizeBytes} bytes according to its index, but the registry sends ${fetched.bytes.length}`,
    );
  }
  const parsed = parseManifest(fetched.bytes, fetched.mediaType || entry.mediaType, request.name);
  if (parsed.kind === 'index') return await searchIndex(walk, parsed, depth + 1);
  const resolved = await withConfig(request, parsed, blobOf(fetched, parsed.mediaType), walk.index);
  // An entry that names its platform is believed: configurations are often wrong about it. One that does not is not.
  if (entry.platform !== undefined) return resolved;
  const wanted = request.platform ?? hostPlatform();
  return imageMatchesPlatform(wanted, configPlatform(resolved.config)) ? resolved : undefined;
}

/** Entries worth following, best first; those that do not name a platform come last. */
function candidates(index: ImageIndex, wanted: Platform): Descriptor[] {
  const ranked: { entry: Descriptor; rank: number }[] = [];
  for (const entry of index.manifests) {
    if (!FOLLOWED_TYPES.has(entry.mediaType)) continue;
    const rank =
      entry.platform === undefined ? Number.MAX_SAFE_INTEGER : platformRank(wanted, entry.platform);
    if (rank !== undefined) ranked.push({ entry, rank });
  }
  return ranked.sort((a, b) => a.rank - b.rank).map(({ entry }) => entry);
}

async function withConfig(
  request: ResolveRequest,
  manifest: ImageManifest,
  manifestBlob: BlobInput,
  indexBlob: BlobInput | undefined,
): Promise<ResolvedImage> {
  const { config, layers } = manifest;
  checkConfigType(config.mediaType);
  for (const layer of layers) checkLayerType(layer.mediaType);
  const bytes = await request.client.smallBlob(
    config.digest,
    config.sizeBytes,
    MAX_CONFIG_BYTES,
    request.signal,
  );
  const parsed = parseImageConfig(bytes);
  if (parsed.rootfs.diff_ids.length !== layers.length) {
    throw new InvalidParameterError("layers from manifest don't match image configuration");
  }
  const digest = (indexBlob ?? manifestBlob).digest;
  return { manifest, manifestBlob, indexBlob, digest, config: parsed, configBytes: bytes };
}

function checkPlatform({ platform, name }: ResolveRequest, config: ImageConfig): void {
  if (platform === undefined || imageMatchesPlatform(platform, configPlatform(config))) return;
  throw new NotFoundError(
    `image with reference ${name} was found but does not provide the specified platform (${formatPlatform(platform)})`,
  );
}

function blobOf({ bytes, digest }: FetchedManifest, mediaType: string): BlobInput {
  return { bytes, digest, mediaType };
}
