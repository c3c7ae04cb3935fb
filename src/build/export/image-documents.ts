/**
 * Manifests of built images, and the index over several of them (OCI image-spec manifest.md, image-index.md; Docker's
 * types where they are asked for), with the annotations that an output has in its attributes. The same images and
 * blobs give the same bytes.
 */
import { InvalidParameterError } from '../../base/errors.ts';
import { type Digest, digestOf } from '../../image/digest.ts';
import type { LayerCompression } from '../../image/layers/snapshotter.ts';
import {
  DOCKER_CONFIG,
  DOCKER_LAYER,
  DOCKER_MANIFEST,
  DOCKER_MANIFEST_LIST,
  OCI_CONFIG,
  OCI_INDEX,
  OCI_LAYER,
  OCI_LAYER_GZIP,
  OCI_LAYER_ZSTD,
  OCI_MANIFEST,
} from '../../image/media-types.ts';
import { formatPlatform } from '../../image/platform.ts';
import type { BuiltImage } from '../solve/solved.ts';
import type { ExportBlob } from './layer-blobs.ts';

export interface DocumentImage {
  image: BuiltImage;
  /** Base first. */
  layers: readonly ExportBlob[];
}

export interface DocumentOptions {
  /** OCI's types, or Docker's. */
  oci: boolean;
  /** Of the output: `annotation…`. */
  attributes: Readonly<Record<string, string>>;
}

export interface DocumentDescriptor {
  mediaType: string;
  digest: Digest;
  size: number;
  platform?: Record<string, string>;
  annotations?: Annotations;
}

/** A manifest or index as it is stored. */
export interface ImageDocument {
  descriptor: DocumentDescriptor;
  bytes: Buffer;
}

export interface ManifestDocument extends ImageDocument {
  /** Media types of the layers, base first. */
  layerTypes: string[];
}

export type Annotations = Record<string, string>;

type AnnotationPlace = 'manifest' | 'index' | 'manifest-descriptor' | 'index-descriptor';

const OCI_LAYERS: Readonly<Record<LayerCompression, string>> = {
  none: OCI_LAYER,
  gzip: OCI_LAYER_GZIP,
  zstd: OCI_LAYER_ZSTD,
};
const DOCKER_LAYERS: Readonly<Record<LayerCompression, string>> = {
  none: 'application/vnd.docker.image.rootfs.diff.tar',
  gzip: DOCKER_LAYER,
  zstd: 'application/vnd.docker.image.rootfs.diff.tar.zstd',
};

export function manifestOf({ image, layers }: DocumentImage, options: DocumentOptions): ManifestDocument {
  const { oci, attributes } = options;
  const platform = formatPlatform(image.platform);
  const annotations = annotationsFor(attributes, 'manifest', platform);
  if (!oci && Object.keys(annotations).length > 0) {
    throw new InvalidParameterError("annotations need OCI's types: leave out oci-mediatypes=false");
  }
  const layerTypes = layers.map(({ compression }) => (oci ? OCI_LAYERS : DOCKER_LAYERS)[compression]);
  const manifest = {
    schemaVersion: 2,
    mediaType: oci ? OCI_MANIFEST : DOCKER_MANIFEST,
    config: {
      mediaType: oci ? OCI_CONFIG : DOCKER_CONFIG,
      digest: digestOf(image.configBytes),
      size: image.configBytes.length,
    },
    layers: layers.map(({ digest, sizeBytes }, i) => ({
      mediaType: layerTypes[i],
      digest,
      size: sizeBytes,
    })),
    ...filled(annotations),
  };
  const { os, architecture, variant } = image.platform;
  const document = documentOf(manifest.mediaType, manifest);
  const platformObject = { architecture, os, ...(variant ? { variant } : {}) };
  const described = annotationsFor(attributes, 'manifest-descriptor', platform);
  return {
    ...document,
    layerTypes,
    descriptor: { ...document.descriptor, platform: platformObject, ...filled(described) },
  };
}

export function indexOf(
  manifests: readonly DocumentDescriptor[],
  { oci, attributes }: DocumentOptions,
): ImageDocument {
  const mediaType = oci ? OCI_INDEX : DOCKER_MANIFEST_LIST;
  const annotations = filled(annotationsFor(attributes, 'index', undefined));
  return documentOf(mediaType, { schemaVersion: 2, mediaType, manifests, ...annotations });
}

/** `annotation-<place>[<platform>].<key>=value`; without a place it is the manifest's. Sorted by key. */
export function annotationsFor(
  attributes: Readonly<Record<string, string>>,
  place: AnnotationPlace,
  platform: string | undefined,
): Annotations {
  const found: [string, string][] = [];
  for (const [name, value] of Object.entries(attributes)) {
    const parsed = ANNOTATION.exec(name);
    const [, where = 'manifest', which, key = ''] = parsed ?? [];
    if (parsed === null || where !== place) continue;
    if (which === undefined || which === platform) found.push([key, value]);
  }
  return Object.fromEntries(found.sort(([left], [right]) => (left < right ? -1 : 1)));
}

/** Whether the output asks for annotations, at any of `places`. */
export function hasAnnotations(
  attributes: Readonly<Record<string, string>>,
  places: readonly AnnotationPlace[],
): boolean {
  return Object.keys(attributes).some((name) => {
    const parsed = ANNOTATION.exec(name);
    return parsed !== null && places.some((place) => place === (parsed[1] ?? 'manifest'));
  });
}

const ANNOTATION =
  /^annotation(?:-(manifest|index|manifest-descriptor|index-descriptor))?(?:\[([^\]]*)\])?\.(.+)$/;

function filled(annotations: Annotations): { annotations?: Annotations } {
  return Object.keys(annotations).length === 0 ? {} : { annotations };
}

function documentOf(mediaType: string, value: unknown): ImageDocument {
  const bytes = Buffer.from(JSON.stringify(value));
  return { descriptor: { mediaType, digest: digestOf(bytes), size: bytes.length }, bytes };
}
