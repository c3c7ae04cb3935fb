/**
 * Image manifests and indexes: Docker schema 2 and manifest lists, OCI image manifests and indexes (OCI image-spec
 * manifest.md, image-index.md). Parsing validates everything that a pull relies on; fields not named here are left
 * alone in the bytes, which are what is stored. Foreign `urls` are read by nobody.
 */
import { InvalidParameterError } from '../base/errors.ts';
import { type Digest, parseDigest } from './digest.ts';
import { JsonReader } from './json.ts';
import {
  bareMediaType,
  DOCKER_MANIFEST,
  DOCKER_MANIFEST_LIST,
  DOCKER_SCHEMA1,
  DOCKER_SCHEMA1_SIGNED,
  OCI_INDEX,
  OCI_MANIFEST,
} from './media-types.ts';
import type { Platform } from './platform.ts';

/** Larger manifests are refused unread, as registries refuse to store them. */
export const MAX_MANIFEST_BYTES = 4 << 20;
/** Larger configurations are refused unread. */
export const MAX_CONFIG_BYTES = 8 << 20;

export interface Descriptor {
  mediaType: string;
  digest: Digest;
  sizeBytes: number;
  platform?: Platform;
  annotations?: Record<string, string>;
  /** Where a layer that may not be passed on can be had; nobody here follows them. */
  urls?: string[];
}

export interface ImageManifest {
  kind: 'image';
  mediaType: string;
  config: Descriptor;
  /** Base first. */
  layers: Descriptor[];
}

export interface ImageIndex {
  kind: 'index';
  mediaType: string;
  manifests: Descriptor[];
}

export type Manifest = ImageManifest | ImageIndex;

/**
 * Parses a manifest. `contentType` is what the registry said; the document's own `mediaType` must not contradict its
 * fields. Throws InvalidParameter, with Docker's text for schema 1 (`name` is the reference in that text).
 */
export function parseManifest(bytes: Uint8Array, contentType: string, name?: string): Manifest {
  const stated = bareMediaType(contentType);
  if (stated === DOCKER_SCHEMA1 || stated === DOCKER_SCHEMA1_SIGNED) throw schema1Error(name);
  if (bytes.byteLength > MAX_MANIFEST_BYTES) {
    throw new InvalidParameterError(`image manifest is larger than ${MAX_MANIFEST_BYTES} bytes`);
  }
  const json = JsonReader.parse(bytes, 'image manifest');
  const version = json.integer('schemaVersion');
  if (version === 1) throw schema1Error(name);
  if (version !== 2) json.fail('schemaVersion', '2');
  const mediaType = manifestType(json, stated);
  if (mediaType === OCI_INDEX || mediaType === DOCKER_MANIFEST_LIST) return parseIndex(json, mediaType);
  return parseImage(json, mediaType);
}

/** Which of the four types the document is; one that could be read as two is refused. */
function manifestType(json: JsonReader, stated: string): string {
  const known = [DOCKER_MANIFEST, DOCKER_MANIFEST_LIST, OCI_MANIFEST, OCI_INDEX];
  const own = json.string('mediaType') ?? '';
  const isIndex = json.has('manifests');
  const isImage = json.has('config') || json.has('layers');
  if (isIndex && isImage) {
    throw new InvalidParameterError('image manifest: has both "manifests" and "config" or "layers"');
  }
  if (own !== '' && !known.includes(own)) throw new InvalidParameterError(`unsupported media type ${own}`);
  const type = own !== '' ? own : known.includes(stated) ? stated : isIndex ? OCI_INDEX : OCI_MANIFEST;
  const wantsIndex = type === OCI_INDEX || type === DOCKER_MANIFEST_LIST;
  if (wantsIndex && isImage) {
    throw new InvalidParameterError(
      `media-type: "${type}" should not have "config", "layers", or "fsLayers"`,
    );
  }
  if (!wantsIndex && isIndex) {
    throw new InvalidParameterError(`media-type: "${type}" should not have "manifests" or "fsLayers"`);
  }
  if (!isIndex && !isImage) throw new InvalidParameterError('unsupported manifest format');
  return type;
}

function parseImage(json: JsonReader, mediaType: string): ImageManifest {
  const config = json.object('config');
  if (config === undefined) json.fail('config', 'a descriptor');
  const layers = json.objects('layers');
  if (layers === undefined) json.fail('layers', 'an array of descriptors');
  return { kind: 'image', mediaType, config: parseDescriptor(config), layers: layers.map(parseDescriptor) };
}

function parseIndex(json: JsonReader, mediaType: string): ImageIndex {
  const manifests = json.objects('manifests');
  if (manifests === undefined) json.fail('manifests', 'an array of descriptors');
  // An entry in a digest algorithm of the future must not make the others unusable.
  const readable = manifests.filter((entry) => entry.string('digest')?.startsWith('sha256:'));
  return { kind: 'index', mediaType, manifests: readable.map(parseDescriptor) };
}

function parseDescriptor(json: JsonReader): Descriptor {
  const digest = json.string('digest') ?? json.fail('digest', 'a digest');
  const sizeBytes = json.integer('size') ?? json.fail('size', 'a number of bytes');
  if (sizeBytes < 0) json.fail('size', 'a number of bytes');
  const platform = parsePlatformField(json.object('platform'));
  const annotations = json.stringMap('annotations');
  const urls = json.strings('urls') ?? [];
  return {
    mediaType: json.string('mediaType') ?? '',
    digest: parseDigest(digest),
    sizeBytes,
    ...(platform === undefined ? {} : { platform }),
    ...(annotations === undefined ? {} : { annotations }),
    ...(urls.length === 0 ? {} : { urls }),
  };
}

/** Undefined where the entry does not say for which platform it is. */
function parsePlatformField(json: JsonReader | undefined): Platform | undefined {
  if (json === undefined) return undefined;
  const os = json.string('os') ?? '';
  const architecture = json.string('architecture') ?? '';
  const variant = json.string('variant') ?? '';
  if (os === '' && architecture === '' && variant === '') return undefined;
  return { os, architecture, ...(variant === '' ? {} : { variant }) };
}

function schema1Error(name: string | undefined): InvalidParameterError {
  const advice =
    name === undefined
      ? ''
      : ` Suggest the author of ${name} to upgrade the image to the OCI Format or Docker Image manifest v2, schema 2.`;
  return new InvalidParameterError(
    `Docker Image Format v1 and Docker Image manifest version 2, schema 1 support has been removed.${advice}` +
      ' More information at https://docs.docker.com/go/deprecated-image-specs/',
  );
}
