/**
 * Caches in a folder of the client, which its session serves as a store of blobs: `type=local` of BuildKit's clients.
 * They look up and write the folder's index.json themselves; here a cache is a digest.
 */
import { NotFoundError } from '../../base/errors.ts';
import type { Digest } from '../../image/digest.ts';
import type { Snapshotter } from '../../image/layers/snapshotter.ts';
import type { ContentStore } from '../../image/store/content-store.ts';
import { bringBlob } from '../bring-blob.ts';
import { ClientDocuments } from '../client-documents.ts';
import { fileChunks } from '../export/layer-blobs.ts';
import type { ClientStore } from '../session.ts';
import { type CacheExport, exportCache } from './export-cache.ts';
import type { OpenedCache } from './import-cache.ts';
import { readRecords } from './import-registry.ts';

/** Where BuildKit's clients look for what their index is to name. */
const MANIFEST_KEY = 'cache.manifest';

export interface StoredCacheOptions {
  contentStore: ContentStore;
  snapshotter: Pick<Snapshotter, 'add'>;
}

/** Throws InvalidParameter or NotFound where there is no cache of ours. */
export async function openStoredCache(
  { contentStore, snapshotter }: StoredCacheOptions,
  store: ClientStore,
  digest: Digest,
  signal: AbortSignal,
): Promise<OpenedCache> {
  const records = await readRecords(new ClientDocuments(store), digest, signal);
  if (records === undefined) throw new NotFoundError(`${digest} of the client has no build cache in it`);
  return {
    records,
    has: async (blob, hasSignal) =>
      contentStore.size(blob.digest) === blob.sizeBytes ||
      (await store.size(blob.digest, hasSignal)) === blob.sizeBytes,
    bring: async (diffId, blob, bringSignal) => {
      await bringBlob(contentStore, blob, store.read(blob, bringSignal), bringSignal);
      const blobPath = contentStore.path(blob.digest);
      await snapshotter.add({ blobPath, compression: 'detect', diffId }, bringSignal);
    },
  };
}

/** Returns what the client is to be told, for its index. */
export async function exportToStore(store: ClientStore, job: CacheExport): Promise<Record<string, string>> {
  const { signal } = job;
  let told: Record<string, string> = {};
  const put = async (
    digest: Digest,
    sizeBytes: number,
    content: AsyncIterable<Uint8Array>,
  ): Promise<void> => {
    await store.write({ digest, sizeBytes }, content, signal);
  };
  await exportCache(job, {
    earlier: new Map(),
    has: async ({ digest, sizeBytes }) => (await store.size(digest, signal)) === sizeBytes,
    putFile: (digest, sizeBytes, path) =>
      // Opened where it is read: a client that has the blob by now takes nothing.
      put(digest, sizeBytes, fileChunks(path)),
    putBytes: (digest, bytes) => put(digest, bytes.length, once(bytes)),
    publish: async ({ bytes, mediaType, digest }) => {
      await put(digest, bytes.length, once(bytes));
      told = { [MANIFEST_KEY]: JSON.stringify({ mediaType, digest, size: bytes.length }) };
    },
  });
  return told;
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}
