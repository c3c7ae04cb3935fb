/** What an upload sends: bytes of a known digest and length that can be read from any place, again and again. */
import { open } from 'node:fs/promises';
import { InternalError } from '../../base/errors.ts';
import type { Digest } from '../digest.ts';
import { hashFile } from '../store/content-store.ts';

export interface BlobContent {
  readonly digest: Digest;
  readonly sizeBytes: number;
  /** The bytes from `start` up to `end`, which is not included. Throws Internal where there are fewer. */
  read(start: number, end: number): AsyncIterable<Buffer>;
  /** Whether the bytes still have the digest, for when a registry says that they have not. */
  intact(): Promise<boolean>;
}

const READ_BYTES = 256 << 10;

export function bytesContent(digest: Digest, bytes: Buffer): BlobContent {
  return {
    digest,
    sizeBytes: bytes.length,
    async *read(start, end) {
      for (let at = start; at < end; at += READ_BYTES)
        yield bytes.subarray(at, Math.min(end, at + READ_BYTES));
    },
    intact: () => Promise.resolve(true),
  };
}

/** Content of a file, which is opened for each read and may be removed meanwhile. */
export function fileContent(digest: Digest, sizeBytes: number, path: string): BlobContent {
  return {
    digest,
    sizeBytes,
    async *read(start, end) {
      const file = await open(path, 'r');
      try {
        for (let at = start; at < end; ) {
          const buffer = Buffer.allocUnsafe(Math.min(READ_BYTES, end - at));
          const { bytesRead } = await file.read(buffer, 0, buffer.length, at);
          if (bytesRead === 0)
            throw new InternalError(`content ${digest} is shorter than ${sizeBytes} bytes`);
          at += bytesRead;
          yield buffer.subarray(0, bytesRead);
        }
      } finally {
        await file.close();
      }
    },
    intact: async () => (await hashFile(path)) === digest,
  };
}

/** Content that is not here, and so can only be taken over from another repository. */
export function absentContent(digest: Digest, sizeBytes: number): BlobContent {
  return {
    digest,
    sizeBytes,
    // biome-ignore lint/correctness/useYield: reading it is always an error.
    async *read() {
      throw new InternalError(`content ${digest} is not here`);
    },
    intact: () => Promise.resolve(true),
  };
}
