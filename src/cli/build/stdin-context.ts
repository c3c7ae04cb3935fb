/** What comes on stdin as a context: an archive goes on as it is, anything else is a Dockerfile alone. */
import { packBytes } from '../archive/file-entry.ts';
import type { Io } from '../io.ts';

const TAR_MAGIC_OFFSET = 257;
const BLOCK_BYTES = 512;

const COMPRESSED = [
  [0x1f, 0x8b],
  [0x42, 0x5a, 0x68],
  [0xfd, 0x37, 0x7a, 0x58, 0x5a],
  [0x28, 0xb5, 0x2f, 0xfd],
];

export async function stdinContext(
  io: Io,
  file: string | undefined,
): Promise<{ body: AsyncIterable<Uint8Array>; dockerfile?: string }> {
  const head: Buffer[] = [];
  let length = 0;
  const iterator = io.stdin[Symbol.asyncIterator]();
  while (length < BLOCK_BYTES) {
    const { value, done } = await iterator.next();
    if (done) break;
    head.push(value as Buffer);
    length += (value as Buffer).length;
  }
  const start = Buffer.concat(head);
  const rest = (async function* () {
    yield start;
    for (let next = await iterator.next(); !next.done; next = await iterator.next())
      yield next.value as Buffer;
  })();
  if (isArchive(start)) return { body: rest, ...(file === undefined ? {} : { dockerfile: file }) };
  const chunks: Buffer[] = [];
  for await (const chunk of rest) chunks.push(chunk);
  const { packDockerfile } = await import('../context/pack.ts');
  return { body: packBytes(packDockerfile(Buffer.concat(chunks))), dockerfile: 'Dockerfile' };
}

function isArchive(start: Buffer): boolean {
  if (start.subarray(TAR_MAGIC_OFFSET, TAR_MAGIC_OFFSET + 5).toString('latin1') === 'ustar') return true;
  return COMPRESSED.some((magic) => magic.every((byte, index) => start[index] === byte));
}
