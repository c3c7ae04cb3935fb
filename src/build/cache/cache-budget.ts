/**
 * How much the build cache may keep: the limits of daemon.json's `builder.gc`, and what they come to on a disk.
 */

export interface CacheBudget {
  enabled: boolean;
  /** Stay in any case. */
  reservedSpaceBytes: number;
  /** Never more than this after a build; 0 for no limit. */
  maxUsedSpaceBytes: number;
  /** Of the disk are to be free after a build; 0 for no wish. */
  minFreeSpaceBytes: number;
}

export interface DiskSpace {
  totalBytes: number;
  freeBytes: number;
}

/** A tenth of the disk stays, three quarters are the most, and a fifth of the disk is to be free. */
export function defaultBudget({ totalBytes }: Pick<DiskSpace, 'totalBytes'>): CacheBudget {
  return {
    enabled: true,
    reservedSpaceBytes: Math.floor(totalBytes * 0.1),
    maxUsedSpaceBytes: Math.floor(totalBytes * 0.75),
    minFreeSpaceBytes: Math.floor(totalBytes * 0.2),
  };
}

/** What the cache may have afterwards; more than `usedBytes` where nothing need go. */
export function allowedBytes(
  budget: Pick<CacheBudget, 'reservedSpaceBytes' | 'maxUsedSpaceBytes' | 'minFreeSpaceBytes'>,
  usedBytes: number,
  disk: DiskSpace,
): number {
  const { reservedSpaceBytes, maxUsedSpaceBytes, minFreeSpaceBytes } = budget;
  const limits = [Number.POSITIVE_INFINITY];
  if (maxUsedSpaceBytes > 0) limits.push(maxUsedSpaceBytes);
  if (minFreeSpaceBytes > 0 && disk.freeBytes < minFreeSpaceBytes) {
    limits.push(usedBytes - (minFreeSpaceBytes - disk.freeBytes));
  }
  // With a reserve alone, it is the limit.
  if (reservedSpaceBytes > 0 && maxUsedSpaceBytes === 0 && minFreeSpaceBytes === 0) return reservedSpaceBytes;
  return Math.max(reservedSpaceBytes, Math.min(...limits));
}
