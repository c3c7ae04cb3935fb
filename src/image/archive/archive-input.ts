/**
 * The bytes of an archive as a client sends it: plain or compressed, found out by the first bytes. What expands beyond
 * reason is refused before it has filled the disk.
 */
import { type ExpansionBounds, ExpansionLimit } from '../layers/work/expansion-limit.ts';
import { detectArchiveCompression, inflateArchive } from '../layers/work/inflate-archive.ts';

const HEAD_BYTES = 8;

/** The archive itself. Leaves `source` open where the reader stops early: the request needs it for its answer. */
export async function* archiveInput(
  source: AsyncIterable<Buffer>,
  bounds: ExpansionBounds = {},
): AsyncGenerator<Buffer, void, undefined> {
  const limit = new ExpansionLimit('image archive', bounds);
  const iterator = source[Symbol.asyncIterator]();
  const head: Buffer[] = [];
  let length = 0;
  while (length < HEAD_BYTES) {
    const step = await iterator.next();
    if (step.done === true) break;
    head.push(step.value);
    length += step.value.length;
  }
  limit.took(length);
  const compression = detectArchiveCompression(Buffer.concat(head).subarray(0, HEAD_BYTES));
  const counted = async function* (): AsyncGenerator<Buffer, void, undefined> {
    yield* head;
    for (let step = await iterator.next(); step.done !== true; step = await iterator.next()) {
      limit.took(step.value.length);
      yield step.value;
    }
  };
  for await (const chunk of inflateArchive(counted(), compression)) {
    limit.gave(chunk.length, compression);
    yield chunk;
  }
}
