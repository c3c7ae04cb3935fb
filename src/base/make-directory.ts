/** Directories with those above them. */
import { mkdirSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { errnoCode } from './errors.ts';

/**
 * As `mkdir -p`; returns the first directory that was made, if any. Node's own says "no such file or directory" for
 * most of what can be wrong (a file system that is read-only or fails), and never ends where the kernel says that.
 */
export function makeDirectory(path: string, mode: number): string | undefined {
  try {
    mkdirSync(path, { mode });
    return path;
  } catch (error) {
    const code = errnoCode(error);
    if (code === 'EEXIST' && statSync(path).isDirectory()) return undefined;
    const above = dirname(path);
    if (code !== 'ENOENT' || above === path) throw error;
    const first = makeDirectory(above, mode);
    mkdirSync(path, { mode });
    return first ?? path;
  }
}
