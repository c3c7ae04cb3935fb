/**
 * `cp` into a container: an archive's entries made below a folder of its filesystem. As with Docker, links that stood
 * there before are followed, inside the container; links that the archive itself brings do not lead out of the folder.
 * Owners, modes and contents are set through descriptors, because a running container can exchange names at any time.
 */
import {
  chmodSync,
  chownSync,
  closeSync,
  constants,
  fchmodSync,
  fchownSync,
  ftruncateSync,
  lchownSync,
  linkSync,
  lstatSync,
  mkdirSync,
  openSync,
  symlinkSync,
  writeSync,
} from 'node:fs';
import { errnoCode, InvalidParameterError } from '../../base/errors.ts';
import type { InsideOwners } from '../../image/layers/inside-owners.ts';
import { archiveAddon, S_IFBLK, S_IFCHR, S_IFIFO } from '../../image/layers/native-archive.ts';
import { type ByteString, byteString, bytesOf, printable } from '../../image/layers/tar/byte-string.ts';
import { cleanPath } from '../../image/layers/tar/entry-path.ts';
import { type TarEntry, tarError } from '../../image/layers/tar/tar-format.ts';
import type { TarSink } from '../../image/layers/tar/tar-reader.ts';
import { addon } from '../../native/addon.ts';
import {
  byDescriptor,
  entryOf,
  O_DIRECTORY,
  O_NOFOLLOW,
  O_PATH,
  openChild,
  openInside,
  pathInside,
  refuseKernelFilesystem,
} from './inside.ts';

/** overlayfs's own attributes: never taken from an archive. */
const FOREIGN_XATTR = /^(?:trusted|user)\.overlay\./;
const ID_MAX = 0xffff_fffe;

export interface UnpackTarget {
  /** The container's root. */
  rootFd: number;
  /** The folder, absolute inside the container, without links. */
  path: string;
  /** A directory does not take the place of something else, nor the other way round. */
  noOverwriteDirNonDir: boolean;
  /** Owner of all entries; undefined: what the archive says. */
  owner: { uid: number; gid: number } | undefined;
  /** Who owns entries here, of those who own them in the archive. Default: the same. */
  owners?: InsideOwners | undefined;
}

interface Place {
  parentFd: number;
  name: Buffer;
}

/** Feed it by a TarReader; then `finish`, and `close` in any case. Throws InvalidParameter naming the entry. */
export class ContainerUnpacker implements TarSink {
  readonly #target: UnpackTarget;
  readonly #base: ByteString;
  readonly #links = new Set<string>();
  readonly #times: { path: ByteString; entry: TarEntry }[] = [];
  #rootEntry: TarEntry | undefined;
  #parent: { path: ByteString; fd: number } | undefined;
  #file: { fd: number; place: Place; entry: TarEntry } | undefined;
  #offset = 0;

  constructor(target: UnpackTarget) {
    this.#target = target;
    this.#base = byteString(target.path.replace(/\/$/, ''));
  }

  entry(entry: TarEntry, body: Buffer | undefined, offset: number): void {
    this.#offset = offset;
    const path = cleanPath(entry.name);
    if (path === undefined) throw this.#error(entry, 'it would be written outside of the folder');
    try {
      if (path === '') this.#root(entry);
      else this.#create(entry, path, body);
    } catch (error) {
      throw this.#explain(entry, error);
    }
  }

  data(chunk: Buffer, position: number): void {
    const file = this.#file;
    if (file === undefined) return;
    try {
      writeAll(file.fd, chunk, position);
    } catch (error) {
      throw this.#explain(file.entry, error);
    }
  }

  end(): void {
    if (this.#file !== undefined) this.#endFile(this.#file);
  }

  /** Sets the directories' times, which what was made in them has changed. */
  finish(): void {
    for (const { path, entry } of this.#times.reverse()) {
      const parent = this.#openParent(parentOf(path), entry);
      try {
        addon().setTimes(this.#entryPath(parent, path), entry.mtimeSec, entry.mtimeNsec);
      } catch (error) {
        // A later entry took its place.
        if (errnoCode(error) !== 'ENOENT') throw this.#explain(entry, error);
      }
    }
    if (this.#rootEntry !== undefined) this.#rootTimes(this.#rootEntry);
  }

  close(): void {
    if (this.#file !== undefined) closeSync(this.#file.fd);
    if (this.#parent !== undefined) closeSync(this.#parent.fd);
    this.#file = undefined;
    this.#parent = undefined;
  }

  /** `./`: the folder's own attributes. */
  #root(entry: TarEntry): void {
    if (entry.type !== 'directory') return;
    const fd = openInside(this.#target.rootFd, bytesOf(this.#base), constants.O_RDONLY | O_DIRECTORY);
    try {
      const { uid, gid } = this.#ownerOf(entry);
      fchownSync(fd, uid, gid);
      fchmodSync(fd, entry.mode);
      // The path must not end in the magic link, which is not followed.
      this.#xattrs(entry, { parentFd: fd, name: Buffer.from('.') });
    } finally {
      closeSync(fd);
    }
    this.#rootEntry = entry;
  }

  #rootTimes(entry: TarEntry): void {
    const fd = openInside(this.#target.rootFd, bytesOf(this.#base), O_PATH | O_DIRECTORY);
    try {
      addon().setTimes(`${byDescriptor(fd)}/.`, entry.mtimeSec, entry.mtimeNsec);
    } finally {
      closeSync(fd);
    }
  }

  #create(entry: TarEntry, path: ByteString, body: Buffer | undefined): void {
    const place: Place = {
      parentFd: this.#openParent(parentOf(path), entry),
      name: bytesOf(path.slice(path.lastIndexOf('/') + 1) as ByteString),
    };
    const kept = this.#clear(entry, path, place);
    if (entry.type === 'symlink') this.#links.add(path);
    else this.#links.delete(path);
    switch (entry.type) {
      case 'directory':
        if (!kept) mkdirSync(entryOf(place.parentFd, place.name), 0o700);
        this.#attributes(entry, place);
        this.#times.push({ path, entry });
        return;
      case 'file':
        this.#openFile(entry, place, body);
        return;
      case 'hardlink':
        this.#link(entry, place);
        return;
      case 'symlink':
        symlinkSync(bytesOf(entry.linkName), entryOf(place.parentFd, place.name));
        this.#attributes(entry, place);
        break;
      default:
        addon().mknod(
          entryOf(place.parentFd, place.name),
          { character: S_IFCHR, block: S_IFBLK, fifo: S_IFIFO }[entry.type] | 0o600,
          entry.deviceMajor,
          entry.deviceMinor,
        );
        this.#attributes(entry, place);
    }
    addon().setTimes(entryOf(place.parentFd, place.name), entry.mtimeSec, entry.mtimeNsec);
  }

  /** Takes away what stands in an entry's place; true where it is a directory that stays. */
  #clear(entry: TarEntry, path: ByteString, { parentFd, name }: Place): boolean {
    const there = lstatSync(entryOf(parentFd, name), { throwIfNoEntry: false });
    if (there === undefined) return false;
    const wantsDirectory = entry.type === 'directory';
    if (there.isDirectory() && wantsDirectory) return true;
    if (this.#target.noOverwriteDirNonDir && there.isDirectory() !== wantsDirectory) {
      const [old, wanted] = wantsDirectory ? ['non-directory', 'directory'] : ['directory', 'non-directory'];
      const shown = printable(`${this.#base}/${path}` as ByteString);
      throw new InvalidParameterError(`cannot overwrite ${old} ${shown} with ${wanted} ${shown}`);
    }
    archiveAddon().archiveRemoveTree(byteString(entryOf(parentFd, name)));
    return false;
  }

  #openFile(entry: TarEntry, place: Place, body: Buffer | undefined): void {
    const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | O_NOFOLLOW;
    const file = { fd: openSync(entryOf(place.parentFd, place.name), flags, 0o600), place, entry };
    this.#file = file;
    if (body === undefined) return;
    writeAll(file.fd, body, 0);
    this.#endFile(file);
  }

  #endFile({ fd, place, entry }: { fd: number; place: Place; entry: TarEntry }): void {
    this.#file = undefined;
    try {
      ftruncateSync(fd, entry.size);
      const { uid, gid } = this.#ownerOf(entry);
      fchownSync(fd, uid, gid);
      fchmodSync(fd, entry.mode);
      this.#xattrs(entry, place);
    } catch (error) {
      throw this.#explain(entry, error);
    } finally {
      closeSync(fd);
    }
    addon().setTimes(entryOf(place.parentFd, place.name), entry.mtimeSec, entry.mtimeNsec);
  }

  #link(entry: TarEntry, place: Place): void {
    const target = cleanPath(entry.linkName);
    if (target === undefined || target === '') {
      throw this.#error(entry, `hard link to ${printable(entry.linkName)}, outside of the folder`);
    }
    // Looking the target up may close the entry's own parent.
    const kept = openSync(byDescriptor(place.parentFd), O_PATH | O_DIRECTORY);
    try {
      const targetParent = this.#openParent(parentOf(target), entry);
      linkSync(this.#entryPath(targetParent, target), entryOf(kept, place.name));
    } finally {
      closeSync(kept);
    }
  }

  #entryPath(parentFd: number, path: ByteString): Buffer {
    return entryOf(parentFd, bytesOf(path.slice(path.lastIndexOf('/') + 1) as ByteString));
  }

  #ownerOf(entry: TarEntry): { uid: number; gid: number } {
    const owner = this.#target.owner ?? { uid: entry.uid, gid: entry.gid };
    if (owner.uid > ID_MAX || owner.gid > ID_MAX) {
      throw this.#error(entry, `owner ${owner.uid}:${owner.gid} is out of range`);
    }
    return this.#target.owners?.outside(owner, printable(entry.name)) ?? owner;
  }

  /** Owner, then mode (chown clears set-ID bits), of what is no regular file. */
  #attributes(entry: TarEntry, place: Place): void {
    const { uid, gid } = this.#ownerOf(entry);
    if (entry.type === 'symlink') lchownSync(entryOf(place.parentFd, place.name), uid, gid);
    else {
      const fd = openChild(place.parentFd, place.name, O_PATH);
      try {
        chownSync(byDescriptor(fd), uid, gid);
        chmodSync(byDescriptor(fd), entry.mode);
      } finally {
        closeSync(fd);
      }
    }
    this.#xattrs(entry, place);
  }

  #xattrs(entry: TarEntry, { parentFd, name }: Place): void {
    const xattrs = this.#target.owners?.xattrsOutside(entry.xattrs) ?? entry.xattrs;
    for (const { name: attribute, value } of xattrs) {
      if (FOREIGN_XATTR.test(attribute)) continue;
      try {
        addon().setXattr(entryOf(parentFd, name), attribute, value);
      } catch (error) {
        // The folder's filesystem has none: as Docker, the file counts for more.
        if (!['ENOTSUP', 'EOPNOTSUPP', 'EPERM'].includes(errnoCode(error) ?? '')) throw error;
      }
    }
  }

  /** An O_PATH descriptor of a folder below the target, made where it is missing; good until the next call. */
  #openParent(path: ByteString, entry: TarEntry): number {
    if (this.#parent?.path === path) return this.#parent.fd;
    const fd = this.#open(path) ?? this.#make(path);
    try {
      refuseKernelFilesystem(fd, printable(`${this.#base}/${path}` as ByteString));
      this.#refuseOwnLinks(path, fd, entry);
    } catch (error) {
      closeSync(fd);
      throw error;
    }
    if (this.#parent !== undefined) closeSync(this.#parent.fd);
    this.#parent = { path, fd };
    return fd;
  }

  #open(path: ByteString): number | undefined {
    try {
      return openInside(
        this.#target.rootFd,
        bytesOf(`${this.#base}/${path}` as ByteString),
        O_PATH | O_DIRECTORY,
      );
    } catch (error) {
      if (errnoCode(error) === 'ENOENT') return undefined;
      throw error;
    }
  }

  #make(path: ByteString): number {
    let parent = this.#open('' as ByteString);
    let reached = '';
    for (const part of path.split('/')) {
      if (parent === undefined) break;
      reached = reached === '' ? part : `${reached}/${part}`;
      let next: number | undefined = this.#open(reached as ByteString);
      try {
        if (next === undefined) {
          mkdirSync(entryOf(parent, bytesOf(part as ByteString)), 0o755);
          next = this.#open(reached as ByteString);
        }
      } finally {
        closeSync(parent);
      }
      parent = next;
    }
    if (parent === undefined) throw new InvalidParameterError(`cannot make ${printable(path)}`);
    return parent;
  }

  /** A link that this archive has brought may lead about inside the target alone. */
  #refuseOwnLinks(path: ByteString, fd: number, entry: TarEntry): void {
    if (this.#links.size === 0) return;
    const parts = path.split('/');
    const through = parts.some((_, index) => this.#links.has(parts.slice(0, index + 1).join('/')));
    if (!through) return;
    const reached = pathInside(this.#target.rootFd, fd);
    const base = this.#target.path.replace(/\/$/, '');
    if (reached === base || reached.startsWith(`${base}/`)) return;
    throw this.#error(entry, `a link of the archive leads out of the folder, to ${reached}`);
  }

  #error(entry: TarEntry, text: string): InvalidParameterError {
    return tarError(text, this.#offset, entry.name);
  }

  #explain(entry: TarEntry, error: unknown): unknown {
    const code = errnoCode(error);
    if (code === undefined || !(error instanceof Error)) return error;
    if (['EIO', 'EROFS', 'ENOSPC', 'EDQUOT', 'EMFILE', 'ENFILE', 'ENOMEM'].includes(code)) return error;
    const { syscall } = error as NodeJS.ErrnoException;
    return this.#error(entry, `${syscall ?? 'write'}: ${code}`);
  }
}

function parentOf(path: ByteString): ByteString {
  return path.slice(0, Math.max(0, path.lastIndexOf('/'))) as ByteString;
}

function writeAll(fd: number, chunk: Buffer, position: number): void {
  for (let at = 0; at < chunk.length; ) at += writeSync(fd, chunk, at, chunk.length - at, position + at);
}
