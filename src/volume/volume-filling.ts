/**
 * The first filling of volumes with what an image has at the place where they are mounted (copy-up). Markers beside
 * `_data` make it all or nothing: what a crash has cut short is emptied by the next daemon, and done again by the
 * container's next start.
 */

import { closeSync, constants, existsSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { opendir } from 'node:fs/promises';
import { join } from 'node:path';
import { syncDirectory } from '../base/atomic-file.ts';
import { errnoCode } from '../base/errors.ts';
import { step, stepSync } from '../base/steps.ts';
import { at, copyTree, emptyDirectory, openDirectory, openInRoot } from './copy-tree.ts';

/** A filling that has not ended: what is in the volume came from it. */
const FILLING = 'filling';
/** A filling that is still to be done: that has not begun, or was cut short and of which nothing is left. */
const UNFILLED = 'unfilled';

/** Whether a name beside `_data` only says how far the filling is. */
export function isFillingMark(name: string): boolean {
  return name === FILLING || name === UNFILLED;
}

/** Where a volume's content and the markers beside it lie. */
export interface FillableVolume {
  name: string;
  /** `<folder>/_data`. */
  path: string;
  folder: string;
  /** Whether more than one container has it now: what is in it may then be another's. */
  isShared(): boolean;
}

export class VolumeFilling {
  /** The tail of each volume's queue. */
  readonly #queues = new Map<string, Promise<boolean>>();

  /**
   * Fills an empty volume with what the image has at `destination`, ownership and modes of that folder included.
   * `rootfs` is the container's mounted root; the path is resolved inside it. Answers whether anything was copied:
   * not for a volume that has content, nor where the image has no folder there. Calls for one volume queue.
   */
  fill(volume: FillableVolume, rootfs: string, destination: string): Promise<boolean> {
    const before = this.#queues.get(volume.name) ?? Promise.resolve(false);
    const run = before.catch(() => false).then(() => fill(volume, rootfs, destination));
    this.#queues.set(volume.name, run);
    const forget = (): void => {
      if (this.#queues.get(volume.name) === run) this.#queues.delete(volume.name);
    };
    run.then(forget, forget);
    return run;
  }
}

export function markUnfilled(folder: string): void {
  writeFileSync(join(folder, UNFILLED), '');
}

/** Whether a filling was cut short, or never began, and is to be done. */
export function isUnfilled(folder: string): boolean {
  return existsSync(join(folder, UNFILLED));
}

/** Whether a filling was under way when the last daemon ended. */
export function isHalfFilled(folder: string): boolean {
  return existsSync(join(folder, FILLING));
}

/** Empties a half-filled volume. */
export function undoFilling({ path, folder }: FillableVolume): void {
  const fd = openDirectory(path);
  try {
    emptyDirectory(fd);
  } finally {
    closeSync(fd);
  }
  renameSync(join(folder, FILLING), join(folder, UNFILLED));
}

/** Leaves it as it is: the content is not ours to remove. */
export function forgetFilling(folder: string): void {
  rmSync(join(folder, FILLING), { force: true });
}

/** Reads no further than it must, and off the main thread: some have many names, some lie on hosts that do not answer. */
export async function isEmptyFolder(path: string): Promise<boolean> {
  const directory = await opendir(path);
  try {
    return (await directory.read()) === null;
  } finally {
    await directory.close();
  }
}

async function fill(volume: FillableVolume, rootfs: string, destination: string): Promise<boolean> {
  const { path, folder } = volume;
  const source = openFolder(rootfs, destination);
  try {
    const empty = await isEmptyFolder(path);
    if (source === undefined || !empty) {
      rmSync(join(folder, UNFILLED), { force: true });
      return false;
    }
    const target = openDirectory(path);
    try {
      stepSync('volume-fill/mark', volume.name, () => {
        writeFileSync(join(folder, FILLING), '');
        syncDirectory(folder);
      });
      await step('volume-fill/copy', volume.name, () => copyTree(source, target, { root: true }));
    } catch (error) {
      // Others may have written to it meanwhile.
      if (!volume.isShared()) emptyDirectory(target, readdirSync(at(source), { encoding: 'buffer' }));
      throw error;
    } finally {
      closeSync(target);
      stepSync('volume-fill/filled', volume.name, () => forgetFilling(folder));
    }
    stepSync('volume-fill/done', volume.name, () => rmSync(join(folder, UNFILLED), { force: true }));
    return true;
  } finally {
    if (source !== undefined) closeSync(source);
  }
}

function openFolder(rootfs: string, path: string): number | undefined {
  try {
    return openInRoot(rootfs, path, constants.O_RDONLY | constants.O_DIRECTORY);
  } catch (error) {
    const code = errnoCode(error);
    if (code === 'ENOENT' || code === 'ENOTDIR' || code === 'ELOOP') return undefined;
    throw error;
  }
}
