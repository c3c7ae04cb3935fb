/**
 * What the parts of a build that keep things between builds (folders of clients, clones of repositories, downloads,
 * cache mounts, layers of steps) have in common: they are listed, counted against one budget, and pruned together.
 */
import type { BuildCacheEntry } from '../builder.ts';

export interface CacheStore {
  /** What is kept; sizes may be from the last use. */
  entries(): Promise<readonly BuildCacheEntry[]>;
  /** Removes one of them, and tells how many bytes that freed; 0 where it is in use or gone. */
  remove(id: string): Promise<number>;
}
