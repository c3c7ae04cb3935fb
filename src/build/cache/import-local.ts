/** Caches that are on this machine: in a folder that the client named (`type=local`), or told by an image here. */
import { InvalidParameterError } from '../../base/errors.ts';
import type { Snapshotter } from '../../image/layers/snapshotter.ts';
import { type Descriptor, parseManifest } from '../../image/manifest.ts';
import type { ContentStore } from '../../image/store/content-store.ts';
import type { Image } from '../../image/store/image-store.ts';
import {
  BUILDKIT_CACHE_TYPE,
  CACHE_CONFIG_TYPE,
  type CacheRecord,
  MAX_DOCUMENT_BYTES,
  parseCache,
  parseInline,
} from './cache-document.ts';
import { CacheFolder } from './cache-folder.ts';
import type { OpenedCache } from './import-cache.ts';

export interface LocalCacheOptions {
  contentStore: ContentStore;
  snapshotter: Snapshotter;
}

/** Throws InvalidParameter or NotFound where the folder has no cache of ours. */
export function openLocalCache(
  { contentStore, snapshotter }: LocalCacheOptions,
  attributes: Readonly<Record<string, string>>,
): OpenedCache {
  const folder = new CacheFolder(attributes, 'src');
  try {
    return {
      records: readRecords(folder, attributes['digest'] || attributes['tag'] || undefined),
      has: (blob) => Promise.resolve(contentStore.size(blob.digest) === blob.sizeBytes || folder.has(blob)),
      bring: async (diffId, blob, signal) => {
        await folder.copyTo(contentStore, blob, signal);
        const blobPath = contentStore.path(blob.digest);
        await snapshotter.add({ blobPath, compression: 'detect', diffId }, signal);
      },
      close: () => folder.close(),
    };
  } catch (error) {
    folder.close();
    throw error;
  }
}

function readRecords(folder: CacheFolder, tag: string | undefined): CacheRecord[] {
  const { bytes, mediaType } = folder.manifest(tag);
  const manifest = parseManifest(bytes, mediaType);
  const entries: Descriptor[] = manifest.kind === 'image' ? [manifest.config] : manifest.manifests;
  const config = entries.find((entry) => entry.mediaType === CACHE_CONFIG_TYPE);
  if (config !== undefined) return parseCache(folder.bytes(config.digest, MAX_DOCUMENT_BYTES));
  const isBuildKits = entries.some((entry) => entry.mediaType === BUILDKIT_CACHE_TYPE);
  throw new InvalidParameterError(
    isBuildKits
      ? 'it was exported by BuildKit, whose steps have other keys'
      : `what the folder has is no build cache: ${entries[0]?.mediaType ?? 'it is empty'}`,
  );
}

/** Undefined where the image tells nothing of its build. */
export function imageCache(image: Image): OpenedCache | undefined {
  const records = parseInline(image.config, []);
  if (records === undefined) return undefined;
  const bring = (): Promise<never> => {
    throw new InvalidParameterError(`image ${image.id} has all of its layers here`);
  };
  return { records, has: () => Promise.resolve(false), bring };
}
