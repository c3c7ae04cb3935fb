/**
 * Trees that nothing names any more and that could not be removed, as for want of descriptors: tried again by this daemon,
 * less and less often. What is left at its end, the sweep of the next one removes.
 */
import { errorMessage } from '../base/errors.ts';
import { log } from '../base/log.ts';
import { removeTree } from './remove-tree.ts';

const FIRST_MS = 500;
const LAST_MS = 600_000;

/** Returns at once. `failures`: how often it has been tried again. */
export function retryRemoval(path: string, failures = 0): void {
  const delayMs = Math.min(FIRST_MS * 2 ** failures, LAST_MS);
  setTimeout(() => {
    removeTree(path).catch((error: unknown) => {
      log.debug({ path, error: errorMessage(error) }, 'a tree still cannot be removed');
      retryRemoval(path, failures + 1);
    });
  }, delayMs).unref();
}
