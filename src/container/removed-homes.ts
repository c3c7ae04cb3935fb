/**
 * Lasting folders of removed containers: out of the way at once, under another name, and then taken apart, those of many
 * files off this thread, so that neither the answer nor anybody else waits. What a daemon leaves, the next one removes.
 */
import { existsSync, readdirSync, renameSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { errnoCode, errorMessage } from '../base/errors.ts';
import { log } from '../base/log.ts';
import { makeDirectory } from '../base/make-directory.ts';
import { retryDelayMs } from '../base/retry-later.ts';
import { removeTree } from '../volume/remove-tree.ts';
import { type ContainerPaths, removedDirectory } from './paths.ts';
import { liftHomeLimit, removeHome } from './storage-options.ts';

/** The start of a container that comes right after a removal goes first. */
const DELAY_MS = 50;
/** Whoever removes faster than the disk does waits for it. */
const WAITING_MAX = 64;

/** What fails oftener is more than a lack of descriptors or memory that passes. */
const RETRIES_UNTOLD = 2;

/** Folders that could not be removed, with the reason. */
const stuck = new Map<string, string>();
let waiting = 0;
let last: Promise<void> = Promise.resolve();

/** Removes the folder. When this returns it is not there any more, though its space may come back a little later. */
export function discardHome(dataRoot: string, paths: ContainerPaths): void {
  if (waiting >= WAITING_MAX) {
    removeHome(paths);
    return;
  }
  liftHomeLimit(paths);
  const target = join(removedDirectory(dataRoot), basename(paths.home));
  try {
    renameSync(paths.home, target);
  } catch (error) {
    if (errnoCode(error) === 'ENOENT' && makeRemovedDirectory(dataRoot)) discardHome(dataRoot, paths);
    else removeHome(paths);
    return;
  }
  removeLater(target);
}

/**
 * Removes what an earlier daemon has left, behind all else: neither a million files nor one that cannot be removed, as
 * immutable ones, may keep a daemon from its containers.
 */
export function sweepDiscarded(dataRoot: string): void {
  const directory = removedDirectory(dataRoot);
  makeRemovedDirectory(dataRoot);
  for (const name of readdirSync(directory)) removeLater(join(directory, name));
}

/** One tree after the other. What cannot be removed is said, and tried again, also by the next daemon. */
function removeLater(path: string, failures = 0): void {
  waiting++;
  last = Promise.all([last, new Promise((resolve) => setTimeout(resolve, DELAY_MS).unref())])
    .then(() => removeDiscarded(path))
    .catch((error: unknown) => retryLater(path, failures, errorMessage(error)))
    .finally(() => {
      waiting--;
    });
}

function retryLater(path: string, failures: number, reason: string): void {
  if (failures >= RETRIES_UNTOLD) {
    if (!stuck.has(path))
      log.warn({ path, error: reason }, 'cannot remove the folder of a removed container');
    stuck.set(path, reason);
  }
  setTimeout(() => removeLater(path, failures + 1), retryDelayMs(failures)).unref();
}

/** Removes one of `stuckHomes` once more. Rejects where it still cannot be. */
export async function removeDiscarded(path: string): Promise<void> {
  await removeTree(path);
  stuck.delete(path);
}

/** What remains of removed containers because it could not be removed, with the reason. */
export function stuckHomes(dataRoot: string): { path: string; reason: string }[] {
  const directory = removedDirectory(dataRoot);
  return [...stuck]
    .filter(([path]) => dirname(path) === directory && existsSync(path))
    .map(([path, reason]) => ({ path, reason }));
}

/** False where it is there. */
function makeRemovedDirectory(dataRoot: string): boolean {
  return makeDirectory(removedDirectory(dataRoot), 0o700) !== undefined;
}
