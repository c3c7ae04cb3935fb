/**
 * Copies file trees between directories that others may change at the same time (a container's root, a volume, a
 * build context): everything is reached from open directories, one name at a time, and a link is copied, never
 * followed. Ownership, modes, times, extended attributes, hard links and device nodes are kept. However deep a tree is,
 * a bounded number of descriptors is open (open-directories.ts).
 */
import {
  chmodSync,
  chownSync,
  closeSync,
  constants,
  fstatSync,
  ftruncateSync,
  lchownSync,
  linkSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readlinkSync,
  rmdirSync,
  symlinkSync,
  unlinkSync,
} from 'node:fs';
import { setImmediate } from 'node:timers/promises';
import { errnoCode, InvalidParameterError } from '../base/errors.ts';
import { addon } from '../native/addon.ts';
import {
  OPEN_DIRECTORY,
  OpenDirectories,
  openBeneath,
  RESOLVE_NO_MAGICLINKS,
  RESOLVE_NO_XDEV,
} from './open-directories.ts';

/** openat2(2). */
export const RESOLVE_IN_ROOT = 0x10;
export const O_PATH = 0x200000;
const AT_FDCWD = -100;

/** PATH_MAX with its NUL is 4096. */
const PATH_BYTES_MAX = 4095;
/** What is copied of a file before others get a turn. */
const PIECE_BYTES = 4 * 1024 * 1024;
/** The loop gets a turn at least this often. */
const TURN_MS = 15;
/** Belong to the file system or its policy, not to the file. */
const SKIPPED_XATTRS = /^(trusted\.overlay\.|user\.overlay\.|security\.selinux$)/;

export interface CopyOptions {
  /** Instead of the source's. */
  owner?: { uid: number; gid: number } | undefined;
  /** Permission bits instead of the source's, for files and directories. */
  mode?: number | undefined;
  /** Asked for each name below the copied directory, as a path relative to it; false leaves it out. */
  filter?: (relative: string, isDirectory: () => boolean) => boolean;
  signal?: AbortSignal | undefined;
}

/** Opens `path` inside `root` as if `root` were `/`: links and `..` cannot leave it. The caller closes it. */
export function openInRoot(root: string | number, path: string, flags: number): number {
  const rootFd = typeof root === 'number' ? root : openSync(root, O_PATH | constants.O_DIRECTORY);
  try {
    return addon().openat2(rootFd, path, flags, 0, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS);
  } finally {
    if (typeof root !== 'number') closeSync(rootFd);
  }
}

/** Runs `body` with `path` of the host opened as a directory. */
export function openDirectory(path: string): number {
  return addon().openat2(AT_FDCWD, path, OPEN_DIRECTORY, 0, 0);
}

/** Path of `name` in an open directory; valid while `fd` is open. */
export function at(fd: number, name?: Uint8Array | string): Buffer {
  const prefix = `/proc/self/fd/${fd}`;
  if (name === undefined) return Buffer.from(prefix);
  return Buffer.concat([Buffer.from(`${prefix}/`), typeof name === 'string' ? Buffer.from(name) : name]);
}

/** A directory of the target, by the names that lead to it from its root. */
interface Place {
  readonly above: Place | undefined;
  readonly name: Buffer;
}

interface Walk {
  readonly options: CopyOptions;
  readonly source: OpenDirectories;
  readonly target: OpenDirectories;
  readonly targetRoot: number;
  /** `dev:ino` of a source with several names to the first copy: its directory and its name there. */
  readonly links: Map<string, { parent: Place | undefined; name: Buffer }>;
  turn: number;
}

/**
 * Copies what is in `source` into `target`, both open directories. Directories merge; a file takes the place of a
 * file. The target directory itself keeps its attributes unless `root` is true.
 */
export async function copyTree(
  source: number,
  target: number,
  options: CopyOptions & { root?: boolean } = {},
): Promise<void> {
  await walking(source, target, options, (walk) => copyChildren(walk, '', undefined));
  if (options.root === true) applyAttributes(options, source, target);
}

/** Copies the one entry `name` of `source` to `targetName` in `target`; a directory with all that it holds. */
export async function copyEntry(
  source: number,
  name: Uint8Array | string,
  target: number,
  targetName: Uint8Array | string,
  options: CopyOptions = {},
): Promise<void> {
  await walking(source, target, options, (walk) =>
    copyNamed(walk, Buffer.from(name), Buffer.from(targetName), '', undefined),
  );
}

async function walking(
  source: number,
  target: number,
  options: CopyOptions,
  body: (walk: Walk) => Promise<void>,
): Promise<void> {
  const walk: Walk = {
    options,
    source: new OpenDirectories(source),
    target: new OpenDirectories(target),
    targetRoot: target,
    links: new Map(),
    turn: performance.now(),
  };
  try {
    await body(walk);
  } finally {
    walk.source.close();
    walk.target.close();
  }
}

/** `place` is that of the directory that is copied into; undefined for the root. */
async function copyChildren(walk: Walk, relative: string, place: Place | undefined): Promise<void> {
  for (const name of readdirSync(at(walk.source.fd), { encoding: 'buffer' })) {
    const path = relative === '' ? name.toString() : `${relative}/${name.toString()}`;
    const isDirectory = (): boolean => lstatSync(at(walk.source.fd, name)).isDirectory();
    if (walk.options.filter?.(path, isDirectory) === false) continue;
    await breathe(walk);
    await copyNamed(walk, name, name, path, place);
  }
}

async function copyNamed(
  walk: Walk,
  name: Buffer,
  targetName: Buffer,
  relative: string,
  place: Place | undefined,
): Promise<void> {
  const source = walk.source.fd;
  const target = walk.target.fd;
  const stat = lstatSync(at(source, name), { bigint: true });
  if (stat.isDirectory()) {
    await copyDirectory(walk, name, targetName, relative, { above: place, name: targetName });
    return;
  }
  removeOld(target, targetName);
  const key = `${stat.dev}:${stat.ino}`;
  const first = stat.nlink > 1n ? walk.links.get(key) : undefined;
  if (first !== undefined && linkToFirst(walk, first, targetName)) return;
  if (stat.nlink > 1n) walk.links.set(key, { parent: place, name: targetName });
  const to = at(target, targetName);
  if (stat.isSymbolicLink()) {
    symlinkSync(readlinkSync(at(source, name), { encoding: 'buffer' }), to);
  } else if (stat.isFile()) {
    await copyFile(walk, source, name, to);
  } else {
    const device = stat.rdev;
    const major = Number(((device >> 8n) & 0xfffn) | ((device >> 32n) & 0xfffff000n));
    const minor = Number((device & 0xffn) | ((device >> 12n) & 0xffffff00n));
    addon().mknod(to, Number(stat.mode), major, minor);
  }
  copyAttributes(walk, at(source, name), target, targetName, stat);
}

/** Where it fails, the walk ends, and closes what is open. */
async function copyDirectory(
  walk: Walk,
  name: Buffer,
  targetName: Buffer,
  relative: string,
  place: Place,
): Promise<void> {
  const { source, target, options } = walk;
  source.enter(name);
  makeDirectory(target.fd, targetName);
  target.enter(targetName);
  await copyChildren(walk, relative, place);
  applyAttributes(options, source.fd, target.fd);
  target.leave();
  source.leave();
}

function makeDirectory(target: number, name: Buffer): void {
  try {
    mkdirSync(at(target, name), 0o700);
  } catch (error) {
    if (errnoCode(error) !== 'EEXIST') throw error;
    if (!lstatSync(at(target, name)).isDirectory()) {
      throw new InvalidParameterError(`cannot copy to non-directory: ${name.toString()}`);
    }
  }
}

/** A directory is never replaced by something else. */
function removeOld(target: number, name: Buffer): void {
  try {
    unlinkSync(at(target, name));
  } catch (error) {
    const code = errnoCode(error);
    if (code === 'ENOENT') return;
    if (code === 'EISDIR' || code === 'EPERM') {
      throw new InvalidParameterError(`cannot overwrite directory ${name.toString()} with non-directory`);
    }
    throw error;
  }
}

/** False where the first copy is no longer where it was put. */
function linkToFirst(walk: Walk, first: { parent: Place | undefined; name: Buffer }, name: Buffer): boolean {
  const way = new OpenDirectories(walk.targetRoot);
  try {
    for (const path of pathsOf(first.parent)) way.enter(path);
    linkSync(at(way.fd, first.name), at(walk.target.fd, name));
    return true;
  } catch {
    return false;
  } finally {
    way.close();
  }
}

/** The way from the root down, in pieces that the kernel takes. */
function pathsOf(place: Place | undefined): Buffer[] {
  const names: Buffer[] = [];
  for (let at = place; at !== undefined; at = at.above) names.push(at.name);
  const paths: Buffer[] = [];
  let piece: Buffer[] = [];
  let length = 0;
  for (const name of names.reverse()) {
    if (length + name.length >= PATH_BYTES_MAX) {
      paths.push(Buffer.concat(piece));
      piece = [];
      length = 0;
    }
    piece.push(name, Buffer.from('/'));
    length += name.length + 1;
  }
  return piece.length === 0 ? paths : [...paths, Buffer.concat(piece)];
}

/** O_NONBLOCK: a fifo that was put in the file's place must not hang us. */
async function copyFile(walk: Walk, source: number, name: Buffer, to: Buffer): Promise<void> {
  const from = openBeneath(source, name, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  try {
    const stat = fstatSync(from);
    if (!stat.isFile()) throw new InvalidParameterError(`${name.toString()} changed while it was copied`);
    const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;
    const target = openSync(to, flags, 0o600);
    try {
      await copyContent(walk, from, target, stat.size);
    } finally {
      closeSync(target);
    }
  } finally {
    closeSync(from);
  }
}

/** Shared where the file systems can; else copied, holes left out. */
async function copyContent(walk: Walk, from: number, to: number, size: number): Promise<void> {
  const native = addon();
  if (size === 0 || native.cloneFile(from, to)) return;
  for (let position = 0; position >= 0 && position < size; ) {
    position = native.copyData(from, to, position, PIECE_BYTES);
    await breathe(walk);
  }
  if (fstatSync(to).size < size) ftruncateSync(to, size);
}

/** Lets other work have its turn, and ends where that is wanted. */
async function breathe(walk: Walk): Promise<void> {
  if (performance.now() - walk.turn > TURN_MS) {
    await setImmediate();
    walk.turn = performance.now();
  }
  walk.options.signal?.throwIfAborted();
}

/** Attributes of an open directory. */
function applyAttributes({ owner, mode }: CopyOptions, from: number, to: number): void {
  const stat = fstatSync(from, { bigint: true });
  chownSync(at(to), owner?.uid ?? Number(stat.uid), owner?.gid ?? Number(stat.gid));
  chmodSync(at(to), mode ?? Number(stat.mode & 0o7777n));
  // The path must not end in the magic link: these calls do not follow.
  copyXattrs(at(from, '.'), at(to, '.'));
  setTimes(at(to, '.'), stat.mtimeNs);
}

/** Chown first: it clears set-uid bits and file capabilities. */
function copyAttributes(
  walk: Walk,
  from: Buffer,
  target: number,
  name: Buffer,
  stat: { uid: bigint; gid: bigint; mode: bigint; mtimeNs: bigint; isSymbolicLink(): boolean },
): void {
  const to = at(target, name);
  const { owner, mode } = walk.options;
  lchownSync(to, owner?.uid ?? Number(stat.uid), owner?.gid ?? Number(stat.gid));
  if (!stat.isSymbolicLink()) {
    // Pinned first, so that a link in its place is not followed.
    const pin = openBeneath(target, name, O_PATH | constants.O_NOFOLLOW);
    try {
      chmodSync(at(pin), mode ?? Number(stat.mode & 0o7777n));
    } finally {
      closeSync(pin);
    }
  }
  copyXattrs(from, to);
  setTimes(to, stat.mtimeNs);
}

function copyXattrs(from: Buffer, to: Buffer): void {
  for (const { name, value } of addon().listXattrs(from)) {
    if (SKIPPED_XATTRS.test(name)) continue;
    try {
      addon().setXattr(to, name, value);
    } catch (error) {
      // A file system without this kind of attribute cannot keep it.
      if (errnoCode(error) !== 'ENOTSUP' && errnoCode(error) !== 'EOPNOTSUPP') throw error;
    }
  }
}

/** Both times, of what is never followed. */
export function setTimes(path: Buffer, nanoseconds: bigint): void {
  const second = 1_000_000_000n;
  const rest = ((nanoseconds % second) + second) % second;
  addon().setTimes(path, Number((nanoseconds - rest) / second), Number(rest));
}

/**
 * Removes everything in an open directory, or what has one of these names, following nothing. What is mounted in it ends
 * it with EXDEV, and stays.
 */
export function emptyDirectory(
  fd: number,
  names: readonly Buffer[] = readdirSync(at(fd), { encoding: 'buffer' }),
): void {
  const walk = new OpenDirectories(fd, RESOLVE_NO_XDEV);
  /** What is still to be removed in each of the directories that the walk is in; the root has no name. */
  const pending: { name: Buffer | undefined; names: Buffer[] }[] = [{ name: undefined, names: [...names] }];
  try {
    for (let level = pending.at(-1); level !== undefined; level = pending.at(-1)) {
      const next = level.names.pop();
      if (next !== undefined) {
        const stat = lstatSync(at(walk.fd, next), { throwIfNoEntry: false });
        if (stat === undefined) continue;
        if (stat.isDirectory()) {
          walk.enter(next);
          pending.push({ name: next, names: readdirSync(at(walk.fd), { encoding: 'buffer' }) });
        } else unlinkSync(at(walk.fd, next));
        continue;
      }
      pending.pop();
      if (level.name === undefined) continue;
      walk.leave();
      rmdirSync(at(walk.fd, level.name));
    }
  } finally {
    walk.close();
  }
}
