/** The files of a layer whose tar is kept as it is, in the layer's directory. */
import { createReadStream, openSync } from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import type { LayerFacts } from './layer-target.ts';

export const TAR_NAME = 'layer.tar';
/** The EROFS image of names and attributes. */
export const INDEX_NAME = 'layer.erofs';
/** The content of sparse files, where the layer has any. */
export const SPILL_NAME = 'layer.spill';

const READ_BYTES = 1024 * 1024;

/** What the index points into, in the order of its device table. */
export function layerDevices(directory: string, layer: LayerFacts): string[] {
  const tar = join(directory, TAR_NAME);
  return (layer.spillSizeBytes ?? 0) > 0 ? [tar, join(directory, SPILL_NAME)] : [tar];
}

/** The tar's exact bytes. The file is open when the call returns: removing the layer does not disturb the reader. */
export function readTarFile(directory: string, sizeBytes: number): Readable {
  if (sizeBytes === 0) return Readable.from([]);
  const path = join(directory, TAR_NAME);
  /* The file may be longer: it ends with a whole block. */
  const range = { start: 0, end: sizeBytes - 1 };
  return createReadStream(path, { fd: openSync(path, 'r'), ...range, highWaterMark: READ_BYTES });
}
