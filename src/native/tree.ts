/**
 * The addon's functions for trees that others may change while they are read (native/addon/tree.h): names are opened
 * below an open root, links are never followed, and a file is read only while it is what was listed. Paths are byte
 * strings relative to the root, '' is the root itself. Listing is done on the thread pool, all else is synchronous; errors
 * carry `code` and `path`.
 */
import { addon } from './addon.ts';

/** Places in a listing's `fields`, `count` for each entry. Twin of enum tree_field in native/addon/tree.h. */
export const TREE_FIELDS = {
  /** Type and permission bits, as in st_mode. */
  mode: 0,
  uid: 1,
  gid: 2,
  links: 3,
  major: 4,
  minor: 5,
  /** The first of those that tell whether a file is still the one that was listed. */
  size: 6,
  seconds: 7,
  nanoseconds: 8,
  changeSeconds: 9,
  changeNanoseconds: 10,
  device: 11,
  inodeHigh: 12,
  inodeLow: 13,
  count: 14,
} as const;

/** Where a file's state begins among its fields; it reaches to their end. */
export const STATE_FROM = TREE_FIELDS.size;

/** How many numbers that is. */
export const STATE_COUNT = TREE_FIELDS.count - STATE_FROM;

/** Attributes as [name, value, name, value, …]; names are byte strings. */
export type TreeXattrs = (string | Uint8Array)[];

export interface TreeListing {
  /** Byte strings, each but the last with a slash behind it; '' of an empty directory. */
  names: string;
  fields: Float64Array;
  /** Targets of the links among them, in their order, with a NUL between. */
  links: string;
  /** By entry, with holes. */
  xattrs: (TreeXattrs | undefined)[];
}

export interface TreeAddon {
  /** Unsorted. The root may be closed meanwhile. */
  treeList(rootFd: number, path: string | Uint8Array, withXattrs: boolean): Promise<TreeListing>;
  /** Null where nothing is; a link at the end is what is looked at. `xattrs` of all but links. */
  treeLook(
    rootFd: number,
    path: string | Uint8Array,
  ): { fields: Float64Array; link: string; xattrs: TreeXattrs | null } | null;
  /** Reads the whole of a file that fits into `buffer`. ESTALE where it is not what `state` says, or no longer. */
  treeRead(rootFd: number, path: string | Uint8Array, state: Float64Array, buffer: Uint8Array): number;
  /**
   * Reads files of one directory into `buffer`, one behind the other, from the one of number `from` on as many as fit;
   * returns their number. `names` have a NUL behind each, `states` are one behind the other. Empty files are not looked
   * at. Errors as of `treeRead`; `path` is the name of the file, none where it is the directory's.
   */
  treeReadFiles(
    rootFd: number,
    directory: string | Uint8Array,
    names: Uint8Array,
    states: Float64Array,
    from: number,
    buffer: Uint8Array,
  ): number;
  /** A descriptor of a file at its start; the caller closes it. */
  treeOpen(rootFd: number, path: string | Uint8Array, state: Float64Array): number;
  treeUnchanged(fd: number, state: Float64Array): boolean;
}

export function treeAddon(): TreeAddon {
  return addon() as unknown as TreeAddon;
}
