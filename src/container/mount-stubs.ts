/**
 * Mount points that a root filesystem lacks are made by the runtime. This remembers which of them were missing, and
 * removes them again, with the modification times of the folders that they stood in as they were.
 */
import {
  closeSync,
  constants,
  fstatSync,
  lstatSync,
  openSync,
  readdirSync,
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

export class MountStubs {
  readonly #root: string;
  /** Missing paths, deepest last. */
  readonly #missing: string[] = [];
  readonly #times: FolderTime[] = [];

  /** Looks which of `destinations`, and of the folders above them, `root` lacks. */
  constructor(root: string, destinations: readonly string[]) {
    this.#root = root;
    const seen = new Set<string>();
    for (const destination of destinations) {
      const parts = posix
        .normalize(destination)
        .split('/')
        .filter((part) => part !== '');
      for (let depth = 1; depth <= parts.length; depth++) {
        const path = `/${parts.slice(0, depth).join('/')}`;
        if (seen.has(path)) continue;
        seen.add(path);
        this.#look(path);
      }
    }
  }

  /** Removes what was missing before and is an empty file or folder now. */
  remove(): void {
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
  }

  #look(path: string): void {
    const fd = this.#open(path, O_PATH);
    if (fd !== undefined) {
      closeSync(fd);
      return;
    }
    this.#missing.push(path);
    const parent = dirname(path);
    if (this.#missing.includes(parent) || this.#times.some((one) => one.path === parent)) return;
    const parentFd = this.#open(parent, O_PATH | constants.O_DIRECTORY);
    if (parentFd === undefined) return;
    const { mtimeNs } = fstatSync(parentFd, { bigint: true });
    closeSync(parentFd);
    this.#times.push({ path: parent, mtimeNs });
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

function removeEmpty(path: string): void {
  const stat = lstatSync(path, { throwIfNoEntry: false });
  if (stat?.isDirectory() === true && readdirSync(path).length === 0) rmdirSync(path);
  else if (stat?.isFile() === true && stat.size === 0) unlinkSync(path);
}
