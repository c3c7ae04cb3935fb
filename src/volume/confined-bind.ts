/**
 * Binds that may show nothing outside of one host folder, whoever else writes to that folder: the way to the source is
 * walked by the kernel inside the folder at every start, from a descriptor, and what was found there is what is
 * mounted. A link that leads out, made before or between, leads to a place inside.
 */
import { closeSync, mkdirSync } from 'node:fs';
import { posix } from 'node:path';
import { errnoCode, InvalidParameterError } from '../base/errors.ts';
import { addon } from '../native/addon.ts';
import { at, O_PATH, openInRoot } from './copy-tree.ts';
import type { ContainerMountPoint } from './mount-points.ts';
import { RESOLVE_NO_MAGICLINKS, RESOLVE_NO_SYMLINKS } from './open-directories.ts';
import { mountPart } from './part-mount.ts';

const AT_FDCWD = -100;
const O_DIRECTORY = 0x10000;

type ConfinedBind = Pick<ContainerMountPoint, 'source' | 'subpath' | 'createSource'>;

/** The way from `root` to a path below it, or undefined for one that is not. Both absolute; by the text alone. */
export function wayInside(root: string, path: string): string | undefined {
  const way = posix.relative(root, posix.normalize(path));
  if (way === '') return '.';
  return way === '..' || way.startsWith('../') ? undefined : way;
}

/** Makes a missing source as a folder where the request said so. Throws InvalidParameter where there is none. */
export function prepareConfined(mount: ConfinedBind, root: string): void {
  const rootFd = openRoot(root);
  try {
    closeSync(
      mount.createSource ? makeInside(rootFd, mount.subpath) : openInRoot(rootFd, mount.subpath, O_PATH),
    );
  } catch (error) {
    throw new InvalidParameterError(
      `invalid mount config for type "bind": bind source path does not exist: ${mount.source} (looked up inside ${root})`,
      error,
    );
  } finally {
    closeSync(rootFd);
  }
}

/** Mounts it at `target`, as `mountPart` does. */
export function mountConfined(mount: ConfinedBind, root: string, target: string): void {
  const rootFd = openRoot(root);
  try {
    mountPart(rootFd, { type: 'folder', name: root, subpath: mount.subpath }, target);
  } finally {
    closeSync(rootFd);
  }
}

/** The folder was named by its real path: a link on the way to it was put there since. */
function openRoot(root: string): number {
  try {
    return addon().openat2(
      AT_FDCWD,
      root,
      O_PATH | O_DIRECTORY,
      0,
      RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
    );
  } catch (error) {
    throw new InvalidParameterError(
      `cannot open the mount root ${root}: it is no folder by that real path`,
      error,
    );
  }
}

/** Folder by folder, so that each is made in one that was found inside the root. */
function makeInside(rootFd: number, subpath: string): number {
  let way = '';
  let fd = openInRoot(rootFd, '.', O_PATH);
  for (const name of subpath.split('/').filter((part) => part !== '' && part !== '.')) {
    way = way === '' ? name : `${way}/${name}`;
    const parent = fd;
    try {
      fd = openOrMake(rootFd, parent, way, name);
    } finally {
      closeSync(parent);
    }
  }
  return fd;
}

function openOrMake(rootFd: number, parentFd: number, way: string, name: string): number {
  try {
    return openInRoot(rootFd, way, O_PATH);
  } catch (error) {
    if (errnoCode(error) !== 'ENOENT') throw error;
  }
  try {
    // The last part of a path is never followed by mkdir(2).
    mkdirSync(at(parentFd, name), { mode: 0o755 });
  } catch (error) {
    if (errnoCode(error) !== 'EEXIST') throw error;
  }
  return openInRoot(rootFd, way, O_PATH);
}
