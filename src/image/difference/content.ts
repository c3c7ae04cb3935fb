/** Whether two files have the same bytes: by what the driver knows, else by reading both, block by block. */
import type { ByteString } from '../layers/tar/byte-string.ts';
import type { ImageTree, TreeEntry, TreeFile } from './tree.ts';

const BLOCK_BYTES = 256 * 1024;
/** Pairs of files with several names that are remembered. */
const MAX_REMEMBERED = 100_000;

/** For files of equal size. A file that is gone meanwhile is not the same as one that is there. */
export type ContentComparison = (path: ByteString, from: TreeEntry, to: TreeEntry) => boolean;

/** `check` is called between blocks; what it throws ends the comparison. */
export function contentComparison(from: ImageTree, to: ImageTree, check: () => void): ContentComparison {
  const buffers = [Buffer.alloc(BLOCK_BYTES), Buffer.alloc(BLOCK_BYTES)] as const;
  const known = new Map<string, boolean>();
  return (path, left, right) => {
    if (left.contentIdentity !== undefined && left.contentIdentity === right.contentIdentity) return true;
    const shared =
      left.inode === undefined || right.inode === undefined ? undefined : `${left.inode} ${right.inode}`;
    const before = shared === undefined ? undefined : known.get(shared);
    if (before !== undefined) return before;
    const same = sameBytes(from.open(path), to.open(path), buffers, check);
    if (shared !== undefined && known.size < MAX_REMEMBERED) known.set(shared, same);
    return same;
  };
}

/** Closes both. */
function sameBytes(
  from: TreeFile | undefined,
  to: TreeFile | undefined,
  buffers: readonly [Buffer, Buffer],
  check: () => void,
): boolean {
  try {
    if (from === undefined || to === undefined) return from === to;
    if (from.sizeBytes !== to.sizeBytes) return false;
    for (let position = 0; position < from.sizeBytes; position += BLOCK_BYTES) {
      check();
      const length = Math.min(from.sizeBytes - position, BLOCK_BYTES);
      const [left, right] = [buffers[0].subarray(0, length), buffers[1].subarray(0, length)];
      if (from.read(left, position) !== length || to.read(right, position) !== length) return false;
      if (!left.equals(right)) return false;
    }
    return true;
  } finally {
    from?.close();
    to?.close();
  }
}
