/** The check of volumes: every one has its folder. Folders without a volume may be somebody's data and are only told. */
import { existsSync, mkdirSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { TEMPORARY_PREFIX } from '../base/atomic-file.ts';
import { type CheckRun, found } from '../base/check.ts';
import type { VolumeStore } from './volume-store.ts';

/** `root` is `<data root>/volumes`. Returns how many were looked at. */
export async function checkVolumes(volumes: VolumeStore, root: string, run: CheckRun): Promise<number> {
  const all = volumes.list();
  for (const { Name } of all) {
    const path = volumes.path(Name);
    if (existsSync(path)) continue;
    const finding = { object: `volume ${Name}`, problem: `its folder ${path} is missing` };
    await found(run, { ...finding, remedy: 'make it anew, empty; what it held is lost' }, () => {
      mkdirSync(path, { recursive: true, mode: 0o755 });
    });
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
