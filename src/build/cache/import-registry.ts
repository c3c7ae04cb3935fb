/**
 * Caches that lie in registries: a cache of its own (`type=registry`), as a manifest or as an index, or what images tell
 * of themselves (`type=inline`, and a name alone). Layers come as those of a pull do.
 */
import { InvalidParameterError, NotFoundError } from '../../base/errors.ts';
import { parseImageConfig } from '../../image/image-config.ts';
import {
  type Descriptor,
  type ImageIndex,
  type ImageManifest,
  MAX_CONFIG_BYTES,
  parseManifest,
} from '../../image/manifest.ts';
import { DOCKER_MANIFEST, OCI_MANIFEST } from '../../image/media-types.ts';
import type { LayerTransfers } from '../../image/pull/layer-transfers.ts';
import type { RepositoryClient } from '../../image/registry/client.ts';
import type { ClientCredentials } from '../../image/registry/endpoints.ts';
import {
  BUILDKIT_CACHE_TYPE,
  CACHE_CONFIG_TYPE,
  type CacheRecord,
  MAX_DOCUMENT_BYTES,
  parseCache,
  parseInline,
} from './cache-document.ts';
import { type CacheRegistry, withRepository } from './cache-repository.ts';
import type { OpenedCache } from './import-cache.ts';

/** Platforms of one index that are looked at. */
const MAX_IMAGES = 32;

type DocumentSource = Pick<RepositoryClient, 'manifest' | 'smallBlob'>;

export interface RegistryCacheOptions {
  registry: CacheRegistry;
  transfers: Pick<LayerTransfers, 'transfer'>;
}

/** Throws what the registry says, and InvalidParameter or NotFound where there is no cache of ours. */
export async function openRegistryCache(
  { registry, transfers }: RegistryCacheOptions,
  name: string,
  credentials: ClientCredentials,
  signal: AbortSignal,
): Promise<OpenedCache> {
  return await withRepository(registry, name, 'pull', credentials, signal, async (client, reference) => {
    const records = await readRecords(client, reference.digest ?? reference.tag ?? '', signal);
    if (records === undefined) throw new NotFoundError(`${name} has no build cache in it`);
    return {
      records,
      has: async ({ digest, sizeBytes }, hasSignal) => await client.hasBlob(digest, sizeBytes, hasSignal),
      bring: async (diffId, blob, bringSignal) =>
        await transfers.transfer({
          client,
          descriptor: blob,
          diffId,
          onProgress: () => {},
          signal: bringSignal,
        }),
    };
  });
}

/** Undefined where what the name stands for is an image that tells nothing. */
export async function readRecords(
  client: DocumentSource,
  tagOrDigest: string,
  signal: AbortSignal,
): Promise<CacheRecord[] | undefined> {
  const top = await client.manifest(tagOrDigest, signal);
  const manifest = parseManifest(top.bytes, top.mediaType);
  return manifest.kind === 'image'
    ? await fromManifest(client, manifest, signal)
    : await fromIndex(client, manifest, signal);
}

async function fromManifest(
  client: DocumentSource,
  { config, layers }: ImageManifest,
  signal: AbortSignal,
): Promise<CacheRecord[] | undefined> {
  const document = await fromConfig(client, config, signal);
  if (document !== undefined) return document;
  const bytes = await client.smallBlob(config.digest, config.sizeBytes, MAX_CONFIG_BYTES, signal);
  return parseInline(parseImageConfig(bytes), layers);
}

/** Undefined where the descriptor is of something else. */
async function fromConfig(
  client: DocumentSource,
  { mediaType, digest, sizeBytes }: Descriptor,
  signal: AbortSignal,
): Promise<CacheRecord[] | undefined> {
  if (mediaType === BUILDKIT_CACHE_TYPE) {
    throw new InvalidParameterError('it was exported by BuildKit, whose steps have other keys');
  }
  if (mediaType !== CACHE_CONFIG_TYPE) return undefined;
  return parseCache(await client.smallBlob(digest, sizeBytes, MAX_DOCUMENT_BYTES, signal));
}

async function fromIndex(
  client: DocumentSource,
  { manifests }: ImageIndex,
  signal: AbortSignal,
): Promise<CacheRecord[] | undefined> {
  for (const entry of manifests) {
    const document = await fromConfig(client, entry, signal);
    if (document !== undefined) return document;
  }
  const records: CacheRecord[] = [];
  const images = manifests.filter(
    ({ mediaType }) => mediaType === OCI_MANIFEST || mediaType === DOCKER_MANIFEST,
  );
  let found = false;
  for (const { digest } of images.slice(0, MAX_IMAGES)) {
    const { bytes, mediaType } = await client.manifest(digest, signal);
    const manifest = parseManifest(bytes, mediaType);
    if (manifest.kind !== 'image') continue;
    const inline = await fromManifest(client, manifest, signal);
    found ||= inline !== undefined;
    records.push(...(inline ?? []));
  }
  return found ? records : undefined;
}
