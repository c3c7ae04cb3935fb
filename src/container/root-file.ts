/**
 * Reads files of a mounted root filesystem. The kernel resolves the path inside the root (openat2(2),
 * RESOLVE_IN_ROOT), whatever links an image or a container has put there.
 */
import { closeSync, constants, fstatSync, mkdirSync, openSync, readSync } from 'node:fs';
import { errnoCode, InvalidParameterError } from '../base/errors.ts';
import { addon } from '../native/addon.ts';
import { O_PATH, readableFile } from '../native/inside-root.ts';

const RESOLVE_NO_MAGICLINKS = 0x02;
const RESOLVE_IN_ROOT = 0x10;
const READ_MAX_BYTES = 4 * 1024 * 1024;

/**
 * The text of a regular file of at most 4 MiB inside `root`; empty where there is none. Throws InvalidParameter for
 * what is no regular file or is larger.
 */
export function readRootFile(root: string, path: string): string {
  const rootFd = openSync(root, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    const pathFd = openInRoot(rootFd, path, O_PATH);
    if (pathFd === undefined) return '';
    const fd = readableFile(pathFd);
    if (fd === undefined) throw new InvalidParameterError(`${path} in the container is not a regular file`);
    try {
      return readWhole(fd, path);
    } finally {
      closeSync(fd);
    }
  } finally {
    closeSync(rootFd);
  }
}

function readWhole(fd: number, path: string): string {
  const stat = fstatSync(fd);
  if (stat.size > READ_MAX_BYTES) {
    throw new InvalidParameterError(`${path} in the container is larger than ${READ_MAX_BYTES} bytes`);
  }
  const buffer = Buffer.alloc(stat.size);
  let length = 0;
  while (length < buffer.length) {
    const count = readSync(fd, buffer, length, buffer.length - length, length);
    if (count === 0) break;
    length += count;
  }
  return buffer.toString('utf8', 0, length);
}

/**
 * Makes a directory and its parents inside `root`, mode 0755; existing ones stay. Throws InvalidParameter where
 * something else stands in the way.
 */
export function makeRootDirectory(root: string, path: string): void {
  let fd = openSync(root, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    let reached = '';
    for (const part of path.split('/').filter((name) => name !== '' && name !== '.')) {
      reached = `${reached}/${part}`;
      const found = openDirectory(root, reached);
      if (found === undefined) mkdirSync(`/proc/self/fd/${fd}/${part}`, 0o755);
      const next = found ?? openDirectory(root, reached);
      if (next === undefined)
        throw new InvalidParameterError(`cannot make directory ${reached} in the container`);
      closeSync(fd);
      fd = next;
    }
  } finally {
    closeSync(fd);
  }
}

function openDirectory(root: string, path: string): number | undefined {
  const rootFd = openSync(root, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    return openInRoot(rootFd, path, constants.O_RDONLY | constants.O_DIRECTORY);
  } catch (error) {
    if (errnoCode(error) !== 'ENOTDIR') throw error;
    throw new InvalidParameterError(`${path} in the container is not a directory`, error);
  } finally {
    closeSync(rootFd);
  }
}

function openInRoot(rootFd: number, path: string, flags: number): number | undefined {
  try {
    return addon().openat2(rootFd, path, flags, 0, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS);
  } catch (error) {
    if (errnoCode(error) === 'ENOENT') return undefined;
    throw error;
  }
}
