/**
 * Whether a supervisor is alive that nobody can connect to yet. From its first moment to its end it holds flock(2) on the
 * file of its stderr: the daemon takes the lock for it, which belongs to the open file and stays with its last holder.
 * What it starts does not inherit that file. Supervisors of older builds hold nothing.
 */
import { closeSync, existsSync, openSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { errnoCode, InternalError } from '../base/errors.ts';
import { log } from '../base/log.ts';
import { addon } from '../native/addon.ts';
import type { ContainerPaths } from './paths.ts';

const LISTENS_MAX_MS = 5000;
const ENDS_MAX_MS = 5000;
const POLL_MS = 20;

const lockFile = (bundle: string): string => join(bundle, 'supervisor.stderr');

/** The file, for a supervisor that is about to be started. Throws Internal where an earlier one of the bundle is alive. */
export function openLocked(bundle: string): number {
  const fd = openSync(lockFile(bundle), 'a', 0o600);
  if (addon().flock(fd, true)) return fd;
  closeSync(fd);
  throw new InternalError(`cannot start a supervisor in ${bundle}: an earlier one has not ended`);
}

function isAlive(bundle: string): boolean {
  const path = lockFile(bundle);
  if (!existsSync(path)) return false;
  let fd: number;
  try {
    fd = openSync(path, 'r');
  } catch (error) {
    if (errnoCode(error) === 'ENOENT') return false;
    throw error;
  }
  const free = addon().flock(fd, true);
  closeSync(fd);
  return !free;
}

/**
 * Whether a supervisor listens. One that an earlier daemon has started and that does not yet may do what it was told
 * whenever it gets to that: it is waited for, and killed where it takes too long. Nothing of its container has been
 * executed then.
 */
export async function isListening({ socket, bundle }: ContainerPaths): Promise<boolean> {
  if (existsSync(socket)) return true;
  if (!isAlive(bundle)) return existsSync(socket);
  log.info({ bundle }, 'waits for a supervisor that an earlier mydockd has started');
  const settled = (): boolean => existsSync(socket) || !isAlive(bundle);
  if (!(await within(LISTENS_MAX_MS, settled))) {
    log.warn({ bundle }, 'a supervisor that an earlier mydockd has started does not get ready: it is killed');
    for (const pid of supervisorsOf(bundle)) kill(pid);
    if (!(await within(ENDS_MAX_MS, settled))) log.error({ bundle }, 'a supervisor does not end');
  }
  return existsSync(socket);
}

async function within(limitMs: number, isReached: () => boolean): Promise<boolean> {
  for (const deadline = performance.now() + limitMs; !isReached(); await sleep(POLL_MS)) {
    if (performance.now() > deadline) return false;
  }
  return true;
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch (error) {
    // It has ended meanwhile.
    if (errnoCode(error) !== 'ESRCH') throw error;
  }
}

function supervisorsOf(bundle: string): number[] {
  const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name));
  return pids
    .filter((pid) => commandOf(pid).join(' ').endsWith(` supervise --bundle ${bundle} `))
    .map(Number);
}

function commandOf(pid: string): string[] {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');
  } catch {
    // It has ended meanwhile.
    return [];
  }
}
