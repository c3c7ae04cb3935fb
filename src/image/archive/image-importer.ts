/**
 * Import: a tar of a file system becomes an image of one layer, with the configuration that the request gives it.
 */

import { InvalidParameterError } from '../../base/errors.ts';
import { step } from '../../base/steps.ts';
import { type DiffID, digestOf, parseImageID } from '../digest.ts';
import type { ImageConfig, RunConfig } from '../image-config.ts';
import type { Snapshotter } from '../layers/snapshotter.ts';
import { hostPlatform, type Platform } from '../platform.ts';
import { canonicalString, familiarName, parseReference, withDefaultTag } from '../reference.ts';
import type { ContentStore } from '../store/content-store.ts';
import type { Image, ImageStore } from '../store/image-store.ts';
import { fetchImport, type ImportFetch, parseImportUrl } from './import-source.ts';

export interface ImportRequest {
  /** What the user named as the source: `-`, or a URL that is fetched. Ends in the default message. */
  from: string;
  /** The archive, where `from` is `-`. */
  body: AsyncIterable<Uint8Array>;
  /** Empty for an image without a name. May hold the tag. */
  repository: string;
  tag: string;
  message: string;
  /** Dockerfile instructions. */
  changes: readonly string[];
  /** Default is this machine's. */
  platform?: Platform | undefined;
  onStatus: (status: string) => void;
  signal: AbortSignal;
}

export interface ImporterDeps {
  imageStore: ImageStore;
  contentStore: ContentStore;
  snapshotter: Snapshotter;
  fetch: ImportFetch;
  /** The configuration that the instructions make of an empty one. Throws InvalidParameter for a bad one. */
  applyChanges: (changes: readonly string[], platform: Platform) => RunConfig;
}

/** Judges the whole request before it reads the first byte. Throws InvalidParameter for it, and for a broken archive. */
export async function importImage(deps: ImporterDeps, request: ImportRequest): Promise<Image> {
  const { imageStore, snapshotter } = deps;
  const { signal, message, from } = request;
  const reference = importName(request);
  const platform = request.platform ?? ownPlatform();
  if (platform.os !== 'linux') {
    throw new InvalidParameterError(`operating system "${platform.os}" is not supported`);
  }
  const config = deps.applyChanges(request.changes, platform);
  const hold = imageStore.holdNew();
  const { onStored } = hold;
  try {
    const layer = await step('import/layer', from, () =>
      snapshotter.addTar(notEmpty(openSource(deps, request)), { onStored }, signal),
    );
    const stored = await imageStore.keepBlob(layer);
    signal.throwIfAborted();
    await step('import/prepare', from, () => snapshotter.prepare([layer.diffId]));
    const comment = message === '' ? `Imported from ${from}` : message;
    const configBytes = Buffer.from(JSON.stringify(imageConfig(platform, config, layer.diffId, comment)));
    const references = reference === undefined ? [] : [reference];
    const image = imageStore.add({ configBytes, layers: [stored], references });
    const id = parseImageID(digestOf(configBytes));
    imageStore.tell('import', id, reference === undefined ? id : familiar(reference), image);
    return image;
  } finally {
    await hold.release();
  }
}

function openSource(
  deps: ImporterDeps,
  { from, body, onStatus, signal }: ImportRequest,
): AsyncIterable<Uint8Array> {
  if (from === '-') return body;
  const url = parseImportUrl(from);
  onStatus(`Downloading from ${url.href}`);
  return fetchImport(deps.fetch, url, signal);
}

/** A pipe whose other end has failed brings no bytes at all; an archive without entries has its end mark. */
async function* notEmpty(source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void, undefined> {
  let sizeBytes = 0;
  for await (const chunk of source) {
    sizeBytes += chunk.length;
    yield chunk;
  }
  if (sizeBytes === 0) throw new InvalidParameterError('the archive to import is empty: no bytes came');
}

/** The full name with its tag. */
function importName({ repository, tag }: ImportRequest): string | undefined {
  if (repository === '') return undefined;
  const reference = parseReference(tag === '' ? repository : `${repository}:${tag}`);
  if (reference.digest !== undefined) throw new InvalidParameterError('cannot import digest reference');
  return canonicalString(withDefaultTag(reference));
}

function familiar(reference: string): string {
  const parsed = parseReference(reference);
  return `${familiarName(parsed)}:${parsed.tag ?? ''}`;
}

/** Without the level of an amd64 processor, which says nothing of the archive. */
function ownPlatform(): Platform {
  const host = hostPlatform();
  return host.architecture === 'amd64' ? { os: host.os, architecture: host.architecture } : host;
}

function imageConfig(platform: Platform, config: RunConfig, diffId: DiffID, comment: string): ImageConfig {
  const created = new Date().toISOString();
  return {
    created,
    comment,
    architecture: platform.architecture,
    ...(platform.variant === undefined ? {} : { variant: platform.variant }),
    os: platform.os,
    config,
    rootfs: { type: 'layers', diff_ids: [diffId] },
    history: [{ created, comment }],
  };
}
