/** SHA-256 of files in a tree that others may change, many of a directory at once. */
import { createHash, type Hash, hash as hashAtOnce } from 'node:crypto';
import { STATE_COUNT } from '../../native/tree.ts';
import { readTreeFiles, type TreeFileRun } from './tree-content.ts';

export const DIGEST_BYTES = 32;

/**
 * Writes the digests of a run's files one behind the other, from `at` of `digests` on; those of empty files are left as they
 * are. `onPiece` hears of every piece that was read, and is awaited where it gives a promise. Throws as readTreeFile.
 */
export async function digestTreeFiles(
  run: TreeFileRun,
  buffer: Buffer,
  digests: Buffer,
  at: number,
  onPiece: (bytes: number) => void | Promise<void>,
): Promise<void> {
  let large: Hash | undefined;
  let missing = 0;
  await readTreeFiles(run, buffer, (index, piece) => {
    const sizeBytes = run.states[index * STATE_COUNT] ?? 0;
    const into = at + index * DIGEST_BYTES;
    if (piece.length === sizeBytes) hashAtOnce('sha256', piece, 'buffer').copy(digests, into);
    else {
      if (large === undefined) {
        large = createHash('sha256');
        missing = sizeBytes;
      }
      large.update(piece);
      missing -= piece.length;
      if (missing === 0) {
        large.digest().copy(digests, into);
        large = undefined;
      }
    }
    return onPiece(piece.length);
  });
}
