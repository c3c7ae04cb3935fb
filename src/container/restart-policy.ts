/**
 * Docker's restart rules: whether a container that ended is started again, and how long that waits. Pure.
 */
import type { RestartPolicy } from '../api/host-config.ts';

const FIRST_DELAY_MS = 100;
const LONGEST_DELAY_MS = 60_000;
/** A run this long counts as good: the next delay begins anew. */
const GOOD_RUN_MS = 10_000;

export interface EndedRun {
  exitCode: number;
  restartCount: number;
  stoppedByUser: boolean;
}

export function shouldRestart(policy: RestartPolicy | undefined, run: EndedRun): boolean {
  if (run.stoppedByUser) return false;
  switch (policy?.Name ?? 'no') {
    case 'always':
    case 'unless-stopped':
      return true;
    case 'on-failure': {
      const limit = policy?.MaximumRetryCount ?? 0;
      return run.exitCode !== 0 && (limit === 0 || run.restartCount < limit);
    }
    default:
      return false;
  }
}

/** Whether a daemon that starts brings a stopped container up: `unless-stopped` not where a user stopped it. */
export function shouldStartWithDaemon(policy: RestartPolicy | undefined, run: EndedRun): boolean {
  if (policy?.Name === 'always') return true;
  return shouldRestart(policy, run);
}

/** Milliseconds to wait after a run of `ranMs`, where the last wait was `lastDelayMs` (0 for none yet). */
export function restartDelayMs(lastDelayMs: number, ranMs: number): number {
  if (lastDelayMs === 0 || ranMs >= GOOD_RUN_MS) return FIRST_DELAY_MS;
  return Math.min(lastDelayMs * 2, LONGEST_DELAY_MS);
}
