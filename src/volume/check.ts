/**
 * The check of volumes: every one has its folder, and what its options name is mounted on it exactly while containers
 * use it. Folders without a volume may be somebody's data and are only told. Nothing below a mount is looked at: its
 * host may not answer.
 */
import { readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { TEMPORARY_PREFIX } from '../base/atomic-file.ts';
import { type CheckRun, found } from '../base/check.ts';
import { errnoCode } from '../base/errors.ts';
import { makeDirectory } from '../base/make-directory.ts';
import type { VolumeStore } from './volume-store.ts';

/** `root` is `<data root>/volumes`. Returns how many were looked at. */
export async function checkVolumes(volumes: VolumeStore, root: string, run: CheckRun): Promise<number> {
  const all = volumes.list();
  for (const { Name } of all) {
    await checkFolder(volumes, Name, run);
    if (volumes.isMountable(Name)) await checkMount(volumes, Name, run);
  }
  for (const name of readdirSync(root)) {
    if (name.startsWith(TEMPORARY_PREFIX) || volumes.has(name)) continue;
    await found(run, {
      object: `folder ${join(root, name)}`,
      problem: 'no volume has it',
      remedy: `make the volume (mydock volume create ${name}) to use what is in it, or remove the folder`,
    });
  }
  return all.length;
}

async function checkFolder(volumes: VolumeStore, name: string, run: CheckRun): Promise<void> {
  const path = volumes.path(name);
  if (namesIn(dirname(path)).includes('_data')) return;
  const finding = { object: `volume ${name}`, problem: `its folder ${path} is missing` };
  await found(run, { ...finding, remedy: 'make it anew, empty; what it held is lost' }, () => {
    makeDirectory(path, 0o755);
  });
}

async function checkMount(volumes: VolumeStore, name: string, run: CheckRun): Promise<void> {
  const mounted = volumes.mountedFileSystems(name).length > 0;
  const used = volumes.hasUsers(name);
  const object = `volume ${name}`;
  if (used && !mounted) {
    await found(run, {
      object,
      problem: 'containers that run use it, and what its options name is no longer mounted on its folder',
      remedy: 'restart them when nothing else uses the volume: until then they keep what they were given',
    });
  } else if (mounted && !used) {
    await found(
      run,
      { object, problem: 'it is mounted, and no container that runs uses it', remedy: 'unmount it' },
      async () => await volumes.unmountUnused(),
    );
  }
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch (error) {
    if (errnoCode(error) === 'ENOENT') return [];
    throw error;
  }
}
