/** A tar as it comes, compressed or not, read into a sink in slices that leave room for everything else. */
import { setImmediate } from 'node:timers/promises';
import { TarReader, type TarSink } from '../../image/layers/tar/tar-reader.ts';
import { detectArchiveCompression, inflateArchive } from '../../image/layers/work/inflate-archive.ts';

/** The first bytes of an archive tell how it is compressed. */
const HEAD_BYTES = 8;
const SLICE_MS = 5;

export interface ArchiveSink extends TarSink {
  /** All entries were there. */
  finish(): void;
}

/** Returns whether there was anything: an empty stream is no archive, and no error here. */
export async function readArchive(
  archive: AsyncIterable<Buffer>,
  sink: ArchiveSink,
  signal: AbortSignal,
): Promise<boolean> {
  const reader = new TarReader(sink);
  const { head, rest } = await peek(archive);
  if (head.length === 0) return false;
  let sliceStart = performance.now();
  for await (const chunk of inflateArchive(rest, detectArchiveCompression(head))) {
    signal.throwIfAborted();
    reader.push(chunk);
    // Chunks that wait already would come one after the other, without a turn for anybody else.
    if (performance.now() - sliceStart < SLICE_MS) continue;
    await setImmediate();
    sliceStart = performance.now();
  }
  reader.finish();
  sink.finish();
  return true;
}

/** The first bytes of a stream, and the whole stream. */
async function peek(source: AsyncIterable<Buffer>): Promise<{ head: Buffer; rest: AsyncIterable<Buffer> }> {
  const iterator = source[Symbol.asyncIterator]();
  let head: Buffer = Buffer.alloc(0);
  while (head.length < HEAD_BYTES) {
    const step = await iterator.next();
    if (step.done === true) break;
    head = Buffer.concat([head, step.value]);
  }
  const first = head;
  async function* rest(): AsyncGenerator<Buffer> {
    if (first.length > 0) yield first;
    for (let step = await iterator.next(); step.done !== true; step = await iterator.next()) yield step.value;
  }
  return { head: first, rest: rest() };
}
