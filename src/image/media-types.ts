/**
 * Media types of manifests, configurations and layers (OCI image-spec media-types.md, Docker's schema 2), and which
 * of them can be pulled. How a layer is compressed is not read from its type, because published images carry wrong
 * ones: storage drivers go by its first bytes.
 */
import { InvalidParameterError } from '../base/errors.ts';

export const DOCKER_MANIFEST = 'application/vnd.docker.distribution.manifest.v2+json';
export const DOCKER_MANIFEST_LIST = 'application/vnd.docker.distribution.manifest.list.v2+json';
export const DOCKER_SCHEMA1 = 'application/vnd.docker.distribution.manifest.v1+json';
export const DOCKER_SCHEMA1_SIGNED = 'application/vnd.docker.distribution.manifest.v1+prettyjws';
export const DOCKER_CONFIG = 'application/vnd.docker.container.image.v1+json';
export const DOCKER_LAYER = 'application/vnd.docker.image.rootfs.diff.tar.gzip';
export const OCI_MANIFEST = 'application/vnd.oci.image.manifest.v1+json';
export const OCI_INDEX = 'application/vnd.oci.image.index.v1+json';
export const OCI_CONFIG = 'application/vnd.oci.image.config.v1+json';
export const OCI_LAYER = 'application/vnd.oci.image.layer.v1.tar';
export const OCI_LAYER_GZIP = `${OCI_LAYER}+gzip`;
export const OCI_LAYER_ZSTD = `${OCI_LAYER}+zstd`;

/** For the Accept header of manifest requests. Schema 1 is there so that such images are refused by name. */
export const MANIFEST_TYPES: readonly string[] = [
  DOCKER_MANIFEST,
  DOCKER_MANIFEST_LIST,
  OCI_MANIFEST,
  OCI_INDEX,
  DOCKER_SCHEMA1_SIGNED,
];

/** Old registries and builders filed configurations under these. */
const CONFIG_TYPES = new Set([
  DOCKER_CONFIG,
  OCI_CONFIG,
  'application/octet-stream',
  'application/json',
  'text/html',
  '',
]);

const LAYER_TYPES = new Set([
  DOCKER_LAYER,
  'application/vnd.docker.image.rootfs.diff.tar',
  'application/vnd.docker.image.rootfs.diff.tar.zstd',
  'application/vnd.docker.image.rootfs.foreign.diff.tar',
  'application/vnd.docker.image.rootfs.foreign.diff.tar.gzip',
  OCI_LAYER,
  OCI_LAYER_GZIP,
  OCI_LAYER_ZSTD,
  'application/vnd.oci.image.layer.nondistributable.v1.tar',
  'application/vnd.oci.image.layer.nondistributable.v1.tar+gzip',
  'application/vnd.oci.image.layer.nondistributable.v1.tar+zstd',
  'application/octet-stream',
  '',
]);

/** The type without parameters, in lower case. */
export function bareMediaType(value: string): string {
  return (value.split(';', 1)[0] ?? '').trim().toLowerCase();
}

/** Throws InvalidParameter, naming the type, for a manifest whose configuration is not an image's. */
export function checkConfigType(mediaType: string): void {
  if (CONFIG_TYPES.has(mediaType)) return;
  const kind = mediaType === 'application/vnd.docker.plugin.v1+json' ? 'plugin' : 'unknown';
  throw new InvalidParameterError(`Encountered remote "${mediaType}"(${kind}) when fetching`);
}

/** Throws InvalidParameter, naming the type, for a layer that is not a tar. */
export function checkLayerType(mediaType: string): void {
  if (!LAYER_TYPES.has(bareMediaType(mediaType))) {
    throw new InvalidParameterError(`unsupported media type ${mediaType}`);
  }
}
