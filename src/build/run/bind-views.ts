/**
 * What `RUN --mount=type=bind` shows of a tree: the folder or file that the kernel finds inside the tree for a path,
 * held by a mount, so that nobody can exchange it; without what .dockerignore leaves out; writable on top where that is
 * wanted, which changes nothing below. A live tree's files are shown as root's, as if the client had sent them.
 */
import {
  chmodSync,
  chownSync,
  closeSync,
  constants,
  copyFileSync,
  fstatSync,
  mkdirSync,
  readlinkSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { errnoCode, errorMessage, InternalError, InvalidParameterError } from '../../base/errors.ts';
import { log } from '../../base/log.ts';
import { type MountOwners, mountMapped, mountMappedOverlay } from '../../image/layers/mapped-mounts.ts';
import { mountOverlay } from '../../image/layers/overlay-mount.ts';
import { addon } from '../../native/addon.ts';
import { byDescriptor, ifThere, O_DIRECTORY, O_PATH, openInside } from '../../native/inside-root.ts';
import { openDirectory } from '../../volume/copy-tree.ts';
import type { SourceTree } from '../source/source-tree.ts';
import { hideIgnored } from './hidden-files.ts';

const MS_BIND = 0x1000;
const MNT_DETACH = 2;
const UMOUNT_NOFOLLOW = 8;
const ID_END = 4_294_967_295;

export interface BindRequest {
  tree: SourceTree | 'scratch';
  source: string;
  readOnly: boolean;
}

export class BindViews {
  readonly #folder: string;
  readonly #owners: MountOwners | undefined;
  readonly #mounts: string[] = [];
  #count = 0;

  /** `folder` exists, on a file system that overlayfs can write to; what `owners` is, as in MountRequest. */
  constructor(folder: string, owners: MountOwners | undefined) {
    this.#folder = folder;
    this.#owners = owners;
  }

  /** Path of what is to be bound. Throws InvalidParameter, naming it, where the tree has no such file. */
  async show(request: BindRequest, signal: AbortSignal): Promise<string> {
    const folder = join(this.#folder, `bind-${this.#count++}`);
    for (const part of ['', 'base', 'hidden', 'view', 'upper', 'work']) {
      mkdirSync(join(folder, part), { mode: 0o755 });
    }
    const { tree, source } = request;
    if (tree === 'scratch') return join(folder, 'upper');
    const found = findInTree(tree, source);
    try {
      if (found.isDirectory) return await this.#showDirectory(folder, found, request, tree, signal);
      return this.#showFile(folder, found.fd, request.readOnly);
    } finally {
      closeSync(found.fd);
    }
  }

  #showFile(folder: string, fd: number, readOnly: boolean): string {
    const path = join(folder, 'file');
    if (readOnly) {
      writeFileSync(path, '', { mode: 0o600 });
      addon().mount(byDescriptor(fd), path, '', MS_BIND, '');
      this.#mounts.push(path);
    } else copyFileSync(byDescriptor(fd), path);
    return path;
  }

  async #showDirectory(
    folder: string,
    { fd, inTree }: FoundFile,
    { readOnly }: BindRequest,
    tree: SourceTree,
    signal: AbortSignal,
  ): Promise<string> {
    const hidden = join(folder, 'hidden');
    const hides = tree.ignore !== undefined && (await hideBelow(fd, inTree, tree.ignore, hidden, signal));
    // Of the folder itself overlayfs shows what the upper directory is like.
    const { uid, gid, mode } = fstatSync(fd);
    chownSync(join(folder, 'upper'), uid, gid);
    // Where only that owner is anybody, overlayfs could not work in a folder of somebody else's.
    chownSync(join(folder, 'work'), uid, gid);
    chmodSync(join(folder, 'upper'), mode & 0o7777);
    const base = join(folder, 'base');
    addon().mount(byDescriptor(fd), base, '', MS_BIND, '');
    this.#mounts.push(base);
    const owners = await this.#ownersOf(tree, folder);
    try {
      // Sockets and FIFOs of a folder that others use would reach their programs; through overlayfs they lead to nobody.
      if (readOnly && !hides && !tree.live) return this.#showPlain(base, join(folder, 'view'), owners);
      // Without an upper directory it takes two; an empty one at the bottom shows nothing.
      const bare = readOnly ? [hidden, base] : [base];
      const lowers = hides ? [base, hidden] : bare;
      return this.#showOverlay(folder, lowers, readOnly, owners);
    } finally {
      if (owners !== undefined && owners !== this.#owners) unpin(owners.userNamespace);
    }
  }

  #showPlain(base: string, view: string, owners: MountOwners | undefined): string {
    if (owners === undefined) return base;
    try {
      mountMapped(base, view, owners);
    } catch (error) {
      if (!(error instanceof InternalError)) throw error;
      // A file system that cannot map IDs: its files are nobody's in the step, and readable as far as their modes say.
      log.debug({ reason: errorMessage(error) }, 'a tree is shown to a step with the owners of the host');
      return base;
    }
    this.#mounts.push(view);
    return view;
  }

  #showOverlay(
    folder: string,
    lowers: readonly string[],
    readOnly: boolean,
    owners: MountOwners | undefined,
  ): string {
    const target = join(folder, 'view');
    const written = readOnly
      ? { upper: undefined, work: undefined }
      : { upper: join(folder, 'upper'), work: join(folder, 'work') };
    const mount = { lowers, ...written, target };
    try {
      if (owners === undefined) mountOverlay(mount);
      else mountMappedOverlay(mount, { lowerRoots: lowers, directory: join(folder, 'mapped'), owners });
    } catch (error) {
      if (owners === undefined || !(error instanceof InternalError)) throw error;
      log.debug({ reason: errorMessage(error) }, 'a tree is shown to a step with the owners of the host');
      mountOverlay(mount);
    }
    this.#mounts.push(target);
    return target;
  }

  /**
   * Whom the files are to belong to. A client's folder is its user's: that one takes root's place, and root that one's,
   * so that every file stays readable; in a user namespace only the user is anybody.
   */
  async #ownersOf(tree: SourceTree, folder: string): Promise<MountOwners | undefined> {
    if (!tree.live) return this.#owners;
    const fd = openDirectory(tree.path);
    const { uid, gid } = fstatSync(fd);
    closeSync(fd);
    if (uid === 0 && gid === 0) return this.#owners;
    const userNamespace = join(folder, 'owner');
    const root = this.#owners ?? { uid: 0, gid: 0 };
    const map = (id: number, rootId: number): string =>
      this.#owners === undefined ? exchanged(id) : `${id} ${rootId} 1\n`;
    await addon().createUserNamespace(userNamespace, map(uid, root.uid), map(gid, root.gid));
    return { userNamespace, uid: root.uid, gid: root.gid };
  }

  /** Unmounts everything. The files are the caller's to remove. */
  close(): void {
    for (const path of this.#mounts.splice(0).reverse()) addon().unmount(path, MNT_DETACH | UMOUNT_NOFOLLOW);
  }
}

interface FoundFile {
  /** O_PATH. */
  fd: number;
  isDirectory: boolean;
  /** Without links, relative to the tree. */
  inTree: string;
}

function findInTree(tree: SourceTree, source: string): FoundFile {
  const missing = (): InvalidParameterError =>
    new InvalidParameterError(`"${source}" of a bind mount: not found in ${tree.title}`);
  const rootFd = openDirectory(tree.path);
  let fd: number | undefined;
  try {
    fd = ifThere(() => openInside(rootFd, source, O_PATH));
    if (fd === undefined) throw missing();
    const isDirectory = fstatSync(fd).isDirectory();
    const inTree = pathInTree(rootFd, fd);
    if (inTree !== '' && isExcluded(tree, inTree, isDirectory)) throw missing();
    if (!isDirectory && !fstatSync(fd).isFile()) {
      throw new InvalidParameterError(
        `"${source}" of a bind mount: neither a file nor a folder in ${tree.title}`,
      );
    }
    const found = { fd, isDirectory, inTree };
    fd = undefined;
    return found;
  } finally {
    if (fd !== undefined) closeSync(fd);
    closeSync(rootFd);
  }
}

/** Also as a part of something that is excluded. */
export function isExcluded({ ignore }: SourceTree, path: string, isDirectory: boolean): boolean {
  if (ignore === undefined) return false;
  return ignore.excludes(path, isDirectory) && !(isDirectory && ignore.mayIncludeBelow(path));
}

/** Where the kernel found a file of the tree: without links. */
export function pathInTree(rootFd: number, fd: number): string {
  return relativeTo(readlinkSync(byDescriptor(rootFd)), readlinkSync(byDescriptor(fd)));
}

function relativeTo(root: string, path: string): string {
  if (path === root) return '';
  const prefix = root === '/' ? '/' : `${root}/`;
  if (!path.startsWith(prefix)) throw new InternalError(`${path} is not below ${root}`);
  return path.slice(prefix.length);
}

async function hideBelow(
  pathFd: number,
  inTree: string,
  ignore: NonNullable<SourceTree['ignore']>,
  layer: string,
  signal: AbortSignal,
): Promise<boolean> {
  const fd = addon().openat2(pathFd, '.', constants.O_RDONLY | O_DIRECTORY, 0, 0);
  try {
    return await hideIgnored(fd, inTree === '' ? '' : `${inTree}/`, ignore, layer, signal);
  } finally {
    closeSync(fd);
  }
}

/** 0 and `id` in each other's place, as a map of a user namespace. */
function exchanged(id: number): string {
  if (id === 0) return `0 0 ${ID_END}\n`;
  const between = id > 1 ? `1 1 ${id - 1}\n` : '';
  return `${id} 0 1\n0 ${id} 1\n${between}${id + 1} ${id + 1} ${ID_END - id - 1}\n`;
}

function unpin(path: string): void {
  try {
    addon().unmount(path, MNT_DETACH);
  } catch (error) {
    if (errnoCode(error) !== 'EINVAL' && errnoCode(error) !== 'ENOENT') throw error;
  }
  rmSync(path, { force: true });
}
