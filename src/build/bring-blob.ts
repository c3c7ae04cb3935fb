/** Blobs from elsewhere (a folder, a client's store) on their way into the content store, which checks their digests. */
import { InvalidParameterError } from '../base/errors.ts';
import type { ContentStore } from '../image/store/content-store.ts';
import type { StoredBlob } from './session.ts';

/**
 * Nothing is read of a blob that is here already. Throws InvalidParameter for bytes that are not the blob's, and what the
 * content throws; nothing is left of a blob that did not come whole.
 */
export async function bringBlob(
  store: Pick<ContentStore, 'size' | 'ingest'>,
  { digest, sizeBytes }: StoredBlob,
  content: AsyncIterable<Uint8Array>,
  signal: AbortSignal,
): Promise<void> {
  if (store.size(digest) === sizeBytes) return;
  const ingest = await store.ingest(digest, signal);
  try {
    await ingest.restart();
    for await (const chunk of content) {
      signal.throwIfAborted();
      if (ingest.sizeBytes + chunk.length > sizeBytes) {
        throw new InvalidParameterError(`blob ${digest} has more than ${sizeBytes} bytes`);
      }
      await ingest.append(chunk);
    }
    if (!ingest.verified()) throw new InvalidParameterError(`what came as blob ${digest} has another digest`);
    await ingest.complete();
    await ingest.sync();
    await ingest.commit();
  } catch (error) {
    await ingest.discard();
    throw error;
  } finally {
    await ingest.close();
  }
}
