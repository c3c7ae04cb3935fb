/**
 * Trees that nothing names any more and that could not be removed, as for want of descriptors: tried again by this daemon,
 * less and less often. What is left at its end, the sweep of the next one removes.
 */
import { errorMessage } from '../base/errors.ts';
import { log } from '../base/log.ts';
import { retryLater } from '../base/retry-later.ts';
import { removeTree } from './remove-tree.ts';

/** Returns at once. */
export function retryRemoval(path: string): void {
  retryLater(
    () => removeTree(path),
    (error) => log.debug({ path, error: errorMessage(error) }, 'a tree still cannot be removed'),
  );
}
