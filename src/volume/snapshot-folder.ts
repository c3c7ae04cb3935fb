/**
 * Where the snapshots of a volume lie: `volumes/<volume>/snapshots/<name>`, with the content in `_data` and what is
 * known of it in `snapshot.json`. A folder is there whole or not at all.
 */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { TEMPORARY_PREFIX } from '../base/atomic-file.ts';
import { errnoCode } from '../base/errors.ts';

/** Below the volume's folder. */
export function snapshotsFolder(volumeFolder: string): string {
  return join(volumeFolder, 'snapshots');
}

/** Sorted; empty for a volume without any, and for none. */
export function snapshotNames(volumeFolder: string): string[] {
  try {
    return readdirSync(snapshotsFolder(volumeFolder))
      .filter((name) => !name.startsWith(TEMPORARY_PREFIX))
      .sort();
  } catch (error) {
    if (errnoCode(error) === 'ENOENT') return [];
    throw error;
  }
}
