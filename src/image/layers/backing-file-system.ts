/** The file system that a store lies on, as `info` names it. */
import { realpathSync } from 'node:fs';
import { readMountTable } from './mount-table.ts';

/** Name of the file system type that holds an existing directory. */
export function backingFileSystem(directory: string): string {
  const path = `${realpathSync(directory)}/`;
  let best = '';
  let name = 'unknown';
  for (const { mountPoint, fileSystem } of readMountTable()) {
    const prefix = mountPoint === '/' ? '/' : `${mountPoint}/`;
    if (!path.startsWith(prefix) || prefix.length < best.length) continue;
    best = prefix;
    name = fileSystem;
  }
  return name;
}
