/**
 * A tree that is mounted somewhere. Every path is opened by the kernel from the root's descriptor, for one call only:
 * however deep a tree is, a handful of descriptors is open.
 */

import { closeSync, constants, fstatSync, openSync, readdirSync, readFileSync, readSync } from 'node:fs';
import { errnoCode } from '../../base/errors.ts';
import {
  byDescriptor,
  ifThere,
  O_DIRECTORY,
  O_PATH,
  openInside,
  openInsideWithoutLinks,
  readableFile,
} from '../../native/inside-root.ts';
import type { UserMapping } from '../../oci/user-mappings.ts';
import { IndexReader } from '../layers/erofs/index-reader.ts';
import { InsideOwners } from '../layers/inside-owners.ts';
import {
  archiveAddon,
  type DirectoryListing,
  LIST_FIELDS,
  S_IFDIR,
  S_IFMT,
  S_IFREG,
  type XattrList,
} from '../layers/native-archive.ts';
import type { ContentIndex } from '../layers/snapshotter.ts';
import { type ByteString, bytesOf, EMPTY } from '../layers/tar/byte-string.ts';
import type { TarXattr } from '../layers/tar/tar-format.ts';
import { childPath, type ImageTree, type TreeEntry, type TreeFile } from './tree.ts';

/** overlayfs's own attributes, and those that say something about this host and not about the file. */
const LOCAL_XATTR = /^(?:(?:trusted|user)\.overlay\.|security\.(?:selinux|ima|evm)$)/;
/** overlayfs may put the number of the file system below into the topmost bits of an inode's number. */
const INODE_HIGH_BITS = 2 ** 24;

export interface MountedTreeOptions {
  /** Where the tree is mounted. */
  root: string;
  /** The upper directory of a container: what stands in it is the container's own. */
  upper?: string;
  /** Absolute paths that count as not there. */
  hidden?: readonly string[];
  /**
   * What an inode's number says of a file's content: where both trees are `inode`, files with one number are the same;
   * with an index, those that lie at one place of one layer.
   */
  identity: 'none' | 'inode' | ContentIndex;
  /** Of a mapped root: entries are compared as those inside see them. */
  mapping?: UserMapping;
}

export class MountedTree implements ImageTree {
  readonly #root: number;
  readonly #upper: number | undefined;
  readonly #hidden: ReadonlySet<string>;
  readonly #identify: Identify;
  readonly #owners: InsideOwners | undefined;

  constructor(options: MountedTreeOptions) {
    this.#root = openSync(options.root, O_PATH | O_DIRECTORY);
    this.#upper =
      options.upper === undefined
        ? undefined
        : ifThere(() => openSync(options.upper ?? '', O_PATH | O_DIRECTORY));
    this.#hidden = new Set((options.hidden ?? []).map((path) => path.slice(1)));
    this.#identify = identification(options.identity);
    this.#owners = options.mapping === undefined ? undefined : new InsideOwners(options.mapping);
  }

  close(): void {
    closeSync(this.#root);
    if (this.#upper !== undefined) closeSync(this.#upper);
  }

  list(path: ByteString): TreeEntry[] | undefined {
    const listing = withDirectory(this.#root, path, openInsideWithoutLinks, (fd) =>
      archiveAddon().archiveList(fd),
    );
    if (listing === undefined) return undefined;
    // Looked at after the listing: a file that is copied up in between must not pass for the image's.
    const own = this.#ownNames(path);
    return listing.names.flatMap((name, at) => {
      if (this.#hidden.has(childPath(path, name))) return [];
      const entry = readEntry(listing, at, own.has(name) ? unknown : this.#identify);
      return [this.#owners?.inside(entry) ?? entry];
    });
  }

  #ownNames(path: ByteString): ReadonlySet<string> {
    if (this.#upper === undefined) return new Set();
    return new Set(withDirectory(this.#upper, path, openInsideWithoutLinks, namesIn));
  }

  open(path: ByteString): TreeFile | undefined {
    return this.#file(path, openInsideWithoutLinks);
  }

  find(path: ByteString): TreeFile | undefined {
    return this.#file(path, openInside);
  }

  #file(path: ByteString, open: typeof openInside): TreeFile | undefined {
    const fd = ifThere(() => open(this.#root, bytesOf(path), O_PATH));
    const readable = fd === undefined ? undefined : readableFile(fd);
    return readable === undefined ? undefined : new OpenFile(readable);
  }

  names(path: ByteString): ByteString[] | undefined {
    return withDirectory(this.#root, path, openInside, namesIn);
  }
}

class OpenFile implements TreeFile {
  readonly sizeBytes: number;
  readonly #fd: number;

  constructor(fd: number) {
    this.#fd = fd;
    this.sizeBytes = fstatSync(fd).size;
  }

  read(buffer: Uint8Array, position: number): number {
    let done = 0;
    while (done < buffer.length) {
      const length = readSync(this.#fd, buffer, done, buffer.length - done, position + done);
      if (length === 0) break;
      done += length;
    }
    return done;
  }

  close(): void {
    closeSync(this.#fd);
  }
}

/** The content's name, by an inode's number. */
type Identify = (high: number, low: number, sizeBytes: number) => string | undefined;

function unknown(): undefined {
  return undefined;
}

function identification(identity: MountedTreeOptions['identity']): Identify {
  if (identity === 'none') return unknown;
  if (identity === 'inode') return (high, low) => `${high}:${low}`;
  const reader = readIndex(identity.path);
  if (reader === undefined) return unknown;
  return (high, low, sizeBytes) => {
    const inode = reader.inode(high * 2 ** 32 + low);
    // A number that is not the index's would be of a file of another size, or of none.
    if (inode.sizeBytes !== sizeBytes) return undefined;
    const [extent] = reader.extents(inode);
    return extent === undefined ? undefined : `${identity.devices[extent.device]}:${extent.offset}`;
  };
}

/** Undefined where it is gone: a cache, which may be made anew at any time. */
function readIndex(path: string): IndexReader | undefined {
  const bytes = ifThere(() => readFileSync(path));
  return bytes === undefined ? undefined : new IndexReader(bytes, 'index of an image');
}

/** Undefined where the path is no directory, or another file system is mounted there. */
function withDirectory<T>(
  root: number,
  path: ByteString,
  open: typeof openInside,
  use: (fd: number) => T,
): T | undefined {
  let fd: number | undefined;
  try {
    fd = ifThere(() => open(root, bytesOf(path), constants.O_RDONLY | O_DIRECTORY));
  } catch (error) {
    if (errnoCode(error) !== 'EXDEV') throw error;
  }
  if (fd === undefined) return undefined;
  try {
    return use(fd);
  } finally {
    closeSync(fd);
  }
}

function namesIn(fd: number): ByteString[] {
  return readdirSync(byDescriptor(fd), { encoding: 'latin1' }) as ByteString[];
}

function readEntry(listing: DirectoryListing, at: number, identify: Identify): TreeEntry {
  const field = (index: number): number => listing.fields[at * LIST_FIELDS.count + index] ?? 0;
  const mode = field(LIST_FIELDS.mode);
  const format = mode & S_IFMT;
  const isFile = format === S_IFREG;
  const high = field(LIST_FIELDS.inodeHigh) % INODE_HIGH_BITS;
  const low = field(LIST_FIELDS.inodeLow);
  return {
    name: listing.names[at] ?? EMPTY,
    format,
    mode: mode & 0o7777,
    uid: field(LIST_FIELDS.uid),
    gid: field(LIST_FIELDS.gid),
    size: isFile ? field(LIST_FIELDS.size) : 0,
    mtimeSec: field(LIST_FIELDS.seconds),
    mtimeNsec: field(LIST_FIELDS.nanoseconds),
    major: field(LIST_FIELDS.major),
    minor: field(LIST_FIELDS.minor),
    link: listing.links[at] ?? EMPTY,
    xattrs: readXattrs(listing.xattrs[at]),
    inode: format !== S_IFDIR && field(LIST_FIELDS.links) > 1 ? `${high}:${low}` : undefined,
    contentIdentity: isFile ? identify(high, low, field(LIST_FIELDS.size)) : undefined,
  };
}

function readXattrs(list: XattrList | undefined): TarXattr[] {
  const xattrs: TarXattr[] = [];
  for (let i = 0; list !== undefined && i + 1 < list.length; i += 2) {
    const name = list[i];
    const value = list[i + 1];
    if (typeof name !== 'string' || typeof value !== 'object' || LOCAL_XATTR.test(name)) continue;
    xattrs.push({ name, value });
  }
  return xattrs.sort((a, b) => (a.name < b.name ? -1 : 1));
}
