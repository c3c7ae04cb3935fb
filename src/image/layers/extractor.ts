/**
 * Unpacks one layer into a directory in overlayfs's form: whiteouts become 0/0 devices, opaque directories get
 * trusted.overlay.opaque. Decides what an entry means and which attributes are taken; native/addon/archive*.c keeps
 * everything inside the root. Use it on one thread; it blocks.
 */
import { getSystemErrorMessage } from 'node:util';
import { errnoCode, InternalError, InvalidParameterError, UnavailableError } from '../../base/errors.ts';
import { acceptedXattrs, checkNumbers, isWhiteoutDevice, linkTarget, missingTarget } from './entry-rules.ts';
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
import { type ByteString, byteString } from './tar/byte-string.ts';
import { pathMeaning } from './tar/entry-path.ts';
import { type TarEntry, type TarType, tarError } from './tar/tar-format.ts';
import type { TarSink } from './tar/tar-reader.ts';

const TYPE_BITS: Readonly<Record<TarType, number>> = {
  file: S_IFREG,
  hardlink: S_IFREG,
  symlink: S_IFLNK,
  character: S_IFCHR,
  block: S_IFBLK,
  directory: S_IFDIR,
  fifo: S_IFIFO,
};

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
    if ('refused' in meaning) throw this.#refuse(meaning.refused);
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
    const link = linkTarget(entry, this.#refuse);
    this.#native.archiveNode(this.#archive, this.#fields, path, link, this.#xattrs);
  }

  #setFields(entry: TarEntry): void {
    checkNumbers(entry, this.#refuse);
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

  #acceptedXattrs(entry: TarEntry): XattrList | null {
    const accepted = acceptedXattrs(entry, this.#refuse);
    return accepted.length === 0 ? null : accepted.flatMap(({ name, value }) => [name, value]);
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

  readonly #refuse = (text: string): InvalidParameterError => tarError(text, this.#offset, this.#entry?.name);

  /** A failed call in terms of the entry: the archive's fault, or the machine's. */
  #explain(error: unknown): unknown {
    const code = errnoCode(error);
    const entry = this.#entry;
    if (code === undefined || entry === undefined || !(error instanceof Error)) return error;
    const { errno, syscall } = error as NodeJS.ErrnoException;
    if (syscall === 'link' && code === 'ENOENT') {
      return this.#refuse(missingTarget(entry));
    }
    const reason = errno === undefined ? error.message : getSystemErrorMessage(-Math.abs(errno));
    const text = this.#refuse(`${syscall ?? 'write'}: ${reason}`).message;
    if (DISK_FULL.has(code)) return Object.assign(new UnavailableError(text), { code });
    const machine = MACHINE_ERRORS.has(code) || (code === 'EPERM' && syscall !== 'link');
    return machine ? new InternalError(text) : new InvalidParameterError(text);
  }
}
