/**
 * Removes the cgroups of a run whose supervisor was killed and could not do it: kills what is left in them, in every
 * mounted hierarchy (cgroups(7)), and removes the folders.
 */
import { readdirSync, readFileSync, rmdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { errnoCode, errorMessage } from '../base/errors.ts';
import { log } from '../base/log.ts';
import { thaw } from './cgroup/freezer.ts';
import { bundleCgroupsPath, ContainerCgroup } from './cgroup/hierarchy.ts';

const ATTEMPTS = 50;
const PAUSE_MS = 20;

/** Does nothing where the bundle has no config.json or its cgroups are gone. */
export async function removeCgroupLeftovers(bundle: string): Promise<void> {
  const path = pathOf(bundle);
  if (path === undefined) return;
  const cgroup = new ContainerCgroup(path);
  thawQuietly(cgroup);
  for (const directory of cgroup.directories()) await removeTree(directory);
}

/** What else a run has held is to be given back also where its bundle cannot be read. */
function pathOf(bundle: string): string | undefined {
  try {
    return bundleCgroupsPath(bundle);
  } catch (error) {
    log.warn({ bundle, error: errorMessage(error) }, 'cgroups of a run may be left');
    return undefined;
  }
}

/** On v1 what is frozen does not die. */
function thawQuietly(cgroup: ContainerCgroup): void {
  try {
    thaw(cgroup);
  } catch (error) {
    log.debug({ error: errorMessage(error) }, 'nothing to thaw');
  }
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
