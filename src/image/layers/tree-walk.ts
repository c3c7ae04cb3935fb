/**
 * Reads a layer's directory (an upper directory, or one that was unpacked) back into a tar: sorted by bytes, whiteouts
 * in OCI's form, hard links to the first of their names, overlayfs's own attributes left out. Directories are walked
 * by descriptor, so that nothing outside the tree is read, and blocks, so it is for worker threads.
 */
import { closeSync, constants, openSync, readSync } from 'node:fs';
import { InvalidParameterError } from '../../base/errors.ts';
import { addon } from '../../native/addon.ts';
import {
  archiveAddon,
  type DirectoryListing,
  LIST_FIELDS,
  S_IFBLK,
  S_IFCHR,
  S_IFDIR,
  S_IFMT,
  S_IFREG,
  S_IFSOCK,
  TAR_TYPES,
  type XattrList,
} from './native-archive.ts';
import { type ByteString, byteString, bytesOf, EMPTY, printable } from './tar/byte-string.ts';
import { isReservedName, opaqueName, whiteoutName } from './tar/entry-path.ts';
import type { TarXattr } from './tar/tar-format.ts';
import type { TarHeader, TarWriter } from './tar/tar-writer.ts';

const READ_BYTES = 256 * 1024;
const PATH_MAX = 4096;
const OPAQUE_XATTR = 'trusted.overlay.opaque';
/** overlayfs's own attributes, and those that say something about this host and not about the file. */
const LOCAL_XATTR = /^(?:(?:trusted|user)\.overlay\.|security\.(?:selinux|ima|evm)$)/;
const RESOLVE_BENEATH = 0x08;
const RESOLVE_NO_SYMLINKS = 0x04;

/** One child of a directory, as the listing has it. */
interface Child {
  header: TarHeader;
  format: number;
  isWhiteout: boolean;
  isOpaque: boolean;
  /** Set where the file has several names. */
  inode: string | undefined;
}

/**
 * Writes everything below `root` to `tar`. `flush` is awaited after every piece, so that whoever takes the bytes can
 * slow the walk down. With `withRoot` the root itself gets an entry, `./`; `exclude` names
 * absolute paths that are left out.
 */
export async function writeTree(
  tar: TarWriter,
  root: string,
  flush: () => Promise<void>,
  options: { withRoot?: boolean; exclude?: readonly string[] } = {},
): Promise<void> {
  const walk = new TreeWalk(tar, flush, options.exclude ?? []);
  const fd = openSync(root, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW);
  try {
    await walk.root(fd, root, options.withRoot === true);
    await walk.directory(fd, EMPTY);
  } finally {
    closeSync(fd);
  }
}

class TreeWalk {
  readonly #tar: TarWriter;
  readonly #flush: () => Promise<void>;
  /** Paths below the root, without a leading slash. */
  readonly #exclude: ReadonlySet<ByteString>;
  readonly #firstNames = new Map<string, ByteString>();
  readonly #buffer = Buffer.allocUnsafe(READ_BYTES);

  constructor(tar: TarWriter, flush: () => Promise<void>, exclude: readonly string[]) {
    this.#exclude = new Set(exclude.map((path) => byteString(path.replace(/^\//, ''))));
    this.#tar = tar;
    this.#flush = flush;
  }

  /** The root's own entry where it is wanted, and its opaque mark. */
  async root(fd: number, path: string, wanted: boolean): Promise<void> {
    /* Seen from its parent, where a listing has its attributes too. */
    const parent = openSync(`/proc/self/fd/${fd}/..`, constants.O_RDONLY | constants.O_DIRECTORY);
    try {
      const listing = archiveAddon().archiveList(parent);
      const name = bytesName(path);
      const at = listing.names.indexOf(name);
      if (at < 0) return;
      const child = readChild(listing, at, './' as ByteString);
      if (wanted) this.#tar.entry(child.header);
      if (child.isOpaque) this.#opaque(EMPTY);
      await this.#flush();
    } finally {
      closeSync(parent);
    }
  }

  async directory(fd: number, path: ByteString): Promise<void> {
    const listing = archiveAddon().archiveList(fd);
    const order = listing.names.map((_, at) => at);
    const nameAt = (at: number): string => listing.names[at] ?? '';
    order.sort((a, b) => (nameAt(a) < nameAt(b) ? -1 : 1));
    for (const at of order) {
      const name = nameAt(at);
      const childPath = (path === '' ? name : `${path}/${name}`) as ByteString;
      if (childPath.length >= PATH_MAX)
        throw new InvalidParameterError(`${printable(childPath)}: file name too long`);
      if (this.#exclude.has(childPath)) continue;
      await this.#child(fd, name as ByteString, readChild(listing, at, childPath));
    }
  }

  async #child(parent: number, name: ByteString, child: Child): Promise<void> {
    const path = child.header.name;
    if (child.format === S_IFSOCK) return;
    if (child.isWhiteout) {
      this.#tar.entry({ name: whiteoutName(path), type: 'file', mode: 0o600 });
      return;
    }
    if (isReservedName(name)) {
      throw new InvalidParameterError(
        `${printable(path)} cannot be in a layer: names that begin with .wh. are reserved`,
      );
    }
    if (child.format === S_IFDIR) await this.#subdirectory(parent, name, child);
    else if (!this.#hardLink(child)) {
      if (child.format === S_IFREG) await this.#file(parent, name, child.header);
      else this.#tar.entry(child.header);
    }
    await this.#flush();
  }

  async #subdirectory(parent: number, name: ByteString, child: Child): Promise<void> {
    const path = child.header.name;
    this.#tar.entry({ ...child.header, name: `${path}/` as ByteString });
    if (child.isOpaque) this.#opaque(path);
    const fd = openChild(parent, name, constants.O_DIRECTORY);
    try {
      await this.directory(fd, path);
    } finally {
      closeSync(fd);
    }
  }

  #opaque(path: ByteString): void {
    this.#tar.entry({ name: opaqueName(path), type: 'file', mode: 0o600 });
  }

  /** Whether the file was written under another name; then a link to that was written. */
  #hardLink(child: Child): boolean {
    if (child.inode === undefined) return false;
    const first = this.#firstNames.get(child.inode);
    if (first === undefined) {
      this.#firstNames.set(child.inode, child.header.name);
      return false;
    }
    this.#tar.entry({ ...child.header, type: 'hardlink', size: 0, linkName: first, xattrs: [] });
    return true;
  }

  async #file(parent: number, name: ByteString, header: TarHeader): Promise<void> {
    const fd = openChild(parent, name, constants.O_NONBLOCK);
    try {
      await writeContent(this.#tar, header, fd, this.#buffer, this.#flush);
    } finally {
      closeSync(fd);
    }
  }
}

/** Writes a file's entry and the `size` bytes that it had when it was listed; throws where it has fewer by now. */
export async function writeContent(
  tar: TarWriter,
  header: TarHeader,
  fd: number,
  buffer: Buffer,
  flush: () => Promise<void>,
): Promise<void> {
  tar.entry(header);
  let left = header.size ?? 0;
  let position = 0;
  while (left > 0) {
    const length = readSync(fd, buffer, 0, Math.min(buffer.length, left), position);
    if (length === 0)
      throw new InvalidParameterError(`${printable(header.name)} became shorter while it was read`);
    tar.data(buffer.subarray(0, length));
    left -= length;
    position += length;
    if (left > 0) await flush();
  }
}

function openChild(parent: number, name: ByteString, flags: number): number {
  const all = constants.O_RDONLY | constants.O_NOFOLLOW | flags;
  return addon().openat2(parent, bytesOf(name), all, 0, RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS);
}

/** The last component of an absolute path, as the kernel has it. */
function bytesName(path: string): ByteString {
  return Buffer.from(path.replace(/\/+$/, '').replace(/^.*\//s, '')).toString('latin1') as ByteString;
}

function readChild(listing: DirectoryListing, at: number, path: ByteString): Child {
  const field = (index: number): number => listing.fields[at * LIST_FIELDS.count + index] ?? 0;
  const mode = field(LIST_FIELDS.mode);
  const format = mode & S_IFMT;
  const isDevice = format === S_IFCHR || format === S_IFBLK;
  const xattrs = readXattrs(listing.xattrs[at]);
  const header: TarHeader = {
    name: path,
    type: TAR_TYPES.get(format) ?? 'file',
    mode: mode & 0o7777,
    uid: field(LIST_FIELDS.uid),
    gid: field(LIST_FIELDS.gid),
    size: format === S_IFREG ? field(LIST_FIELDS.size) : 0,
    mtimeSec: field(LIST_FIELDS.seconds),
    mtimeNsec: field(LIST_FIELDS.nanoseconds),
    linkName: listing.links[at] ?? EMPTY,
    deviceMajor: isDevice ? field(LIST_FIELDS.major) : 0,
    deviceMinor: isDevice ? field(LIST_FIELDS.minor) : 0,
    xattrs: xattrs.filter(({ name }) => !LOCAL_XATTR.test(name)),
  };
  const shared = format !== S_IFDIR && field(LIST_FIELDS.links) > 1;
  return {
    header,
    format,
    isWhiteout: format === S_IFCHR && header.deviceMajor === 0 && header.deviceMinor === 0,
    isOpaque: format === S_IFDIR && xattrs.some(isOpaqueMark),
    inode: shared ? `${field(LIST_FIELDS.inodeHigh)}:${field(LIST_FIELDS.inodeLow)}` : undefined,
  };
}

function isOpaqueMark({ name, value }: TarXattr): boolean {
  return name === OPAQUE_XATTR && value.length === 1 && value[0] === 0x79;
}

function readXattrs(list: XattrList | undefined): TarXattr[] {
  const xattrs: TarXattr[] = [];
  for (let i = 0; list !== undefined && i + 1 < list.length; i += 2) {
    const name = list[i];
    const value = list[i + 1];
    if (typeof name === 'string' && typeof value === 'object') xattrs.push({ name, value });
  }
  return xattrs.sort((a, b) => (a.name < b.name ? -1 : 1));
}
