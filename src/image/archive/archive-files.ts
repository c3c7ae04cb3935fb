/**
 * The files of a saved archive: blobs under their digests, and over them index.json, oci-layout, manifest.json and
 * repositories. Each is there once, however many images share it.
 */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { InternalError } from '../../base/errors.ts';
import { type Digest, digestHex, parseDigest } from '../digest.ts';
import { OCI_INDEX } from '../media-types.ts';
import { familiarName, familiarString, parseReference, repositoryName } from '../reference.ts';
import { layerTar } from '../store/layer-tar.ts';
import {
  blobPath,
  IMAGE_NAME_ANNOTATION,
  INDEX_FILE,
  LAYOUT_FILE,
  MANIFEST_FILE,
  REF_NAME_ANNOTATION,
  REPOSITORIES_FILE,
  SOURCE_ANNOTATION,
} from './archive-layout.ts';
import type { SaveDeps, SavedImage, SavedLayer } from './saved-image.ts';

export interface ArchiveFile {
  name: string;
  sizeBytes: number;
  content: Buffer | (() => AsyncIterable<Buffer>);
}

const READ_BYTES = 1 << 20;

/** Sorted by name. */
export function archiveFiles(
  deps: SaveDeps,
  images: readonly SavedImage[],
  signal: AbortSignal,
): ArchiveFile[] {
  const files = new Map<string, ArchiveFile>();
  const put = (name: string, bytes: Buffer): void => {
    files.set(name, { name, sizeBytes: bytes.length, content: bytes });
  };
  for (const { image, manifest, index, layers } of images) {
    put(blobPath(parseDigest(image.id)), image.configBytes);
    put(blobPath(manifest.digest), manifest.bytes);
    if (index !== undefined) put(blobPath(index.digest), index.bytes);
    for (const layer of layers) {
      const name = blobPath(layer.digest);
      files.set(name, { name, sizeBytes: layer.sizeBytes, content: () => layerBytes(deps, layer, signal) });
    }
  }
  put(INDEX_FILE, json({ schemaVersion: 2, mediaType: OCI_INDEX, manifests: images.flatMap(indexEntries) }));
  put(LAYOUT_FILE, json({ imageLayoutVersion: '1.0.0' }));
  put(MANIFEST_FILE, json(images.map((image) => manifestItem(image, images))));
  const repositories = repositoriesOf(images);
  if (Object.keys(repositories).length > 0) put(REPOSITORIES_FILE, json(repositories));
  return [...files.values()].sort((left, right) => (left.name < right.name ? -1 : 1));
}

function json(value: unknown): Buffer {
  return Buffer.from(JSON.stringify(value));
}

function layerBytes(deps: SaveDeps, layer: SavedLayer, signal: AbortSignal): AsyncIterable<Buffer> {
  return layer.source === 'tar' ? layerTar(deps, layer.diffId, signal) : verifiedFile(deps, layer.digest);
}

/** Whoever loads it would find out as well, but not whose fault it is. */
async function* verifiedFile(deps: SaveDeps, digest: Digest): AsyncGenerator<Buffer, void, undefined> {
  const hash = createHash('sha256');
  const path = deps.contentStore.path(digest);
  for await (const chunk of createReadStream(path, { highWaterMark: READ_BYTES })) {
    hash.update(chunk as Buffer);
    yield chunk as Buffer;
  }
  const actual = `sha256:${hash.digest('hex')}`;
  if (actual !== digest)
    throw new InternalError(`blob ${digest} is damaged in the content store: it is ${actual}`);
}

/** One for each name; an image without one is there as well. */
function indexEntries(saved: SavedImage): Record<string, unknown>[] {
  const top = saved.index ?? saved.manifest;
  const descriptor = { mediaType: top.mediaType, digest: top.digest, size: top.bytes.length };
  const sources = sourceAnnotations(saved.repoDigests);
  const entry = (names: Record<string, string>): Record<string, unknown> => {
    const annotations = { ...sources, ...names };
    return Object.keys(annotations).length === 0 ? descriptor : { ...descriptor, annotations };
  };
  if (saved.references.length === 0) return [entry({})];
  return saved.references.map((reference) =>
    entry({
      [IMAGE_NAME_ANNOTATION]: reference,
      [REF_NAME_ANNOTATION]: parseReference(reference).tag ?? '',
    }),
  );
}

function sourceAnnotations(repoDigests: readonly string[]): Record<string, string> {
  const annotations: Record<string, string> = {};
  for (const name of repoDigests) {
    const { domain, path } = parseReference(name);
    const key = `${SOURCE_ANNOTATION}${domain}`;
    const paths = new Set([...(annotations[key]?.split(',') ?? []), path]);
    annotations[key] = [...paths].sort().join(',');
  }
  return Object.fromEntries(Object.entries(annotations).sort(([left], [right]) => (left < right ? -1 : 1)));
}

function manifestItem(saved: SavedImage, all: readonly SavedImage[]): Record<string, unknown> {
  const { image, references, layers } = saved;
  const parent = all.find((other) => other.image.id === image.parent);
  const sources = layers.map(({ diffId, mediaType, sizeBytes, digest }) => [
    diffId,
    { mediaType, size: sizeBytes, digest },
  ]);
  return {
    Config: blobPath(parseDigest(image.id)),
    RepoTags:
      references.length === 0
        ? null
        : references.map((reference) => familiarString(parseReference(reference))),
    Layers: layers.map(({ digest }) => blobPath(digest)),
    ...(parent === undefined ? {} : { Parent: parent.image.id }),
    ...(sources.length === 0 ? {} : { LayerSources: Object.fromEntries(sources) }),
  };
}

/** Repository, tag, and the topmost layer: what Docker before 1.10 went by. */
function repositoriesOf(images: readonly SavedImage[]): Record<string, Record<string, string>> {
  const repositories: Record<string, Record<string, string>> = {};
  const names = images
    .flatMap(({ references, layers }) =>
      references.map((name) => ({ reference: parseReference(name), top: layers.at(-1)?.diffId })),
    )
    .sort((left, right) => (repositoryName(left.reference) < repositoryName(right.reference) ? -1 : 1));
  for (const { reference, top } of names) {
    if (top === undefined || reference.tag === undefined) continue;
    const name = familiarName(reference);
    repositories[name] = { ...repositories[name], [reference.tag]: digestHex(top) };
  }
  return repositories;
}
