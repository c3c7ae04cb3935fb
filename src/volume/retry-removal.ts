/**
 * Trees that nothing names any more and that could not be removed, as for want of descriptors: tried again by this daemon,
 * less and less often. What is left at its end, the sweep of the next one removes.
 */
import { ConflictError, errorMessage } from '../base/errors.ts';
import { log } from '../base/log.ts';
import { retryLater } from '../base/retry-later.ts';
import { removeTree } from './remove-tree.ts';
import { mountPointsBelow } from './volume-mounts.ts';

/** Returns at once. Nobody makes anything of that name again. Where something is mounted in the tree, it stays. */
export function retryRemoval(path: string): void {
  const again = async (): Promise<void> => {
    const [mounted] = mountPointsBelow(path);
    if (mounted !== undefined) throw new ConflictError(`${mounted} is mounted`);
    await removeTree(path);
  };
  retryLater(again, (error) =>
    log.debug({ path, error: errorMessage(error) }, 'a tree still cannot be removed'),
  );
}

/** Removes a tree now or later, and says where it is later. Never rejects. `what` it is, for the log. */
export async function removeNowOrLater(path: string, what: string): Promise<void> {
  await removeTree(path).catch((error: unknown) => {
    log.warn(
      { path, error: errorMessage(error) },
      `${what} cannot be removed: it takes room for now, and is tried again`,
    );
    retryRemoval(path);
  });
}
