/** How much a container has written: the regular files of its upper directory, each inode once. */
import { lstat, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { errnoCode } from '../base/errors.ts';

/** Bytes below `directory`; 0 where it does not exist. What vanishes meanwhile counts as nothing. */
export async function writtenBytes(directory: string): Promise<number> {
  const seen = new Set<number>();
  let total = 0;
  const queue = [directory];
  for (let current = queue.pop(); current !== undefined; current = queue.pop()) {
    for (const entry of await entries(current)) {
      const path = join(current, entry.name);
      if (entry.isDirectory()) queue.push(path);
      else if (entry.isFile()) total += await fileBytes(path, seen);
    }
  }
  return total;
}

async function entries(directory: string) {
  try {
    return await readdir(directory, { withFileTypes: true });
  } catch (error) {
    if (['ENOENT', 'ENOTDIR'].includes(errnoCode(error) ?? '')) return [];
    throw error;
  }
}

async function fileBytes(path: string, seen: Set<number>): Promise<number> {
  try {
    const stat = await lstat(path);
    if (seen.has(stat.ino)) return 0;
    seen.add(stat.ino);
    return stat.size;
  } catch (error) {
    if (errnoCode(error) === 'ENOENT') return 0;
    throw error;
  }
}
