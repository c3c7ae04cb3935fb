/**
 * How new a source is by its files: what the images of a build say of their time where nothing better is known. Walks by
 * stat alone, a directory a turn, and never follows a link.
 */
import { closeSync, openSync } from 'node:fs';
import { setImmediate as turn } from 'node:timers/promises';
import { errnoCode } from '../../base/errors.ts';
import { S_IFDIR, S_IFLNK, S_IFMT, S_IFREG } from '../../image/layers/native-archive.ts';
import { O_DIRECTORY, O_PATH } from '../../native/inside-root.ts';
import { TREE_FIELDS, treeAddon } from '../../native/tree.ts';
import type { SourceTree } from './source-tree.ts';

/**
 * Seconds since 1970 of the newest regular file or link that is not ignored; undefined where there is none. Directories
 * do not count: theirs change with what lies in them for a while. Rejects with the signal's reason.
 */
export async function newestFileSec(
  tree: Pick<SourceTree, 'path' | 'ignore'>,
  signal: AbortSignal,
): Promise<number | undefined> {
  const { ignore } = tree;
  let newest: number | undefined;
  const rootFd = openSync(tree.path, O_PATH | O_DIRECTORY);
  try {
    const pending = [''];
    for (let folder = pending.pop(); folder !== undefined; folder = pending.pop()) {
      await turn();
      signal.throwIfAborted();
      const listing = listed(rootFd, folder);
      if (listing === undefined || listing.names === '') continue;
      for (const [index, name] of listing.names.split('/').entries()) {
        const at = index * TREE_FIELDS.count;
        const type = (listing.fields[at + TREE_FIELDS.mode] ?? 0) & S_IFMT;
        if (type !== S_IFDIR && type !== S_IFREG && type !== S_IFLNK) continue;
        const path = folder === '' ? name : `${folder}/${name}`;
        const shown = ignore === undefined ? path : Buffer.from(path, 'latin1').toString('utf8');
        const excluded = ignore?.excludes(shown, type === S_IFDIR) === true;
        if (type === S_IFDIR) {
          if (!excluded || ignore?.mayIncludeBelow(shown) === true) pending.push(path);
        } else if (!excluded) {
          newest = Math.max(
            newest ?? Number.NEGATIVE_INFINITY,
            listing.fields[at + TREE_FIELDS.seconds] ?? 0,
          );
        }
      }
    }
    return newest;
  } finally {
    closeSync(rootFd);
  }
}

/** Undefined for what vanished meanwhile. */
function listed(rootFd: number, folder: string) {
  try {
    return treeAddon().treeList(rootFd, Buffer.from(folder, 'latin1'));
  } catch (error) {
    if (['ENOENT', 'ENOTDIR', 'ELOOP'].includes(errnoCode(error) ?? '')) return undefined;
    throw error;
  }
}
