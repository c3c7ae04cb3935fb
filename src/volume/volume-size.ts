/** What a volume takes on this host's disks. */
import type { Volume } from '../api/volumes.ts';
import { diskUsage } from '../base/disk-usage.ts';
import { errorMessage } from '../base/errors.ts';
import { log } from '../base/log.ts';
import { isRemote } from './driver-options.ts';
import type { VolumeStore } from './volume-store.ts';

/**
 * Bytes; -1, as Docker says it, where that is not known: what a volume names in its options is measured only while it
 * is mounted, and never on other hosts, which may not answer.
 */
export async function volumeSize(store: VolumeStore, { Name, Mountpoint }: Volume): Promise<number> {
  const mounted = store.mountedFileSystems(Name);
  if (mounted.some(isRemote)) return -1;
  if (mounted.length === 0 && store.isMountable(Name)) return -1;
  try {
    return await diskUsage(Mountpoint);
  } catch (error) {
    log.warn({ volume: Name, error: errorMessage(error) }, 'cannot measure what a volume takes');
    return -1;
  }
}
