/** What a folder takes on the disk, as du(1) counts it: allocated blocks, each inode once, folders included. */
import type { Stats } from 'node:fs';
import { lstat, readdir } from 'node:fs/promises';
import { errnoCode } from './errors.ts';

const BLOCK_BYTES = 512;
/** Calls under way at a time: enough to keep the disk busy, few enough that others get their turn. */
const AT_ONCE = 16;

/**
 * Bytes below `path` (a folder or one file), the path itself included; 0 where it does not exist. Stays on its file
 * system, and follows no link. What vanishes meanwhile counts as nothing. `skip`: paths that are left out.
 */
export async function diskUsage(path: string, skip: ReadonlySet<string> = new Set()): Promise<number> {
  const top = await statOf(path);
  if (top === undefined) return 0;
  const seen = new Set<number>();
  let bytes = 0;
  const folders: string[] = [];
  const count = (entry: string, stat: Stats | undefined): void => {
    if (stat === undefined || stat.dev !== top.dev || skip.has(entry)) return;
    if (stat.nlink > 1 && !stat.isDirectory()) {
      if (seen.has(stat.ino)) return;
      seen.add(stat.ino);
    }
    bytes += stat.blocks * BLOCK_BYTES;
    if (stat.isDirectory()) folders.push(entry);
  };
  count(path, top);
  for (let folder = folders.pop(); folder !== undefined; folder = folders.pop()) {
    const names = await namesIn(folder);
    for (let start = 0; start < names.length; start += AT_ONCE) {
      const paths = names.slice(start, start + AT_ONCE).map((name) => `${folder}/${name}`);
      const stats = await Promise.all(paths.map(statOf));
      for (const [index, entry] of paths.entries()) count(entry, stats[index]);
    }
  }
  return bytes;
}

async function statOf(path: string): Promise<Stats | undefined> {
  try {
    return await lstat(path);
  } catch (error) {
    if (gone(error)) return undefined;
    throw error;
  }
}

async function namesIn(folder: string): Promise<string[]> {
  try {
    return await readdir(folder);
  } catch (error) {
    if (gone(error)) return [];
    throw error;
  }
}

/** Also what lies deeper than any path reaches: a tree that was made to be so is counted as far as it can be named. */
function gone(error: unknown): boolean {
  return ['ENOENT', 'ENOTDIR', 'ENAMETOOLONG'].includes(errnoCode(error) ?? '');
}
