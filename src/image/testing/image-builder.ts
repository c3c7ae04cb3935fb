/** Makes small images by hand for tests: layers, configuration, manifest and index, with every byte under control. */

import { gzipSync, zstdCompressSync } from 'node:zlib';
import { pack } from 'tar-stream';
import { type DiffID, type Digest, digestOf, parseDiffID } from '../digest.ts';
import {
  DOCKER_CONFIG,
  DOCKER_LAYER,
  DOCKER_MANIFEST,
  OCI_INDEX,
  OCI_LAYER,
  OCI_LAYER_ZSTD,
} from '../media-types.ts';
import type { Platform } from '../platform.ts';

export interface TestLayer {
  tar: Buffer;
  blob: Buffer;
  diffId: DiffID;
  digest: Digest;
  mediaType: string;
}

export interface TestImage {
  layers: TestLayer[];
  config: Buffer;
  configDigest: Digest;
  manifest: Buffer;
  mediaType: string;
  digest: Digest;
  platform: Platform;
}

/** A layer with one file; `sizeBytes` of content that does not compress. */
export async function testLayer(
  name: string,
  options: { content?: string; sizeBytes?: number; compression?: 'gzip' | 'zstd' | 'none' } = {},
): Promise<TestLayer> {
  const archive = pack();
  archive.entry({ name }, options.content ?? noise(options.sizeBytes ?? 100, name));
  archive.finalize();
  const chunks: Buffer[] = [];
  for await (const chunk of archive) chunks.push(chunk as Buffer);
  const tar = Buffer.concat(chunks);
  const compression = options.compression ?? 'gzip';
  const blob = compression === 'gzip' ? gzipSync(tar) : compression === 'zstd' ? zstdCompressSync(tar) : tar;
  const mediaType = { gzip: DOCKER_LAYER, zstd: OCI_LAYER_ZSTD, none: OCI_LAYER }[compression];
  return { tar, blob, diffId: parseDiffID(digestOf(tar)), digest: digestOf(blob), mediaType };
}

/** The same bytes for the same seed (xorshift32). */
function noise(sizeBytes: number, seed: string): Buffer {
  const bytes = Buffer.alloc(sizeBytes);
  let state = [...seed].reduce((sum, c) => (sum * 31 + c.charCodeAt(0)) | 0, 1) || 1;
  for (let i = 0; i < sizeBytes; i += 1) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    bytes[i] = state & 0xff;
  }
  return bytes;
}

export interface TestImageOptions {
  platform?: Platform;
  /** Merged over the configuration. */
  config?: Record<string, unknown>;
  /** Merged over the manifest. */
  manifest?: Record<string, unknown>;
  mediaType?: string;
  /** Merged over the descriptor of the first layer. */
  firstLayer?: Record<string, unknown>;
}

export const AMD64: Platform = { os: 'linux', architecture: 'amd64' };

export function testImage(layers: TestLayer[], options: TestImageOptions = {}): TestImage {
  const platform = options.platform ?? AMD64;
  const mediaType = options.mediaType ?? DOCKER_MANIFEST;
  const config = Buffer.from(
    JSON.stringify({
      created: '2024-05-06T07:08:09.123456789Z',
      ...platform,
      config: { Cmd: ['sh'], Env: ['PATH=/bin'] },
      rootfs: { type: 'layers', diff_ids: layers.map(({ diffId }) => diffId) },
      history: [],
      ...options.config,
    }),
  );
  const configDigest = digestOf(config);
  const manifest = Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      mediaType,
      config: { mediaType: DOCKER_CONFIG, size: config.length, digest: configDigest },
      layers: layers.map((layer, i) => ({
        mediaType: layer.mediaType,
        size: layer.blob.length,
        digest: layer.digest,
        ...(i === 0 ? options.firstLayer : {}),
      })),
      ...options.manifest,
    }),
  );
  return { layers, config, configDigest, manifest, mediaType, digest: digestOf(manifest), platform };
}

export interface TestIndex {
  bytes: Buffer;
  digest: Digest;
  mediaType: string;
}

/** An index over images, each under its platform. */
export function testIndex(images: TestImage[], extra: readonly Record<string, unknown>[] = []): TestIndex {
  const entries = images.map(({ mediaType, manifest, digest, platform }) => ({
    mediaType,
    size: manifest.length,
    digest,
    platform,
  }));
  const bytes = Buffer.from(
    JSON.stringify({ schemaVersion: 2, mediaType: OCI_INDEX, manifests: [...extra, ...entries] }),
  );
  return { bytes, digest: digestOf(bytes), mediaType: OCI_INDEX };
}
