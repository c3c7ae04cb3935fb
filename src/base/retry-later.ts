/**
 * Work that has failed and must come to be done, as for want of room or descriptors: tried again by this process, less and
 * less often. Its timers keep no process up.
 */

const FIRST_MS = 500;
const LAST_MS = 600_000;

/** Milliseconds before the next try, after one that failed and `failures` before it. */
export function retryDelayMs(failures: number): number {
  return Math.min(FIRST_MS * 2 ** failures, LAST_MS);
}

/** Tries `work` after a while, and after every rejection again, which `onFailure` hears of. Returns at once. */
export function retryLater(
  work: () => Promise<void>,
  onFailure: (error: unknown) => void,
  failures = 0,
): void {
  setTimeout(() => {
    work().catch((error: unknown) => {
      onFailure(error);
      retryLater(work, onFailure, failures + 1);
    });
  }, retryDelayMs(failures)).unref();
}
