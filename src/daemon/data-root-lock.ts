/** One daemon a data root: flock(2) on a file in it, which goes with the process, however that ends. */
import { closeSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { UnavailableError } from '../base/errors.ts';
import { addon } from '../native/addon.ts';

const POLL_MS = 20;

/** The descriptor that holds the lock. Throws Unavailable where another process has it. */
export function lockDataRoot(dataRoot: string): number {
  const fd = openLocked(dataRoot);
  if (fd === undefined) throw new UnavailableError(`another mydockd uses the data root ${dataRoot}`);
  return fd;
}

/** Waits for another process to let go of it. Throws Unavailable where that takes longer than `timeoutMs`. */
export async function dataRootFree(dataRoot: string, timeoutMs: number): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  while (isLocked(dataRoot)) {
    if (performance.now() > deadline)
      throw new UnavailableError(`another mydockd uses the data root ${dataRoot}`);
    await sleep(POLL_MS);
  }
}

function isLocked(dataRoot: string): boolean {
  const fd = openLocked(dataRoot);
  if (fd !== undefined) closeSync(fd);
  return fd === undefined;
}

function openLocked(dataRoot: string): number | undefined {
  const fd = openSync(join(dataRoot, 'mydock.lock'), 'w', 0o600);
  if (addon().flock(fd, true)) return fd;
  closeSync(fd);
  return undefined;
}
