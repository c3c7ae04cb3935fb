/** Files as the bytes of a tar, in pieces, with nothing in it that changes from one time to the next. */
import { dirname } from 'node:path/posix';
import { byteString } from '../layers/tar/byte-string.ts';
import { TarWriter } from '../layers/tar/tar-writer.ts';
import type { ArchiveFile } from './archive-files.ts';

/** `files` are sorted by name; the directories above them are added. Content of another length than promised throws. */
export async function* archiveBytes(files: readonly ArchiveFile[]): AsyncGenerator<Buffer, void, undefined> {
  let pieces: Buffer[] = [];
  const tar = new TarWriter((bytes) => pieces.push(bytes));
  const directories = new Set<string>();
  for (const { name, sizeBytes, content } of files) {
    for (const directory of parents(name)) {
      if (directories.has(directory)) continue;
      directories.add(directory);
      tar.entry({ name: byteString(`${directory}/`), type: 'directory' });
    }
    tar.entry({ name: byteString(name), type: 'file', size: sizeBytes });
    if (Buffer.isBuffer(content)) tar.data(content);
    else {
      for await (const chunk of content()) {
        tar.data(chunk);
        yield* pieces;
        pieces = [];
      }
    }
    yield* pieces;
    pieces = [];
  }
  tar.finish();
  yield* pieces;
}

/** Outermost first. */
function parents(name: string): string[] {
  const parent = dirname(name);
  return parent === '.' ? [] : [...parents(parent), parent];
}
