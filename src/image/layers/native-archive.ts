/**
 * The archive functions of addon.node (native/addon/archive.c): entries written below one root that nothing leads out
 * of, directories listed with everything a tar header needs, trees removed. All are synchronous, made for worker
 * threads. Byte strings are paths relative to the root; '' is the root itself. Errors carry `code`, `errno` and
 * `syscall`; the caller names the entry.
 */
import { addon } from '../../native/addon.ts';
import { type ByteString, byteString } from './tar/byte-string.ts';
import type { TarType } from './tar/tar-format.ts';

/** An open root; closed by archiveClose or by the garbage collector. */
export type ArchiveHandle = { readonly __brand: 'ArchiveHandle' };

/** Places in the Float64Array that describes an entry. Twin of enum archive_field in native/addon/archive.h. */
export const ENTRY_FIELDS = {
  type: 0,
  mode: 1,
  uid: 2,
  gid: 3,
  seconds: 4,
  nanoseconds: 5,
  major: 6,
  minor: 7,
  size: 8,
  /** Not 0: aligned blocks of zeros in `data` of archiveFile become holes. */
  findHoles: 9,
  count: 10,
} as const;

/** Places in a listing's `fields`, `count` for each entry. Twin of enum list_field in native/addon/archive_list.c. */
export const LIST_FIELDS = {
  /** Type and permission bits, as in st_mode. */
  mode: 0,
  uid: 1,
  gid: 2,
  size: 3,
  seconds: 4,
  nanoseconds: 5,
  major: 6,
  minor: 7,
  links: 8,
  inodeHigh: 9,
  inodeLow: 10,
  count: 11,
} as const;

export const S_IFMT = 0o170000;
export const S_IFREG = 0o100000;
export const S_IFDIR = 0o040000;
export const S_IFLNK = 0o120000;
export const S_IFCHR = 0o020000;
export const S_IFBLK = 0o060000;
export const S_IFIFO = 0o010000;
export const S_IFSOCK = 0o140000;

/** What tar calls the file types of st_mode; sockets are none of its. */
export const TAR_TYPES: ReadonlyMap<number, TarType> = new Map<number, TarType>([
  [S_IFREG, 'file'],
  [S_IFLNK, 'symlink'],
  [S_IFCHR, 'character'],
  [S_IFBLK, 'block'],
  [S_IFDIR, 'directory'],
  [S_IFIFO, 'fifo'],
]);

/** Attributes as [name, value, name, value, …]. */
export type XattrList = (ByteString | Uint8Array)[];

/** A directory's entries, unsorted; `links` and `xattrs` have holes where an entry has none. */
export interface DirectoryListing {
  names: ByteString[];
  fields: number[];
  links: (ByteString | undefined)[];
  xattrs: (XattrList | undefined)[];
}

export interface ArchiveAddon {
  archiveOpen(root: ByteString): ArchiveHandle;
  /** Anything but a regular file. `link`: a symbolic link's target; with any other type, this is a hard link to it. */
  archiveNode(
    archive: ArchiveHandle,
    fields: Float64Array,
    path: ByteString,
    link: ByteString | null,
    xattrs: XattrList | null,
  ): void;
  /** A regular file with its whole content; without `data` it stays open for archiveWrite and archiveEnd. */
  archiveFile(
    archive: ArchiveHandle,
    fields: Float64Array,
    path: ByteString,
    xattrs: XattrList | null,
    data: Uint8Array | null,
  ): void;
  archiveWrite(archive: ArchiveHandle, data: Uint8Array, position: number, findHoles: boolean): void;
  archiveEnd(archive: ArchiveHandle, fields: Float64Array, xattrs: XattrList | null): void;
  /** Hides `path` of lower layers; what the root has there stays. */
  archiveWhiteout(archive: ArchiveHandle, path: ByteString): void;
  /** Hides what lower layers have in the directory `path`, which is made where it is missing. */
  archiveOpaque(archive: ArchiveHandle, path: ByteString): void;
  /** With `finish`, the directories' times are set first. */
  archiveClose(archive: ArchiveHandle, finish: boolean): void;
  archiveList(directoryFd: number): DirectoryListing;
  /**
   * Removes whatever is at an absolute path, however deep; nothing there is no error. Ends with ECANCELED once `stop`, which
   * lies in shared memory, has something but 0.
   */
  archiveRemoveTree(path: ByteString, stop?: Int32Array): void;
  /** The same on the thread pool, as far as `most` names go: false where there is more. */
  archiveRemoveSmall(path: string, most: number): Promise<boolean>;
  /** syncfs(2) of the file system that holds a directory. */
  archiveSync(path: ByteString): void;
}

export function archiveAddon(): ArchiveAddon {
  return addon() as unknown as ArchiveAddon;
}

/**
 * Removes a tree of few files, whatever lies there; nothing there is no error. Throws EXDEV or EBUSY where something is
 * mounted in it, which is left as it is: Node's own removal would empty that first.
 */
export function removeTreeSync(path: string): void {
  archiveAddon().archiveRemoveTree(byteString(path));
}
