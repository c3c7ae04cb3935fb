/**
 * How new a source is by its files: what the images of a build say of their time where nothing better is known. Walks by
 * stat alone, a directory a turn, never follows a link, and leaves to others what they are looking at anyway.
 */
import { closeSync, openSync } from 'node:fs';
import { setImmediate as turn } from 'node:timers/promises';
import { errnoCode } from '../../base/errors.ts';
import { S_IFDIR, S_IFMT } from '../../image/layers/native-archive.ts';
import { O_DIRECTORY, O_PATH } from '../../native/inside-root.ts';
import { TREE_FIELDS, type TreeListing, treeAddon } from '../../native/tree.ts';
import type { SourceTree } from './source-tree.ts';
import { summaryOf, type WalkedEntry, type WalkedFolder } from './walked-folders.ts';

type WalkedTree = Pick<SourceTree, 'path' | 'ignore' | 'walked'>;

/**
 * Seconds since 1970 of the newest regular file or link that is not ignored; undefined where there is none. Directories
 * do not count: theirs change with what lies in them for a while. Rejects with the signal's reason.
 */
export async function newestFileSec(tree: WalkedTree, signal: AbortSignal): Promise<number | undefined> {
  let newest: number | undefined;
  const rootFd = openSync(tree.path, O_PATH | O_DIRECTORY);
  try {
    const pending = [''];
    for (let path = pending.pop(); path !== undefined; path = pending.pop()) {
      await turn();
      await tree.walked?.idle();
      signal.throwIfAborted();
      const folder = tree.walked?.find(path) ?? (await walk(tree, rootFd, path));
      if (folder === undefined) continue;
      const { newestSec, folders } = folder;
      if (newestSec !== undefined) newest = Math.max(newest ?? Number.NEGATIVE_INFINITY, newestSec);
      for (const name of folders) pending.push(path === '' ? name : `${path}/${name}`);
    }
    return newest;
  } finally {
    closeSync(rootFd);
  }
}

/** Undefined for what vanished meanwhile. */
async function walk(tree: WalkedTree, rootFd: number, path: string): Promise<WalkedFolder | undefined> {
  let listing: TreeListing;
  try {
    listing = await treeAddon().treeList(rootFd, Buffer.from(path, 'latin1'), false);
  } catch (error) {
    if (['ENOENT', 'ENOTDIR', 'ELOOP'].includes(errnoCode(error) ?? '')) return undefined;
    throw error;
  }
  return summaryOf(visibleEntries(listing, path, tree.ignore));
}

function* visibleEntries(
  { names, fields }: TreeListing,
  path: string,
  ignore: SourceTree['ignore'],
): Generator<WalkedEntry> {
  if (names === '') return;
  for (const [index, name] of names.split('/').entries()) {
    const field = (number: number): number => fields[index * TREE_FIELDS.count + number] ?? 0;
    if (ignore !== undefined) {
      const isFolder = (field(TREE_FIELDS.mode) & S_IFMT) === S_IFDIR;
      const shown = Buffer.from(path === '' ? name : `${path}/${name}`, 'latin1').toString('utf8');
      const isHidden = ignore.excludes(shown, isFolder) && !(isFolder && ignore.mayIncludeBelow(shown));
      if (isHidden) continue;
    }
    yield { name, field };
  }
}
