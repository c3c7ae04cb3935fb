/**
 * Removes the cgroups of a run whose supervisor was killed and could not do it: kills what is left in them, in every
 * mounted hierarchy (cgroups(7)), and removes the folders.
 */
import { readdirSync, readFileSync, rmdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { errnoCode } from '../base/errors.ts';
import { log } from '../base/log.ts';
import type { Spec } from '../oci/runtime-spec.ts';

const ATTEMPTS = 50;
const PAUSE_MS = 20;

/** Does nothing where the bundle has no config.json or its cgroups are gone. */
export async function removeCgroupLeftovers(bundle: string): Promise<void> {
  const path = cgroupsPath(bundle);
  if (path === undefined) return;
  for (const mount of hierarchies()) await removeTree(join(mount, path));
}

/** Only a path below a folder of its own: never a hierarchy's root or another's group. */
function cgroupsPath(bundle: string): string | undefined {
  let path: string | undefined;
  try {
    path = (JSON.parse(readFileSync(join(bundle, 'config.json'), 'utf8')) as Spec).linux?.cgroupsPath;
  } catch {
    // No bundle, or one that was cut while it was written: nothing was started from it.
    return undefined;
  }
  return path !== undefined && /^\/.*[0-9a-f]{64}$/.test(path) ? path : undefined;
}

function hierarchies(): string[] {
  return readFileSync('/proc/self/mounts', 'utf8')
    .split('\n')
    .map((line) => line.split(' '))
    .filter(([, , type]) => type === 'cgroup' || type === 'cgroup2')
    .map(([, target = '']) => target);
}

async function removeTree(directory: string): Promise<void> {
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    if (removeNow(directory)) return;
    await setTimeout(PAUSE_MS);
  }
  log.warn({ directory }, 'cannot remove a cgroup');
}

/** False where processes are still leaving it. */
function removeNow(directory: string): boolean {
  const entries = childrenOf(directory);
  if (entries === undefined) return true;
  let empty = true;
  for (const name of entries) empty = removeNow(join(directory, name)) && empty;
  killAll(directory);
  if (!empty) return false;
  try {
    rmdirSync(directory);
    return true;
  } catch (error) {
    if (errnoCode(error) === 'ENOENT') return true;
    if (errnoCode(error) === 'EBUSY') return false;
    throw error;
  }
}

function childrenOf(directory: string): string[] | undefined {
  try {
    return readdirSync(directory, { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map((entry) => entry.name);
  } catch (error) {
    if (errnoCode(error) === 'ENOENT') return undefined;
    throw error;
  }
}

function killAll(directory: string): void {
  const pids = readFileSync(join(directory, 'cgroup.procs'), 'utf8')
    .split('\n')
    .filter((line) => line !== '');
  for (const pid of pids) {
    try {
      process.kill(Number(pid), 'SIGKILL');
    } catch (error) {
      if (errnoCode(error) !== 'ESRCH') throw error;
    }
  }
}
