/**
 * Mount points that a root filesystem lacks are made by the runtime. This remembers which of them were missing, and
 * removes them again, with the modification times of the folders that they stood in as they were. To make them,
 * overlayfs has copied those folders up: which of them are as before is told at the end.
 */
import {
  closeSync,
  constants,
  fstatSync,
  lstatSync,
  openSync,
  readdirSync,
  readlinkSync,
  rmdirSync,
  unlinkSync,
} from 'node:fs';
import { basename, dirname, posix } from 'node:path';
import { errnoCode } from '../base/errors.ts';
import { addon } from '../native/addon.ts';

const RESOLVE_NO_MAGICLINKS = 0x02;
const RESOLVE_IN_ROOT = 0x10;
const O_PATH = 0x200000;

interface FolderTime {
  path: string;
  mtimeNs: bigint;
}

/** As the kernel follows. */
const LINKS_MAX = 40;
/** overlayfs's own, which come with the copy. */
const OVERLAY_XATTR = /^(?:trusted|user)\.overlay\./;

export class MountStubs {
  readonly #root: string;
  readonly #seen = new Set<string>();
  /** Folders that exist above missing ones, without links in their paths, and what they are like. */
  readonly #above = new Map<string, string>();
  /** Missing paths, deepest last. */
  readonly #missing: string[] = [];
  readonly #times: FolderTime[] = [];

  /** Looks which of `destinations`, and of the folders above them, `root` lacks. */
  constructor(root: string, destinations: readonly string[]) {
    this.#root = root;
    for (const destination of destinations) this.#lookAlong(destination, LINKS_MAX);
  }

  #lookAlong(destination: string, links: number): void {
    const parts = posix
      .normalize(destination)
      .split('/')
      .filter((part) => part !== '');
    for (let depth = 1; depth <= parts.length; depth++) {
      const path = `/${parts.slice(0, depth).join('/')}`;
      const target = this.#seen.has(path) ? undefined : this.#look(path);
      this.#seen.add(path);
      if (target === undefined) continue;
      // A link that leads nowhere: what is missing is made where it leads to.
      if (links > 0) this.#lookAlong([target, ...parts.slice(depth)].join('/'), links - 1);
      return;
    }
  }

  /**
   * Removes what was missing before and is an empty file or folder now. Returns the folders above those that have the
   * same attributes as before, deepest first, without links in their paths.
   */
  remove(): string[] {
    for (const path of this.#missing.reverse()) {
      const fd = this.#open(dirname(path), constants.O_DIRECTORY);
      if (fd === undefined) continue;
      try {
        removeEmpty(`/proc/self/fd/${fd}/${basename(path)}`);
      } finally {
        closeSync(fd);
      }
    }
    for (const { path, mtimeNs } of this.#times) {
      const fd = this.#open(path, constants.O_DIRECTORY);
      if (fd === undefined) continue;
      try {
        addon().setTimes(`/proc/self/fd/${fd}/.`, ...secondsAndNanoseconds(mtimeNs));
      } finally {
        closeSync(fd);
      }
    }
    const same = [...this.#above].filter(([path, attributes]) => this.#attributes(path) === attributes);
    return same.map(([path]) => path).sort((a, b) => b.split('/').length - a.split('/').length);
  }

  /** Gives where a link leads that leads nowhere. */
  #look(path: string): string | undefined {
    const fd = this.#open(path, O_PATH);
    if (fd !== undefined) {
      closeSync(fd);
      return undefined;
    }
    const parent = dirname(path);
    const parentFd = this.#open(parent, O_PATH | constants.O_DIRECTORY);
    if (parentFd === undefined) {
      this.#missing.push(path);
      return undefined;
    }
    try {
      const link = readLink(`/proc/self/fd/${parentFd}/${basename(path)}`);
      if (link !== undefined) return posix.resolve(this.#inRoot(parentFd) ?? parent, link);
      this.#missing.push(path);
      if (this.#times.some((one) => one.path === parent)) return undefined;
      const { mtimeNs } = fstatSync(parentFd, { bigint: true });
      this.#times.push({ path: parent, mtimeNs });
      this.#noteAbove(parentFd);
      return undefined;
    } finally {
      closeSync(parentFd);
    }
  }

  #noteAbove(fd: number): void {
    const path = this.#inRoot(fd) ?? '/';
    for (let one = path; one !== '/' && !this.#above.has(one); one = dirname(one)) {
      const attributes = this.#attributes(one);
      if (attributes !== undefined) this.#above.set(one, attributes);
    }
  }

  /** The path of an open folder in the root, without links. */
  #inRoot(fd: number): string | undefined {
    const rootFd = openSync(this.#root, constants.O_RDONLY | constants.O_DIRECTORY);
    const root = readlinkSync(`/proc/self/fd/${rootFd}`);
    closeSync(rootFd);
    const path = readlinkSync(`/proc/self/fd/${fd}`);
    if (path === root) return '/';
    return path.startsWith(`${root}/`) ? path.slice(root.length) : undefined;
  }

  /** Owner, mode and extended attributes of a folder, to be compared; undefined where it is gone. */
  #attributes(path: string): string | undefined {
    const fd = this.#open(path, O_PATH | constants.O_DIRECTORY);
    if (fd === undefined) return undefined;
    try {
      const { mode, uid, gid } = fstatSync(fd);
      const xattrs = addon()
        .listXattrs(`/proc/self/fd/${fd}/.`)
        .filter(({ name }) => !OVERLAY_XATTR.test(name))
        .map(({ name, value }) => `${name}=${value.toString('hex')}`);
      return JSON.stringify([mode, uid, gid, ...xattrs.sort()]);
    } finally {
      closeSync(fd);
    }
  }

  #open(path: string, flags: number): number | undefined {
    const rootFd = openSync(this.#root, constants.O_RDONLY | constants.O_DIRECTORY);
    try {
      return addon().openat2(rootFd, path, flags, 0, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS);
    } catch (error) {
      if (['ENOENT', 'ENOTDIR', 'ELOOP'].includes(errnoCode(error) ?? '')) return undefined;
      throw error;
    } finally {
      closeSync(rootFd);
    }
  }
}

const NANOSECONDS = 1_000_000_000n;

function secondsAndNanoseconds(timeNs: bigint): [number, number] {
  const nanoseconds = ((timeNs % NANOSECONDS) + NANOSECONDS) % NANOSECONDS;
  return [Number((timeNs - nanoseconds) / NANOSECONDS), Number(nanoseconds)];
}

/** Undefined for what is no link. */
function readLink(path: string): string | undefined {
  try {
    return readlinkSync(path);
  } catch (error) {
    if (['EINVAL', 'ENOENT', 'ENOTDIR'].includes(errnoCode(error) ?? '')) return undefined;
    throw error;
  }
}

function removeEmpty(path: string): void {
  const stat = lstatSync(path, { throwIfNoEntry: false });
  if (stat?.isDirectory() === true && readdirSync(path).length === 0) rmdirSync(path);
  else if (stat?.isFile() === true && stat.size === 0) unlinkSync(path);
}
