/** A cache in a registry, under a tag of its own (`--cache-to type=registry,ref=…`). */
import { errorMessage, InvalidParameterError } from '../../base/errors.ts';
import { log } from '../../base/log.ts';
import type { DiffID, Digest } from '../../image/digest.ts';
import { bytesContent, fileContent } from '../../image/push/blob-content.ts';
import { uploadBlob } from '../../image/push/blob-upload.ts';
import { mountSources } from '../../image/push/mount-sources.ts';
import { repositoryName } from '../../image/reference.ts';
import type { RepositoryClient } from '../../image/registry/client.ts';
import type { ClientCredentials } from '../../image/registry/endpoints.ts';
import type { ImageStore } from '../../image/store/image-store.ts';
import type { CacheBlob } from './cache-document.ts';
import { type CacheRegistry, withRepository } from './cache-repository.ts';
import { type CacheExport, exportCache } from './export-cache.ts';
import { readRecords } from './import-registry.ts';

const UPLOAD_ATTEMPTS = 5;

export interface RegistryExport {
  registry: CacheRegistry;
  images: Pick<ImageStore, 'repositoriesOfBlob'>;
  /** Its tag is where the cache will be. */
  name: string;
  credentials: ClientCredentials;
}

/** Throws what the registry says, and InvalidParameter for a name with a digest. */
export async function exportToRegistry(
  { registry, images, name, credentials }: RegistryExport,
  job: CacheExport,
): Promise<void> {
  const { signal } = job;
  await withRepository(registry, name, 'pull,push', credentials, signal, async (client, reference) => {
    const { tag } = reference;
    if (tag === undefined || reference.digest !== undefined) {
      throw new InvalidParameterError(`cannot export a cache to ${name}: expected a name with a tag`);
    }
    const upload = async (content: ReturnType<typeof bytesContent>): Promise<void> => {
      await uploadBlob({
        client,
        content,
        sources: mountSources(images.repositoriesOfBlob(content.digest), repositoryName(reference)),
        attempts: UPLOAD_ATTEMPTS,
        retryDelayMs: registry.options.retryDelayMs,
        onBytes: () => {},
        onRetry: () => {},
        signal,
      });
    };
    await exportCache(job, {
      earlier: await earlierBlobs(client, tag, signal),
      has: async ({ digest, sizeBytes }) => await client.hasBlob(digest, sizeBytes, signal),
      putFile: async (digest: Digest, sizeBytes: number, path: string) =>
        await upload(fileContent(digest, sizeBytes, path)),
      putBytes: async (digest: Digest, bytes: Buffer) => {
        if (!(await client.hasBlob(digest, bytes.length, signal))) await upload(bytesContent(digest, bytes));
      },
      publish: async (manifest) => await client.putManifest(tag, manifest, signal),
    });
  });
}

/** What the tag has now, as far as it is a cache; what else it has is replaced. */
async function earlierBlobs(
  client: RepositoryClient,
  tag: string,
  signal: AbortSignal,
): Promise<Map<DiffID, CacheBlob>> {
  const blobs = new Map<DiffID, CacheBlob>();
  try {
    if ((await client.manifestDigest(tag, signal)) === undefined) return blobs;
    for (const { layer } of (await readRecords(client, tag, signal)) ?? []) {
      if (layer?.blob !== undefined) blobs.set(layer.diffId, layer.blob);
    }
  } catch (error) {
    signal.throwIfAborted();
    // Where the registry cannot be used at all, the first upload says why.
    log.debug({ tag, error: errorMessage(error) }, 'an earlier cache is not used');
  }
  return blobs;
}
