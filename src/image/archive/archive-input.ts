/**
 * The bytes of an archive as a client sends it: plain, gzip or zstd, found out by the first bytes. What expands beyond
 * reason is refused before it has filled the disk.
 */
import { InvalidParameterError } from '../../base/errors.ts';
import { detectCompression, inflate } from '../layers/work/inflate.ts';

const HEAD_BYTES = 8;
/** Up to here anything may expand as it likes; beyond, at most by the factor. Images expand by 2 to 10. */
const FREE_BYTES = 1 << 30;
const MAX_EXPANSION = 250;

/** The archive itself. Leaves `source` open where the reader stops early: the request needs it for its answer. */
export async function* archiveInput(
  source: AsyncIterable<Buffer>,
  limits: { freeBytes?: number; maxExpansion?: number } = {},
): AsyncGenerator<Buffer, void, undefined> {
  const freeBytes = limits.freeBytes ?? FREE_BYTES;
  const maxExpansion = limits.maxExpansion ?? MAX_EXPANSION;
  const iterator = source[Symbol.asyncIterator]();
  const head: Buffer[] = [];
  let taken = 0;
  while (taken < HEAD_BYTES) {
    const step = await iterator.next();
    if (step.done === true) break;
    head.push(step.value);
    taken += step.value.length;
  }
  const compression = detectCompression(Buffer.concat(head).subarray(0, HEAD_BYTES));
  const counted = async function* (): AsyncGenerator<Buffer, void, undefined> {
    yield* head;
    for (let step = await iterator.next(); step.done !== true; step = await iterator.next()) {
      taken += step.value.length;
      yield step.value;
    }
  };
  let given = 0;
  for await (const chunk of inflate(counted(), compression)) {
    given += chunk.length;
    if (given > freeBytes && given > taken * maxExpansion) {
      throw new InvalidParameterError(
        `image archive expands to more than ${maxExpansion} times its ${compression} data: refused`,
      );
    }
    yield chunk;
  }
}
