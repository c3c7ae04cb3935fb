/** Pieces of tar streams that build contexts and copies share. */
import { createReadStream } from 'node:fs';
import { finished } from 'node:stream/promises';
import type { Header, Pack } from 'tar-stream';

/** The archive's bytes; its types do not say that it can be iterated. */
export function packBytes(archive: Pack): AsyncIterable<Uint8Array> {
  return archive as unknown as AsyncIterable<Uint8Array>;
}

/**
 * Adds the content of the file `full` under `header`, whose size must be the file's. Rejects where the file
 * cannot be read; where its size changes meanwhile the archive itself fails.
 */
export async function appendFile(
  archive: Pack,
  header: Partial<Header> & { name: string; size: number },
  full: string,
): Promise<void> {
  const entry = archive.entry({ ...header, type: 'file' });
  const source = createReadStream(full, { highWaterMark: 256 * 1024 });
  source.once('error', (error) => entry.destroy(error));
  source.pipe(entry);
  await finished(entry);
}

/** Runs `fill` and ends the archive behind it; what fails there fails the archive. */
export function fillArchive(archive: Pack, fill: () => Promise<void>): AsyncIterable<Uint8Array> {
  void fill().then(
    () => archive.finalize(),
    (error: unknown) => archive.destroy(error instanceof Error ? error : new Error(String(error))),
  );
  return packBytes(archive);
}
