/** Removes trees of volumes without holding the daemon up: small ones at once, large ones in a thread of their own. */
import { type Dir, opendirSync } from 'node:fs';
import { join } from 'node:path';
import { errnoCode } from '../base/errors.ts';
import { archiveAddon } from '../image/layers/native-archive.ts';
import { byteString } from '../image/layers/tar/byte-string.ts';
import { runTransfer } from './transfer/transfer-thread.ts';

/** So many names are removed within some milliseconds; to start a thread costs more. */
const SMALL = 500;

/** Links are removed, never followed. What is not there is no error. */
export async function removeTree(path: string): Promise<void> {
  if (countNames(path, SMALL) < SMALL) archiveAddon().archiveRemoveTree(byteString(path));
  else await runTransfer({ kind: 'remove', path });
}

/** Stops at `most`: a directory is read no further than it must be. */
function countNames(path: string, most: number): number {
  let directory: Dir;
  try {
    directory = opendirSync(path);
  } catch (error) {
    // A name that is no UTF-8, one that was removed meanwhile, one too deep for a path: the removal itself finds out.
    if (['ENOENT', 'ENOTDIR', 'ENAMETOOLONG'].includes(errnoCode(error) ?? '')) return 1;
    throw error;
  }
  try {
    let count = 1;
    for (let entry = directory.readSync(); entry !== null && count < most; entry = directory.readSync()) {
      count += entry.isDirectory() ? countNames(join(path, entry.name), most - count) : 1;
    }
    return count;
  } finally {
    directory.closeSync();
  }
}
