/** Directories with those above them. */
import { mkdirSync, statSync } from 'node:fs';
import { mkdir, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { errnoCode } from './errors.ts';

/**
 * As `mkdir -p`; returns the first directory that was made, if any. Node's own says "no such file or directory" for
 * most of what can be wrong (a file system that is read-only or fails), and never ends where the kernel says that.
 */
export function makeDirectory(path: string, mode: number): string | undefined {
  try {
    return makeOne(path, mode);
  } catch (error) {
    const above = dirname(path);
    if (errnoCode(error) !== 'ENOENT' || above === path) throw error;
    const first = makeDirectory(above, mode);
    const own = makeOne(path, mode);
    return first ?? own;
  }
}

/** Undefined where it is there. */
function makeOne(path: string, mode: number): string | undefined {
  try {
    mkdirSync(path, { mode });
    return path;
  } catch (error) {
    if (errnoCode(error) === 'EEXIST' && statSync(path, { throwIfNoEntry: false })?.isDirectory())
      return undefined;
    throw error;
  }
}

/** The same without holding up the process, for paths on hosts that may not answer. */
export async function makeDirectoryAsync(path: string, mode: number): Promise<void> {
  try {
    await makeOneAsync(path, mode);
  } catch (error) {
    const above = dirname(path);
    if (errnoCode(error) !== 'ENOENT' || above === path) throw error;
    await makeDirectoryAsync(above, mode);
    await makeOneAsync(path, mode);
  }
}

async function makeOneAsync(path: string, mode: number): Promise<void> {
  try {
    await mkdir(path, { mode });
  } catch (error) {
    if (errnoCode(error) === 'EEXIST' && (await stat(path).catch(() => undefined))?.isDirectory()) return;
    throw error;
  }
}
