/**
 * The manifests of an image, as the Engine API's `Manifests` and `Descriptor` show them: what the image's name stands for
 * in its registry, and which platforms of it are here. Images made here have none before they are pushed.
 */
import type { ImageManifestSummary, OCIDescriptor, OCIPlatform } from '../../api/images.ts';
import { errorMessage } from '../../base/errors.ts';
import { log } from '../../base/log.ts';
import type { ImageID } from '../digest.ts';
import { type Descriptor, type ImageIndex, parseManifest } from '../manifest.ts';
import type { ContentStore } from './content-store.ts';
import type { BlobInput, Image, ImageStore } from './image-store.ts';

export interface ManifestSources {
  images: Pick<ImageStore, 'manifest' | 'index' | 'byManifest'>;
  content: Pick<ContentStore, 'size'>;
  /** IDs of the containers that were made from an image. */
  containersOf: (imageId: ImageID) => readonly string[];
}

export interface ImageManifests {
  /** Of the index that led to the image, else of its manifest. */
  target?: OCIDescriptor;
  /** Those of the index in its order, else the image's own; empty where there is none. */
  manifests: ImageManifestSummary[];
}

const REFERENCE_TYPE = 'vnd.docker.reference.type';
const REFERENCE_DIGEST = 'vnd.docker.reference.digest';

/** Never throws for damaged blobs: the image is shown without them. */
export function imageManifests(sources: ManifestSources, image: Image): ImageManifests {
  try {
    const manifest = sources.images.manifest(image.id);
    if (manifest === undefined) return { manifests: [] };
    const index = readIndex(sources, image, manifest);
    if (index !== undefined) {
      return {
        target: index.descriptor,
        manifests: index.manifests.map((entry) => summarize(sources, entry)),
      };
    }
    const own: Descriptor = {
      mediaType: manifest.mediaType,
      digest: manifest.digest,
      sizeBytes: manifest.bytes.length,
    };
    return { target: wireDescriptor(own), manifests: [summarize(sources, own)] };
  } catch (error) {
    log.warn({ image: image.id, error: errorMessage(error) }, 'cannot read the manifests of an image');
    return { manifests: [] };
  }
}

/** Undefined where there is none, or it does not name the image's manifest. */
function readIndex(
  { images }: ManifestSources,
  image: Image,
  manifest: BlobInput,
): { descriptor: OCIDescriptor; manifests: readonly Descriptor[] } | undefined {
  const blob = images.index(image.id);
  if (blob === undefined) return undefined;
  const index = parseManifest(blob.bytes, '');
  if (index.kind !== 'index' || !names(index, manifest)) return undefined;
  const { mediaType, manifests } = index;
  return { descriptor: { mediaType, digest: blob.digest, size: blob.bytes.length }, manifests };
}

function names(index: ImageIndex, manifest: BlobInput): boolean {
  return index.manifests.some(({ digest }) => digest === manifest.digest);
}

function summarize(sources: ManifestSources, entry: Descriptor): ImageManifestSummary {
  const image = sources.images.byManifest(entry.digest);
  const contentBytes = image === undefined ? 0 : contentSize(sources, image);
  const unpackedBytes = image?.sizeBytes ?? 0;
  const attested = attestedDigest(entry);
  return {
    ID: entry.digest,
    Descriptor: wireDescriptor(entry),
    Available: image !== undefined,
    Size: { Total: contentBytes + unpackedBytes, Content: contentBytes },
    ...(attested === undefined
      ? {
          Kind: 'image',
          ImageData: {
            Platform: image === undefined ? wirePlatform(entry) : configPlatform(image, entry),
            Containers: image === undefined ? [] : [...sources.containersOf(image.id)],
            Size: { Unpacked: unpackedBytes },
          },
        }
      : { Kind: 'attestation', AttestationData: { For: attested } }),
  };
}

/** What of the image's distributable form is here: manifest, configuration, compressed layers. */
function contentSize({ images, content }: ManifestSources, image: Image): number {
  const manifest = images.manifest(image.id);
  if (manifest === undefined) return image.configBytes.length;
  const parsed = parseManifest(manifest.bytes, manifest.mediaType);
  const layers = parsed.kind === 'image' ? new Set(parsed.layers.map(({ digest }) => digest)) : [];
  return [...layers].reduce(
    (sum, digest) => sum + (content.size(digest) ?? 0),
    manifest.bytes.length + image.configBytes.length,
  );
}

/** The digest of the manifest that an attestation is about; undefined for images. */
function attestedDigest({ annotations }: Descriptor): string | undefined {
  return annotations?.[REFERENCE_TYPE] === 'attestation-manifest' ? annotations[REFERENCE_DIGEST] : undefined;
}

function wireDescriptor({ mediaType, digest, sizeBytes, annotations, platform }: Descriptor): OCIDescriptor {
  return {
    mediaType,
    digest,
    size: sizeBytes,
    ...(annotations === undefined ? {} : { annotations }),
    ...(platform === undefined ? {} : { platform }),
  };
}

function wirePlatform({ platform }: Descriptor): OCIPlatform {
  return platform ?? { architecture: '', os: '' };
}

/** The index's word counts before the configuration's. */
function configPlatform({ architecture, os, variant }: Image, entry: Descriptor): OCIPlatform {
  return entry.platform ?? { architecture, os, ...(variant === '' ? {} : { variant }) };
}
