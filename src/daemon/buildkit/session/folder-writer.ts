/**
 * Makes a folder the same as a list of files that a client sends: entry by entry, in the order in which a tree is walked
 * (names sorted by their bytes, a directory's content right behind it). Names come from the client: they are looked up by
 * the kernel from the descriptor of the folder that they are said to be in, which this writer made or found as a folder
 * itself, and never through links. Nobody else may write to the folder meanwhile.
 *
 * Files belong to root, whatever the client says. Extended attributes and devices are left out, as they would mean
 * something to this machine.
 */
import {
  chmodSync,
  closeSync,
  constants,
  fchmodSync,
  linkSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readlinkSync,
  rmdirSync,
  type Stats,
  symlinkSync,
  unlinkSync,
} from 'node:fs';
import type { Stat } from '../../../api/buildkit/file-stat_pb.ts';
import { InvalidParameterError } from '../../../base/errors.ts';
import { addon } from '../../../native/addon.ts';
import {
  byDescriptor,
  O_DIRECTORY,
  O_NOFOLLOW,
  O_PATH,
  openChild,
  openInsideWithoutLinks,
} from '../../../native/inside-root.ts';
import { kindOf, permissionsOf } from './go-mode.ts';

const PATH_MAX_BYTES = 4096;
const NAME_MAX_BYTES = 255;
/** One descriptor each. */
const DEPTH_MAX = 200;
const SLASH = 0x2f;
const DOT = 0x2e;
const BILLION = 1_000_000_000n;
const S_IFIFO = 0o010000;

interface OpenFolder {
  readonly fd: number;
  /** Relative to the root; empty for the root itself. */
  readonly path: Buffer;
  /** Names that are there and were not sent, one byte a character. */
  readonly rest: Set<string>;
  /** The name that was sent last. */
  last: Buffer;
  /** Applied once nothing in it changes any more. */
  readonly mtimeNs: bigint | undefined;
}

/** A file whose content the client is to send. */
export interface WantedFile {
  readonly folder: Buffer;
  readonly name: Buffer;
  readonly mtimeNs: bigint;
}

export class FolderWriter {
  /** The root first, then each in the one before. */
  readonly #open: OpenFolder[];

  constructor(directory: string) {
    const fd = openSync(directory, constants.O_RDONLY | constants.O_DIRECTORY | O_NOFOLLOW);
    try {
      this.#open = [folder(fd, Buffer.alloc(0), undefined)];
    } catch (error) {
      closeSync(fd);
      throw error;
    }
  }

  /**
   * The next entry of the list. Returns what has to be sent of it; undefined where it is right already. Throws
   * InvalidParameter, naming the path, for what no honest client sends.
   */
  add(stat: Stat): WantedFile | undefined {
    const path = Buffer.from(stat.path);
    const { parent, name } = this.#place(path);
    parent.rest.delete(name.toString('latin1'));
    parent.last = name;
    const at = childPath(parent.fd, name);
    const there = statOf(at);
    switch (kindOf(stat.mode)) {
      case 'directory':
        this.#enter(parent, name, path, stat, there);
        return undefined;
      case 'symlink':
        placeLink(at, stat, path, there);
        return undefined;
      case 'fifo':
        remove(at, there);
        addon().mknod(at, S_IFIFO | 0o600, 0, 0);
        chmodSync(at, permissionsOf(stat.mode));
        addon().setTimes(at, ...seconds(stat.modTime));
        return undefined;
      case 'other':
        remove(at, there);
        return undefined;
      default:
        return this.#file(parent, name, at, stat, there);
    }
  }

  /** The list is complete: what was not in it goes. */
  finish(): void {
    while (this.#open.length > 1) this.#leave();
    removeRest(this.#top);
  }

  /** Opens a file that `add` has returned, empty, for writing. */
  openWanted({ folder, name }: WantedFile): number {
    const path = folder.length === 0 ? name : Buffer.concat([folder, Buffer.from('/'), name]);
    return openInsideWithoutLinks(this.#root.fd, path, constants.O_WRONLY | O_NOFOLLOW);
  }

  /** Its content is complete: from now on it counts as sent. */
  settleWanted({ folder, name, mtimeNs }: WantedFile): void {
    const fd = this.#openFolder(folder);
    try {
      addon().setTimes(childPath(fd, name), ...seconds(mtimeNs));
    } finally {
      closeSync(fd);
    }
  }

  close(): void {
    for (const { fd } of this.#open.splice(0)) closeSync(fd);
  }

  get #root(): OpenFolder {
    const [root] = this.#open;
    if (root === undefined) throw new InvalidParameterError('the folder is closed');
    return root;
  }

  get #top(): OpenFolder {
    return this.#open.at(-1) ?? this.#root;
  }

  /** The open folder that an entry belongs in. */
  #place(path: Buffer): { parent: OpenFolder; name: Buffer } {
    const cut = path.lastIndexOf(SLASH);
    const name = path.subarray(cut + 1);
    const above = path.subarray(0, Math.max(cut, 0));
    if (cut === 0 || path.length > PATH_MAX_BYTES || !isName(name)) throw badPath(path, 'invalid path');
    while (this.#open.length > 1 && !this.#top.path.equals(above)) this.#leave();
    const parent = this.#top;
    // Also what has `.`, `..` or empty names further up: no folder of that path was ever entered.
    if (!parent.path.equals(above)) throw badPath(path, 'its folder was not sent before it');
    if (parent.last.length > 0 && Buffer.compare(parent.last, name) >= 0) {
      throw badPath(path, `it was sent after "${parent.last.toString()}"`);
    }
    return { parent, name };
  }

  #enter(parent: OpenFolder, name: Buffer, path: Buffer, stat: Stat, there: Stats | undefined): void {
    if (this.#open.length > DEPTH_MAX) throw badPath(path, `it lies deeper than ${DEPTH_MAX} folders`);
    const at = childPath(parent.fd, name);
    if (there?.isDirectory() !== true) {
      remove(at, there);
      mkdirSync(at, 0o700);
    }
    const fd = openChild(parent.fd, name, constants.O_RDONLY | O_DIRECTORY);
    try {
      if (there === undefined || modeOf(there) !== permissionsOf(stat.mode)) {
        fchmodSync(fd, permissionsOf(stat.mode));
      }
      this.#open.push(folder(fd, path, stat.modTime));
    } catch (error) {
      closeSync(fd);
      throw error;
    }
  }

  #leave(): void {
    const top = this.#open.pop();
    if (top === undefined) return;
    try {
      removeRest(top);
      if (top.mtimeNs !== undefined) addon().setTimes(`${byDescriptor(top.fd)}/.`, ...seconds(top.mtimeNs));
    } finally {
      closeSync(top.fd);
    }
  }

  #file(
    parent: OpenFolder,
    name: Buffer,
    at: Buffer,
    stat: Stat,
    there: Stats | undefined,
  ): WantedFile | undefined {
    if (stat.linkname.length > 0) {
      this.#link(at, stat, there);
      return undefined;
    }
    if (there?.isFile() === true && there.size === Number(stat.size) && sameTime(at, stat.modTime)) {
      if (modeOf(there) !== permissionsOf(stat.mode)) chmodSync(at, permissionsOf(stat.mode));
      return undefined;
    }
    // Always a new file: the old one may have other names, whose content stays.
    remove(at, there);
    const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | O_NOFOLLOW;
    const fd = openSync(at, flags, 0o600);
    try {
      fchmodSync(fd, permissionsOf(stat.mode));
    } finally {
      closeSync(fd);
    }
    if (stat.size === 0n) {
      addon().setTimes(at, ...seconds(stat.modTime));
      return undefined;
    }
    return { folder: parent.path, name: Buffer.from(name), mtimeNs: stat.modTime };
  }

  /** Another name of a file that was sent before. */
  #link(at: Buffer, stat: Stat, there: Stats | undefined): void {
    const source = Buffer.from(stat.linkname);
    const refuse = (cause?: unknown): InvalidParameterError =>
      badPath(
        Buffer.from(stat.path),
        `it is a link to "${source.toString()}", which was not sent as a file before it`,
        cause,
      );
    const cut = source.lastIndexOf(SLASH);
    const name = source.subarray(cut + 1);
    if (cut === 0 || source.equals(stat.path) || !isName(name)) throw refuse();
    let fd: number;
    try {
      fd = this.#openFolder(source.subarray(0, Math.max(cut, 0)));
    } catch (error) {
      throw refuse(error);
    }
    try {
      const from = childPath(fd, name);
      const target = statOf(from);
      if (target?.isFile() !== true) throw refuse();
      if (there?.ino === target.ino) return;
      remove(at, there);
      linkSync(from, at);
    } finally {
      closeSync(fd);
    }
  }

  #openFolder(path: Buffer): number {
    return openInsideWithoutLinks(this.#root.fd, path, O_PATH | O_DIRECTORY | O_NOFOLLOW);
  }
}

function folder(fd: number, path: Buffer, mtimeNs: bigint | undefined): OpenFolder {
  const names = readdirSync(byDescriptor(fd), { encoding: 'latin1' });
  return { fd, path, rest: new Set(names), last: Buffer.alloc(0), mtimeNs };
}

function removeRest({ fd, rest }: OpenFolder): void {
  for (const name of rest) {
    const at = childPath(fd, Buffer.from(name, 'latin1'));
    remove(at, statOf(at));
  }
  rest.clear();
}

function placeLink(at: Buffer, stat: Stat, path: Buffer, there: Stats | undefined): void {
  const target = Buffer.from(stat.linkname);
  if (target.length === 0 || target.length >= PATH_MAX_BYTES || target.includes(0)) {
    throw badPath(path, 'its target is no path');
  }
  if (there?.isSymbolicLink() !== true || !readlinkSync(at, { encoding: 'buffer' }).equals(target)) {
    remove(at, there);
    symlinkSync(target, at);
  }
  addon().setTimes(at, ...seconds(stat.modTime));
}

function remove(at: Buffer, there: Stats | undefined): void {
  if (there === undefined) return;
  if (there.isDirectory()) removeTree(at);
  else unlinkSync(at);
}

/** Names below are bytes, which node's own recursive removal does not keep. Links are removed, not followed. */
function removeTree(at: Buffer): void {
  const fd = openSync(at, constants.O_RDONLY | constants.O_DIRECTORY | O_NOFOLLOW);
  try {
    removeRest(folder(fd, Buffer.alloc(0), undefined));
  } finally {
    closeSync(fd);
  }
  rmdirSync(at);
}

function statOf(at: Buffer): Stats | undefined {
  return lstatSync(at, { throwIfNoEntry: false });
}

function sameTime(at: Buffer, mtimeNs: bigint): boolean {
  return lstatSync(at, { bigint: true }).mtimeNs === mtimeNs;
}

function modeOf(stats: Stats): number {
  return stats.mode & 0o7777;
}

function isName(name: Buffer): boolean {
  if (name.length === 0 || name.length > NAME_MAX_BYTES || name.includes(0)) return false;
  return !(name[0] === DOT && (name.length === 1 || (name.length === 2 && name[1] === DOT)));
}

function childPath(fd: number, name: Buffer): Buffer {
  return Buffer.concat([Buffer.from(`${byDescriptor(fd)}/`), name]);
}

/** For setTimes: whole seconds, rounded down, and the nanoseconds on top. */
function seconds(timeNs: bigint): [number, number] {
  const nanoseconds = ((timeNs % BILLION) + BILLION) % BILLION;
  return [Number((timeNs - nanoseconds) / BILLION), Number(nanoseconds)];
}

function badPath(path: Buffer, why: string, cause?: unknown): InvalidParameterError {
  const shown = path.toString().slice(0, 300);
  return new InvalidParameterError(`the client sent the file "${shown}" wrongly: ${why}`, cause);
}
