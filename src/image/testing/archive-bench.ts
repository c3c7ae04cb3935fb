/** Saves and loads over the stores of a PullBench, and archives that are made by hand, for tests. */
import { mkdirSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { ImageArchives } from '../archive/image-archives.ts';
import { digestHex, digestOf } from '../digest.ts';
import { byteString } from '../layers/tar/byte-string.ts';
import type { TarType } from '../layers/tar/tar-format.ts';
import { TarWriter } from '../layers/tar/tar-writer.ts';
import { parsePlatform } from '../platform.ts';
import type { PullProgress } from '../progress.ts';
import type { Image } from '../store/image-store.ts';
import type { TestImage, TestIndex } from './image-builder.ts';
import { PullBench } from './pull-bench.ts';

export interface ArchiveEntry {
  name: string;
  content?: Buffer | string;
  type?: TarType;
  link?: string;
}

export function archiveOf(...entries: ArchiveEntry[]): Buffer {
  const pieces: Buffer[] = [];
  const tar = new TarWriter((bytes) => pieces.push(Buffer.from(bytes)));
  for (const { name, content = '', type = 'file', link = '' } of entries) {
    const data = Buffer.from(content);
    tar.entry({ name: byteString(name), type, size: data.length, linkName: byteString(link) });
    tar.data(data);
  }
  tar.finish();
  return Buffer.concat(pieces);
}

/** The path of a blob in an archive. */
export function blobName(digest: string): string {
  return `blobs/sha256/${digest.slice('sha256:'.length)}`;
}

/** An image's blobs as entries of an OCI layout. */
export function blobEntries(image: TestImage): ArchiveEntry[] {
  return [
    { name: blobName(image.configDigest), content: image.config },
    { name: blobName(image.digest), content: image.manifest },
    ...image.layers.map(({ digest, blob }) => ({ name: blobName(digest), content: blob })),
  ];
}

/** An image as Docker up to 24 writes it: one directory a layer. `extra` is merged into its item of manifest.json. */
export function dockerEntries(
  image: TestImage,
  repoTags: string[] | null,
  extra: object = {},
): ArchiveEntry[] {
  const config = `${digestHex(image.configDigest)}.json`;
  const directory = (i: number): string => digestHex(digestOf(`${image.configDigest} ${i}`));
  const item = {
    Config: config,
    RepoTags: repoTags,
    Layers: image.layers.map((_, i) => `${directory(i)}/layer.tar`),
  };
  return [
    ...image.layers.flatMap(({ tar }, i) => [
      { name: `${directory(i)}/`, type: 'directory' as const },
      { name: `${directory(i)}/VERSION`, content: '1.0' },
      { name: `${directory(i)}/json`, content: '{}' },
      { name: `${directory(i)}/layer.tar`, content: tar },
    ]),
    { name: config, content: image.config },
    { name: 'manifest.json', content: JSON.stringify([{ ...item, ...extra }]) },
  ];
}

/** index.json over images and indexes, each with the annotations given. */
export function indexEntry(
  ...tops: { of: TestImage | TestIndex; annotations?: Record<string, string> }[]
): ArchiveEntry {
  const manifests = tops.map(({ of, annotations }) => ({
    mediaType: of.mediaType,
    digest: of.digest,
    size: 'bytes' in of ? of.bytes.length : of.manifest.length,
    ...(annotations === undefined ? {} : { annotations }),
  }));
  return { name: 'index.json', content: JSON.stringify({ schemaVersion: 2, manifests }) };
}

export interface LoadOutcome {
  images: Image[];
  lines: string[];
  progress: PullProgress[];
}

export class ArchiveBench extends PullBench {
  readonly archives = new ImageArchives({
    directory: join(this.directory, 'archives'),
    imageStore: this.images,
    contentStore: this.content,
    snapshotter: this.snapshotter,
    fetch: { transport: { send: () => Promise.reject(new Error('no network')) }, stallTimeoutMs: 1000 },
    applyChanges: (changes) => ({ Env: [...changes] }),
  });

  async save(names: string[], platform?: string): Promise<Buffer> {
    const chunks: Buffer[] = [];
    await this.archives.save({
      names,
      platform: platform === undefined ? undefined : parsePlatform(platform),
      begin: () => async (chunk) => {
        chunks.push(Buffer.from(chunk));
      },
      signal: AbortSignal.timeout(300_000),
    });
    return Buffer.concat(chunks);
  }

  /** The archive comes in pieces of `pieceBytes`. */
  async load(
    archive: Buffer,
    options: { platform?: string; pieceBytes?: number; signal?: AbortSignal } = {},
  ): Promise<LoadOutcome> {
    const lines: string[] = [];
    const progress: PullProgress[] = [];
    const { platform, pieceBytes = 1000, signal = AbortSignal.timeout(300_000) } = options;
    const images = await this.archives.load({
      source: Readable.from(pieces(archive, pieceBytes)),
      platform: platform === undefined ? undefined : parsePlatform(platform),
      onProgress: (message) => progress.push(message),
      onText: (line) => lines.push(line),
      signal,
    });
    return { images, lines, progress };
  }

  /** Everything that a failed load might have left. */
  leftovers(): string[] {
    mkdirSync(join(this.directory, 'archives'), { recursive: true });
    return [
      ...readdirSync(join(this.directory, 'archives')),
      ...this.content.list(),
      ...this.snapshotter.layers(),
      ...this.images.list().map(({ id }) => id),
    ];
  }
}

function* pieces(bytes: Buffer, sizeBytes: number): Generator<Buffer> {
  for (let at = 0; at < bytes.length; at += sizeBytes) yield bytes.subarray(at, at + sizeBytes);
}
