/** Which files ADD unpacks: regular ones that begin with a tar's header, compressed or not. */
import { createReadStream } from 'node:fs';
import { EngineError } from '../../base/errors.ts';
import { checksumMatches } from '../../image/layers/tar/tar-format.ts';
import { detectArchiveCompression, inflateArchive } from '../../image/layers/work/inflate-archive.ts';
import { byDescriptor } from '../../native/inside-root.ts';

const BLOCK_BYTES = 512;
const HEAD_BYTES = 8;
/** A compressed header lies within the first bytes of a file; one that expands to less than a block up to here is none. */
const SNIFF_BYTES = 1024 * 1024;

/** `fd` stays open, at any place. */
export async function isArchive(fd: number): Promise<boolean> {
  const stream = createReadStream(byDescriptor(fd), { end: SNIFF_BYTES - 1, highWaterMark: 64 * 1024 });
  const parts: Buffer[] = [];
  let length = 0;
  try {
    const chunks = stream[Symbol.asyncIterator]() as AsyncIterator<Buffer>;
    const first = await chunks.next();
    if (first.done === true) return false;
    const compression = detectArchiveCompression(first.value.subarray(0, HEAD_BYTES));
    const rest = async function* (): AsyncGenerator<Buffer, void, undefined> {
      yield first.value;
      for (let next = await chunks.next(); next.done !== true; next = await chunks.next()) yield next.value;
    };
    for await (const part of inflateArchive(rest(), compression)) {
      parts.push(Buffer.from(part));
      length += part.length;
      if (length >= BLOCK_BYTES) break;
    }
  } catch (error) {
    // Broken or cut compressed data: a file like any other.
    if (!(error instanceof EngineError) || error.kind !== 'InvalidParameter') throw error;
  } finally {
    stream.destroy();
  }
  const block = Buffer.concat(parts).subarray(0, BLOCK_BYTES);
  return block.length === BLOCK_BYTES && block[0] !== 0 && checksumMatches(block);
}
