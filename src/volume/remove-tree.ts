/**
 * Removes trees of volumes and removed containers without holding the daemon up: small ones on the thread pool, what is
 * larger in a thread of its own, so that few of them cannot take the pool from all others.
 */
import { archiveAddon } from '../image/layers/native-archive.ts';
import { runTransfer } from './transfer/transfer-thread.ts';

/** So many names are removed within some milliseconds; to start a thread costs more. */
const SMALL = 500;

/** Links are removed, never followed. What is not there is no error. */
export async function removeTree(path: string): Promise<void> {
  if (!(await archiveAddon().archiveRemoveSmall(path, SMALL))) await runTransfer({ kind: 'remove', path });
}
