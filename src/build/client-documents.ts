/**
 * Manifests and configurations in a store of the client's, read as those of a registry's repository are: bounded, and
 * checked against their digests.
 */
import { InvalidParameterError, NotFoundError } from '../base/errors.ts';
import { type Digest, digestOf, parseDigest } from '../image/digest.ts';
import { MAX_MANIFEST_BYTES } from '../image/manifest.ts';
import type { RepositoryClient } from '../image/registry/client.ts';
import type { ClientStore } from './session.ts';

export class ClientDocuments implements Pick<RepositoryClient, 'manifest' | 'smallBlob'> {
  readonly #store: ClientStore;

  constructor(store: ClientStore) {
    this.#store = store;
  }

  async manifest(
    reference: string,
    signal: AbortSignal,
  ): Promise<{ bytes: Buffer; mediaType: string; digest: Digest }> {
    const digest = parseDigest(reference);
    const sizeBytes = await this.#store.size(digest, signal);
    if (sizeBytes === undefined) {
      throw new NotFoundError(`the client has no blob ${digest}`);
    }
    return {
      bytes: await this.smallBlob(digest, sizeBytes, MAX_MANIFEST_BYTES, signal),
      mediaType: '',
      digest,
    };
  }

  async smallBlob(digest: Digest, sizeBytes: number, maxBytes: number, signal: AbortSignal): Promise<Buffer> {
    if (sizeBytes > maxBytes) {
      throw new InvalidParameterError(
        `blob ${digest} of the client has ${sizeBytes} bytes, more than the ${maxBytes} allowed`,
      );
    }
    const chunks: Uint8Array[] = [];
    for await (const chunk of this.#store.read({ digest, sizeBytes }, signal)) chunks.push(chunk);
    const bytes = Buffer.concat(chunks);
    if (bytes.length !== sizeBytes || digestOf(bytes) !== digest) {
      throw new InvalidParameterError(`blob ${digest} of the client is damaged`);
    }
    return bytes;
  }
}
