/** Writes what pack-file.ts reads. */
import { HEAD_BYTES, MAGIC, type PackIndex, THIS_NODE } from './pack-file.ts';

export interface CompiledChunk {
  readonly name: string;
  /** In the wrapper, Latin-1. */
  readonly text: Buffer;
  readonly code: Buffer;
}

/** V8 copies code that is not aligned. */
const aligned = (bytes: number): number => Math.ceil(bytes / 8) * 8;

/** The file's bytes. `common`: how many of the chunks, from the first, are read at once. */
export function encodePack(chunks: readonly CompiledChunk[], common: number): Buffer {
  const index = (start: number): { text: string; end: number; commonEnd: number } => {
    const places: Record<string, [number, number, number, number]> = {};
    let at = start;
    let commonEnd = 0;
    chunks.forEach(({ name, text, code }, order) => {
      const codeAt = at + aligned(text.length);
      places[name] = [at, text.length, codeAt, code.length];
      at = codeAt + aligned(code.length);
      if (order === common - 1) commonEnd = at;
    });
    const written: PackIndex = { node: THIS_NODE, chunks: places };
    return { text: JSON.stringify(written), end: at, commonEnd };
  };
  // The index's own length moves what it tells of: there is room for offsets that have grown by a digit.
  const start = aligned(HEAD_BYTES + index(0).text.length + chunks.length * 8);
  const { text, end, commonEnd } = index(start);
  const file = Buffer.alloc(end);
  file.writeUInt32LE(MAGIC, 0);
  file.writeUInt32LE(text.length, 4);
  file.writeUInt32LE(commonEnd, 8);
  file.write(text, HEAD_BYTES, 'latin1');
  let at = start;
  for (const { text: source, code } of chunks) {
    source.copy(file, at);
    code.copy(file, at + aligned(source.length));
    at += aligned(source.length) + aligned(code.length);
  }
  return file;
}
