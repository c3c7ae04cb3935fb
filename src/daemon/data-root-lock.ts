/** One daemon a data root: flock(2) on a file in it, which goes with the process, however that ends. */
import { closeSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { UnavailableError } from '../base/errors.ts';
import { addon } from '../native/addon.ts';

/** The descriptor that holds the lock. Throws Unavailable where another process has it. */
export function lockDataRoot(dataRoot: string): number {
  const fd = openLocked(dataRoot);
  if (fd === undefined) throw new UnavailableError(`another mydockd uses the data root ${dataRoot}`);
  return fd;
}

/** Whether another process has it at this moment. */
export function isLocked(dataRoot: string): boolean {
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
