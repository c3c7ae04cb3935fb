/**
 * A tree in a container as a tar, for export and for `cp` out of it: sorted, hard links to the first of their names,
 * sockets left out. The tree may change meanwhile: what vanishes is left out, and a file keeps the size that it had
 * when it was opened. Directories are walked by descriptor and links never followed. It works on the daemon's main
 * thread, in slices that leave room for everything else.
 */
import { closeSync, constants, fstatSync, openSync, read, readSync } from 'node:fs';
import { setImmediate } from 'node:timers/promises';
import { promisify } from 'node:util';
import type { InsideOwners } from '../../image/layers/inside-owners.ts';
import {
  archiveAddon,
  type DirectoryListing,
  LIST_FIELDS,
  S_IFBLK,
  S_IFCHR,
  S_IFDIR,
  S_IFMT,
  S_IFREG,
  TAR_TYPES,
  type XattrList,
} from '../../image/layers/native-archive.ts';
import { type ByteString, byteString, bytesOf } from '../../image/layers/tar/byte-string.ts';
import type { TarXattr } from '../../image/layers/tar/tar-format.ts';
import type { SparseSegment } from '../../image/layers/tar/tar-sparse.ts';
import type { TarHeader } from '../../image/layers/tar/tar-writer.ts';
import { TarChunks } from '../../image/layers/work/layer-output.ts';
import { addon } from '../../native/addon.ts';
import { byDescriptor, ifThere, kernelFilesystem, O_DIRECTORY, O_PATH, openChild } from './inside.ts';

const SLICE_MS = 5;
const READ_BYTES = 256 * 1024;
/** Smaller files are read at once: a trip to the thread pool costs more. */
const SYNC_READ_BYTES = 64 * 1024;
/** Of one file; what lies behind is written with its holes. */
const SEGMENTS_PACKED_MAX = 64 * 1024;
/** overlayfs's own attributes, and those that say something about this host and not about the file. */
const LOCAL_XATTR = /^(?:(?:trusted|user)\.overlay\.|security\.(?:selinux|ima|evm)$)/;

const readAsync = promisify(read);

export interface PackSource {
  /** The folder that holds it. */
  parentFd: number;
  /** Its name there; `.` for the folder itself. */
  base: string;
  /** The name that it has in the archive; empty leaves its own entry out. */
  name: string;
  /** Who owns it in the archive, of those who own it here. Default: the same. */
  owners?: InsideOwners | undefined;
  /** Keep holes of files, in GNU's format (PAX 1.0), which not every program reads. Default false. */
  sparse?: boolean;
}

/** Writes one file or tree. `write` resolves when it wants more; a signal that fires ends it with its reason. */
export async function packTree(
  source: PackSource,
  write: (chunk: Buffer) => Promise<void>,
  signal: AbortSignal,
): Promise<void> {
  const ended = Promise.withResolvers<never>();
  ended.promise.catch(() => undefined);
  const end = (): void => ended.reject(signal.reason);
  signal.addEventListener('abort', end, { once: true });
  const chunks = new TarChunks(async (chunk) => {
    signal.throwIfAborted();
    // A client that takes nothing more must not keep the tree.
    await Promise.race([write(chunk), ended.promise]);
  });
  const packer = new Packer(chunks, signal, source);
  try {
    await packer.top(source);
    await chunks.finish();
  } finally {
    signal.removeEventListener('abort', end);
  }
}

interface Child {
  header: TarHeader;
  format: number;
  /** Set where the file has several names. */
  inode: string | undefined;
}

class Packer {
  readonly #chunks: TarChunks;
  readonly #signal: AbortSignal;
  readonly #sparse: boolean;
  readonly #owners: InsideOwners | undefined;
  readonly #firstNames = new Map<string, ByteString>();
  readonly #buffer = Buffer.allocUnsafe(READ_BYTES);
  #sliceStart = performance.now();

  constructor(chunks: TarChunks, signal: AbortSignal, { sparse, owners }: PackSource) {
    this.#chunks = chunks;
    this.#signal = signal;
    this.#sparse = sparse === true;
    this.#owners = owners;
  }

  async top({ parentFd, base, name }: PackSource): Promise<void> {
    const bytes = Buffer.from(base);
    if (base === '.') {
      const entry = name === '' ? undefined : (byteString(name).replace(/\/?$/, '/') as ByteString);
      if (entry !== undefined) this.#entry(headerOf(parentFd, entry));
      await this.#directory(parentFd, entry ?? ('' as ByteString));
      return;
    }
    const listing = archiveAddon().archiveList(parentFd);
    const at = listing.names.indexOf(byteString(bytes));
    if (at < 0) return;
    await this.#child(parentFd, byteString(bytes), readChild(listing, at, byteString(name), ''));
  }

  /** `prefix` is the archive's name of the directory, with a slash at its end. */
  async #directory(fd: number, prefix: ByteString): Promise<void> {
    const device = String(fstatSync(fd).dev);
    const readable = openSync(`${byDescriptor(fd)}/.`, constants.O_RDONLY | constants.O_DIRECTORY);
    try {
      const listing = archiveAddon().archiveList(readable);
      const order = listing.names.map((name, at) => ({ name, at }));
      order.sort((a, b) => (a.name < b.name ? -1 : 1));
      for (const { name, at } of order) {
        const child = readChild(listing, at, `${prefix}${name}` as ByteString, device);
        await this.#child(readable, name, child);
      }
    } finally {
      closeSync(readable);
    }
  }

  async #child(parentFd: number, name: ByteString, child: Child): Promise<void> {
    if (child.format === S_IFDIR) await this.#subdirectory(parentFd, name, child);
    else if (!TAR_TYPES.has(child.format) || this.#hardLink(child)) return;
    else if (child.format === S_IFREG) await this.#file(parentFd, name, child);
    else this.#entry(child.header);
    await this.#breathe();
  }

  async #subdirectory(parentFd: number, name: ByteString, child: Child): Promise<void> {
    const fd = ifThere(() => openChild(parentFd, bytesOf(name), O_PATH | O_DIRECTORY));
    if (fd === undefined) return;
    try {
      const path = `${child.header.name}/` as ByteString;
      this.#entry({ ...child.header, name: path });
      const mounted = fstatSync(fd).dev !== fstatSync(parentFd).dev;
      if (mounted && kernelFilesystem(fd) !== undefined) return;
      await this.#directory(fd, path);
    } finally {
      closeSync(fd);
    }
  }

  #entry(header: TarHeader): void {
    this.#chunks.tar.entry(this.#owners === undefined ? header : this.#owners.inside(header));
  }

  /** Whether the file was written under another name; then a link to that was written. */
  #hardLink({ header, inode }: Child): boolean {
    if (inode === undefined) return false;
    const first = this.#firstNames.get(inode);
    if (first === undefined) {
      this.#firstNames.set(inode, header.name);
      return false;
    }
    this.#entry({ ...header, type: 'hardlink', size: 0, linkName: first, xattrs: [] });
    return true;
  }

  async #file(parentFd: number, name: ByteString, { header, inode }: Child): Promise<void> {
    const fd = openRegular(parentFd, bytesOf(name));
    if (fd === undefined) {
      if (inode !== undefined) this.#firstNames.delete(inode);
      return;
    }
    try {
      const { size, blocks } = fstatSync(fd);
      const sparse = this.#sparse && blocks * 512 < size ? holesOf(fd, size) : undefined;
      this.#entry({ ...header, size, sparse });
      for (const { offset, length } of sparse ?? [{ offset: 0, length: size }]) {
        const end = offset + length;
        for (let position = offset; position < end; ) position += await this.#piece(fd, position, end);
      }
    } finally {
      closeSync(fd);
    }
  }

  /** Copies one piece and returns its length; zeros stand for what was cut off meanwhile. */
  async #piece(fd: number, position: number, size: number): Promise<number> {
    const wanted = Math.min(READ_BYTES, size - position);
    const length =
      size <= SYNC_READ_BYTES
        ? readSync(fd, this.#buffer, 0, wanted, position)
        : (await readAsync(fd, this.#buffer, 0, wanted, position)).bytesRead;
    if (length === 0) this.#buffer.fill(0, 0, wanted);
    const done = length === 0 ? wanted : length;
    this.#chunks.tar.data(this.#buffer.subarray(0, done));
    await this.#breathe();
    return done;
  }

  /** Hands full chunks on, and lets other work have its turn. */
  async #breathe(): Promise<void> {
    this.#signal.throwIfAborted();
    await this.#chunks.flush();
    if (performance.now() - this.#sliceStart < SLICE_MS) return;
    await setImmediate();
    this.#sliceStart = performance.now();
  }
}

/** The stretches of data of a file with holes; undefined where it has none. */
function holesOf(fd: number, size: number): SparseSegment[] | undefined {
  const ends = addon().dataSegments(fd, SEGMENTS_PACKED_MAX);
  const segments: SparseSegment[] = [];
  for (let at = 0; at + 1 < ends.length; at += 2) {
    const [offset = 0, end = 0] = [ends[at], ends[at + 1]];
    if (offset < size) segments.push({ offset, length: Math.min(end, size) - offset });
  }
  const [first] = segments;
  return first?.length === size ? undefined : segments;
}

/** Opens a regular file for reading; undefined for what is gone, or something else by now. */
function openRegular(parentFd: number, name: Uint8Array): number | undefined {
  const fd = ifThere(() => openChild(parentFd, name, O_PATH));
  if (fd === undefined) return undefined;
  try {
    return fstatSync(fd).isFile() ? openSync(byDescriptor(fd), constants.O_RDONLY) : undefined;
  } finally {
    closeSync(fd);
  }
}

function headerOf(fd: number, name: ByteString): TarHeader {
  const stat = fstatSync(fd, { bigint: true });
  const nanoseconds = ((stat.mtimeNs % 1_000_000_000n) + 1_000_000_000n) % 1_000_000_000n;
  return {
    name,
    type: 'directory',
    mode: Number(stat.mode) & 0o7777,
    uid: Number(stat.uid),
    gid: Number(stat.gid),
    mtimeSec: Number((stat.mtimeNs - nanoseconds) / 1_000_000_000n),
    mtimeNsec: Number(nanoseconds),
    // The path must not end in the magic link: it would be the link's own.
    xattrs: addon()
      .listXattrs(`${byDescriptor(fd)}/.`)
      .filter(({ name: attribute }) => !LOCAL_XATTR.test(attribute))
      .map(({ name: attribute, value }) => ({ name: byteString(attribute), value }))
      .sort((a, b) => (a.name < b.name ? -1 : 1)),
  };
}

function readChild(listing: DirectoryListing, at: number, name: ByteString, device: string): Child {
  const field = (index: number): number => listing.fields[at * LIST_FIELDS.count + index] ?? 0;
  const mode = field(LIST_FIELDS.mode);
  const format = mode & S_IFMT;
  const isDevice = format === S_IFCHR || format === S_IFBLK;
  const shared = format !== S_IFDIR && field(LIST_FIELDS.links) > 1;
  return {
    format,
    inode: shared ? `${device}:${field(LIST_FIELDS.inodeHigh)}:${field(LIST_FIELDS.inodeLow)}` : undefined,
    header: {
      name,
      type: TAR_TYPES.get(format) ?? 'file',
      mode: mode & 0o7777,
      uid: field(LIST_FIELDS.uid),
      gid: field(LIST_FIELDS.gid),
      mtimeSec: field(LIST_FIELDS.seconds),
      mtimeNsec: field(LIST_FIELDS.nanoseconds),
      linkName: listing.links[at] ?? ('' as ByteString),
      deviceMajor: isDevice ? field(LIST_FIELDS.major) : 0,
      deviceMinor: isDevice ? field(LIST_FIELDS.minor) : 0,
      xattrs: readXattrs(listing.xattrs[at]),
    },
  };
}

function readXattrs(list: XattrList | undefined): TarXattr[] {
  const xattrs: TarXattr[] = [];
  for (let i = 0; list !== undefined && i + 1 < list.length; i += 2) {
    const [name, value] = [list[i], list[i + 1]];
    if (typeof name !== 'string' || typeof value !== 'object' || LOCAL_XATTR.test(name)) continue;
    xattrs.push({ name: name as ByteString, value });
  }
  return xattrs.sort((a, b) => (a.name < b.name ? -1 : 1));
}
