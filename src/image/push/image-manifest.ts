/**
 * The manifest that an image is pushed with: the one that it came with, byte for byte, or one that is made of its
 * configuration and layers, the same each time (OCI image-spec manifest.md; Docker's schema 2).
 */
import { open } from 'node:fs/promises';
import { digestOf } from '../digest.ts';
import { detectCompression } from '../layers/work/inflate.ts';
import { type ImageManifest, parseManifest } from '../manifest.ts';
import {
  DOCKER_CONFIG,
  DOCKER_LAYER,
  DOCKER_MANIFEST,
  OCI_CONFIG,
  OCI_LAYER,
  OCI_LAYER_GZIP,
  OCI_LAYER_ZSTD,
  OCI_MANIFEST,
} from '../media-types.ts';
import type { BlobInput, Image, ImageStore } from '../store/image-store.ts';
import type { StoredLayerBlob } from './layer-blob.ts';

const OCI_LAYERS = { none: OCI_LAYER, gzip: OCI_LAYER_GZIP, zstd: OCI_LAYER_ZSTD } as const;

/** A manifest with its bytes. */
export interface PushManifest {
  blob: BlobInput;
  parsed: ImageManifest;
}

/** The manifest that is kept for the image; undefined for an image that was made here and never pushed. */
export function keptManifest(imageStore: ImageStore, image: Image): PushManifest | undefined {
  const blob = imageStore.manifest(image.id);
  if (blob === undefined) return undefined;
  const parsed = parseManifest(blob.bytes, blob.mediaType);
  if (parsed.kind !== 'image' || String(parsed.config.digest) !== String(image.id)) return undefined;
  return parsed.layers.length === image.diffIds.length ? { blob, parsed } : undefined;
}

/**
 * Makes a manifest. One family of types for all of it: Docker's where a layer came with Docker's type, so that whatever
 * could take the base image can take this one, else OCI's; zstd layers, which Docker's types have no name for, make it
 * OCI's in any case.
 */
export async function makeManifest(image: Image, layers: readonly StoredLayerBlob[]): Promise<PushManifest> {
  const kinds = await Promise.all(layers.map(async ({ path }) => detectCompression(await headOf(path))));
  const docker =
    kinds.every((kind) => kind === 'gzip') &&
    layers.some(({ mediaType }) => mediaType.startsWith('application/vnd.docker.'));
  const mediaType = docker ? DOCKER_MANIFEST : OCI_MANIFEST;
  const document = {
    schemaVersion: 2,
    mediaType,
    config: {
      mediaType: docker ? DOCKER_CONFIG : OCI_CONFIG,
      digest: image.id,
      size: image.configBytes.length,
    },
    layers: layers.map(({ digest, sizeBytes }, i) => ({
      mediaType: docker ? DOCKER_LAYER : OCI_LAYERS[kinds[i] ?? 'gzip'],
      digest,
      size: sizeBytes,
    })),
  };
  const bytes = Buffer.from(JSON.stringify(document));
  const parsed = parseManifest(bytes, mediaType);
  if (parsed.kind !== 'image') throw new TypeError('a made manifest is an image manifest');
  return { blob: { bytes, mediaType, digest: digestOf(bytes) }, parsed };
}

async function headOf(path: string): Promise<Buffer> {
  const file = await open(path, 'r');
  try {
    const head = Buffer.alloc(8);
    const { bytesRead } = await file.read(head, 0, head.length, 0);
    return head.subarray(0, bytesRead);
  } finally {
    await file.close();
  }
}
