/**
 * Content digests and the names built from them (OCI image-spec, descriptor.md#digests). The branded types are made
 * only by the functions here, so that a digest of compressed bytes is never taken for one of uncompressed bytes.
 */
import { createHash } from 'node:crypto';
import { InvalidParameterError } from '../base/errors.ts';

/** Digest of a blob as stored or transferred: `sha256:` and 64 hex digits. */
export type Digest = string & { readonly __brand: 'Digest' };
/** Digest of a layer's uncompressed tar. */
export type DiffID = string & { readonly __brand: 'DiffID' };
/** Digest of an image's configuration: the image's ID. */
export type ImageID = string & { readonly __brand: 'ImageID' };

const SHA256 = /^sha256:[0-9a-f]{64}$/;

function parse(text: string, what: string): string {
  if (!SHA256.test(text)) {
    throw new InvalidParameterError(
      `invalid ${what} "${text}": expected sha256: and 64 lower-case hex digits`,
    );
  }
  return text;
}

/** Throws InvalidParameter for anything but a sha256 digest. */
export function parseDigest(text: string): Digest {
  return parse(text, 'digest') as Digest;
}

export function parseDiffID(text: string): DiffID {
  return parse(text, 'diffID') as DiffID;
}

export function parseImageID(text: string): ImageID {
  return parse(text, 'image ID') as ImageID;
}

/** The 64 hex digits, as used in file names. */
export function digestHex(digest: Digest | DiffID | ImageID): string {
  return digest.slice('sha256:'.length);
}

/** Digest of bytes at hand. */
export function digestOf(data: string | Uint8Array): Digest {
  return `sha256:${createHash('sha256').update(data).digest('hex')}` as Digest;
}
