/** A layer's tar where a store keeps it as it is: `layer.tar` in the layer's directory. */
import { createReadStream, openSync } from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';

export const TAR_NAME = 'layer.tar';

const READ_BYTES = 1024 * 1024;

/** The exact bytes. The file is open when the call returns: a removal of the layer no longer matters to the reader. */
export function readTarFile(directory: string, sizeBytes: number): Readable {
  if (sizeBytes === 0) return Readable.from([]);
  const path = join(directory, TAR_NAME);
  /* The file may be longer: it ends with a whole block. */
  const range = { start: 0, end: sizeBytes - 1 };
  return createReadStream(path, { fd: openSync(path, 'r'), ...range, highWaterMark: READ_BYTES });
}
