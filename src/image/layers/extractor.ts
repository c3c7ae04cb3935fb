/**
 * Unpacks one layer into a directory in overlayfs's form: whiteouts become 0/0 devices, opaque directories get
 * trusted.overlay.opaque. Decides what an entry means and which attributes are taken; native/addon/archive*.c keeps
 * everything inside the root. Use it on one thread; it blocks.
 */
import { getSystemErrorMessage } from 'node:util';
import { errnoCode, InternalError, InvalidParameterError, UnavailableError } from '../../base/errors.ts';
import { type ByteString, byteString, printable } from './byte-string.ts';
import { cleanPath, pathMeaning } from './entry-path.ts';
import {
  type ArchiveAddon,
  type ArchiveHandle,
  archiveAddon,
  ENTRY_FIELDS,
  S_IFBLK,
  S_IFCHR,
  S_IFDIR,
  S_IFIFO,
  S_IFLNK,
  S_IFREG,
  type XattrList,
} from './native-archive.ts';
import { type TarEntry, type TarType, tarError } from './tar-format.ts';
import type { TarSink } from './tar-reader.ts';

const TYPE_BITS: Readonly<Record<TarType, number>> = {
  file: S_IFREG,
  hardlink: S_IFREG,
  symlink: S_IFLNK,
  character: S_IFCHR,
  block: S_IFBLK,
  directory: S_IFDIR,
  fifo: S_IFIFO,
};

/** The largest ID; the next one means "no change" to chown(2). */
const ID_MAX = 0xffff_fffe;
/** overlayfs's own attributes: set by the driver alone, never taken from an archive. */
const FOREIGN_XATTR = /^(?:trusted|user)\.overlay\./;
const DISK_FULL = new Set(['ENOSPC', 'EDQUOT']);
const MACHINE_ERRORS = new Set(['EIO', 'EROFS', 'EMFILE', 'ENFILE', 'ENOMEM', 'EACCES', 'ENOSYS', 'EBADF']);

export class Extractor implements TarSink {
  readonly #native: ArchiveAddon;
  readonly #archive: ArchiveHandle;
  readonly #findHoles: boolean;
  readonly #fields = new Float64Array(ENTRY_FIELDS.count);
  #entry: TarEntry | undefined;
  #offset = 0;
  #xattrs: XattrList | null = null;
  #writing = false;
  /** Sum of the sizes of the regular files. */
  sizeBytes = 0;
  /** Whether the archive has an entry for the root itself, and whether it hides all that lies below this layer. */
  hasRootEntry = false;
  hasOpaqueRoot = false;

  /** `root` is an existing directory. `findHoles`: aligned blocks of zeros in files become holes. */
  constructor(root: string, options: { findHoles: boolean }) {
    this.#native = archiveAddon();
    this.#archive = this.#native.archiveOpen(byteString(root));
    this.#findHoles = options.findHoles;
  }

  entry(entry: TarEntry, body: Buffer | undefined, offset: number): void {
    this.#entry = entry;
    this.#offset = offset;
    this.#writing = false;
    const meaning = pathMeaning(entry.name);
    if ('refused' in meaning) throw this.#error(meaning.refused);
    if (meaning.kind === 'ignored') return;
    try {
      if (meaning.kind === 'opaque') this.#markOpaque(meaning.path);
      else if (meaning.kind === 'whiteout' || isWhiteoutDevice(entry)) {
        this.#native.archiveWhiteout(this.#archive, meaning.path);
      } else this.#create(entry, meaning.path, body);
    } catch (error) {
      throw this.#explain(error);
    }
  }

  #markOpaque(path: ByteString): void {
    this.#native.archiveOpaque(this.#archive, path);
    if (path === '') this.hasOpaqueRoot = true;
  }

  #create(entry: TarEntry, path: ByteString, body: Buffer | undefined): void {
    this.#setFields(entry);
    this.#xattrs = this.#acceptedXattrs(entry);
    if (entry.type === 'file') {
      this.#native.archiveFile(this.#archive, this.#fields, path, this.#xattrs, body ?? null);
      this.#writing = body === undefined;
      this.sizeBytes += entry.size;
      return;
    }
    if (path === '' && entry.type === 'directory') this.hasRootEntry = true;
    const link = this.#link(entry);
    this.#native.archiveNode(this.#archive, this.#fields, path, link, this.#xattrs);
  }

  #setFields(entry: TarEntry): void {
    if (entry.uid > ID_MAX || entry.gid > ID_MAX)
      throw this.#error(`owner ${entry.uid}:${entry.gid} is out of range`);
    if (entry.deviceMajor > ID_MAX || entry.deviceMinor > ID_MAX) {
      throw this.#error(`device ${entry.deviceMajor}:${entry.deviceMinor} is out of range`);
    }
    const fields = this.#fields;
    fields[ENTRY_FIELDS.type] = TYPE_BITS[entry.type];
    fields[ENTRY_FIELDS.mode] = entry.mode;
    fields[ENTRY_FIELDS.uid] = entry.uid;
    fields[ENTRY_FIELDS.gid] = entry.gid;
    fields[ENTRY_FIELDS.seconds] = entry.mtimeSec;
    fields[ENTRY_FIELDS.nanoseconds] = entry.mtimeNsec;
    fields[ENTRY_FIELDS.major] = entry.deviceMajor;
    fields[ENTRY_FIELDS.minor] = entry.deviceMinor;
    fields[ENTRY_FIELDS.size] = entry.size;
    fields[ENTRY_FIELDS.findHoles] = this.#findHoles ? 1 : 0;
  }

  /** The target: a symbolic link's as it is, a hard link's below the root. */
  #link(entry: TarEntry): ByteString | null {
    if (entry.type !== 'symlink' && entry.type !== 'hardlink') return null;
    if (entry.linkName === '') throw this.#error('a link without a target');
    if (entry.type === 'symlink') return entry.linkName;
    const target = cleanPath(entry.linkName);
    if (target === undefined || target === '') {
      throw this.#error(`hard link to ${printable(entry.linkName)}, outside of the layer's root`);
    }
    return target;
  }

  #acceptedXattrs(entry: TarEntry): XattrList | null {
    if (entry.xattrs.length === 0) return null;
    const list: XattrList = [];
    for (const { name, value } of entry.xattrs) {
      if (name.length > 255 || name.includes('\0'))
        throw this.#error('invalid name of an extended attribute');
      if (!FOREIGN_XATTR.test(name)) list.push(name, value);
    }
    return list;
  }

  data(chunk: Buffer, position: number): void {
    if (!this.#writing) return;
    try {
      this.#native.archiveWrite(this.#archive, chunk, position, this.#findHoles);
    } catch (error) {
      throw this.#explain(error);
    }
  }

  end(): void {
    if (!this.#writing) return;
    this.#writing = false;
    try {
      this.#native.archiveEnd(this.#archive, this.#fields, this.#xattrs);
    } catch (error) {
      throw this.#explain(error);
    }
  }

  /** Sets the directories' times and closes. */
  finish(): void {
    this.#native.archiveClose(this.#archive, true);
  }

  /** Closes what is open; the directory is the caller's to remove. */
  abort(): void {
    this.#native.archiveClose(this.#archive, false);
  }

  #error(text: string): InvalidParameterError {
    return tarError(text, this.#offset, this.#entry?.name);
  }

  /** A failed call in terms of the entry: the archive's fault, or the machine's. */
  #explain(error: unknown): unknown {
    const code = errnoCode(error);
    const entry = this.#entry;
    if (code === undefined || entry === undefined || !(error instanceof Error)) return error;
    const { errno, syscall } = error as NodeJS.ErrnoException;
    if (syscall === 'link' && code === 'ENOENT') {
      return this.#error(`hard link to ${printable(entry.linkName)}, which is not in this layer`);
    }
    const reason = errno === undefined ? error.message : getSystemErrorMessage(-Math.abs(errno));
    const text = this.#error(`${syscall ?? 'write'}: ${reason}`).message;
    if (DISK_FULL.has(code)) return Object.assign(new UnavailableError(text), { code });
    const machine = MACHINE_ERRORS.has(code) || (code === 'EPERM' && syscall !== 'link');
    return machine ? new InternalError(text) : new InvalidParameterError(text);
  }
}

/** overlayfs's whiteout, as archives of its upper directories have it. */
function isWhiteoutDevice(entry: TarEntry): boolean {
  return entry.type === 'character' && entry.deviceMajor === 0 && entry.deviceMinor === 0;
}
