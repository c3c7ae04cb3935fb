/**
 * Opening files of a tree that strangers made: paths are resolved by the kernel (openat2(2)) from a descriptor of the
 * tree's root, so that whatever links stand in it, nothing outside of it is reached.
 */
import { closeSync, constants, fstatSync, openSync } from 'node:fs';
import { errnoCode } from '../base/errors.ts';
import { addon } from './addon.ts';

export const O_PATH = 0x200000;
export const O_DIRECTORY = 0x10000;
export const O_NOFOLLOW = 0x20000;
const RESOLVE_NO_XDEV = 0x01;
const RESOLVE_NO_MAGICLINKS = 0x02;
const RESOLVE_NO_SYMLINKS = 0x04;
const RESOLVE_IN_ROOT = 0x10;

/** Opens a path inside the root; links lead to places inside of it. Throws with the kernel's errno. */
export function openInside(rootFd: number, path: string | Uint8Array, flags: number): number {
  return addon().openat2(rootFd, relative(path), flags, 0, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS);
}

/** The same where no part of the path may be a link, nor a place where something else is mounted. */
export function openInsideWithoutLinks(rootFd: number, path: string | Uint8Array, flags: number): number {
  const resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV;
  return addon().openat2(rootFd, relative(path), flags, 0, resolve);
}

function relative(path: string | Uint8Array): string | Uint8Array {
  return path.length === 0 || path === '/' ? '.' : path;
}

/** Opens a child of a directory, which must not be a link. */
export function openChild(parentFd: number, name: Uint8Array, flags: number): number {
  const resolve = RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;
  return addon().openat2(parentFd, name, flags | O_NOFOLLOW, 0, resolve);
}

/** A path to what a descriptor stands for, whatever is done to names meanwhile. */
export function byDescriptor(fd: number): string {
  return `/proc/self/fd/${fd}`;
}

/**
 * Makes of an O_PATH descriptor, which it closes, one to read from; undefined for all but regular files: to open a
 * device or a FIFO would already do something to it.
 */
export function readableFile(pathFd: number): number | undefined {
  try {
    if (!fstatSync(pathFd).isFile()) return undefined;
    return openSync(byDescriptor(pathFd), constants.O_RDONLY | constants.O_NONBLOCK);
  } finally {
    closeSync(pathFd);
  }
}

/** The result of `open`; undefined where the path is not there, as one that the kernel takes for too long cannot be. */
export function ifThere<T>(open: () => T): T | undefined {
  try {
    return open();
  } catch (error) {
    if (['ENOENT', 'ENOTDIR', 'ELOOP', 'ENAMETOOLONG'].includes(errnoCode(error) ?? '')) return undefined;
    throw error;
  }
}
