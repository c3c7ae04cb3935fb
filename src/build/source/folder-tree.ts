/** A folder of this machine as a source, read where it is: opening it costs nothing, whatever its size. */
import { realpathSync, statSync } from 'node:fs';
import { errnoCode, InvalidParameterError } from '../../base/errors.ts';
import { IGNORE_FILE, ignoreRules, readIgnoreFile } from './context-ignore.ts';
import type { SourceTree } from './source-tree.ts';

/**
 * The folder may be named through links; nothing below it is followed outside. `ignore`: text of an ignore file instead of
 * the folder's own. Throws InvalidParameter where there is no such folder.
 */
export function folderTree(path: string, title: string, ignore?: string, dockerfile?: string): SourceTree {
  const root = realFolder(path, title);
  const text =
    ignore === undefined ? readIgnoreFile(root, dockerfile) : { name: IGNORE_FILE, content: ignore };
  const rules = ignoreRules(text);
  return {
    path: root,
    title,
    ...(rules === undefined ? {} : { ignore: rules }),
    times: 'uniform',
    live: true,
    release: () => Promise.resolve(),
  };
}

function realFolder(path: string, title: string): string {
  try {
    const root = realpathSync(path);
    if (statSync(root).isDirectory()) return root;
  } catch (error) {
    const code = errnoCode(error);
    if (code !== 'ENOENT' && code !== 'ENOTDIR' && code !== 'ELOOP') throw error;
    throw new InvalidParameterError(`cannot open ${title}: path "${path}" not found`);
  }
  throw new InvalidParameterError(`cannot open ${title}: "${path}" is not a directory`);
}
