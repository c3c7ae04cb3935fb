/**
 * An index as a file system to look at without mounting it: paths, directories, attributes, and where in the layers'
 * tars the contents lie.
 *
 *     const reader = new IndexReader(readFileSync(path), 'image of …');
 *     const file = reader.lookup(byteString('var/lib/dpkg/status'));
 *     if (file?.type === 'file') for (const { device, offset, length } of reader.extents(file)) …
 *
 * Whatever the index says is checked first; damage is an InternalError that names it.
 */
import { type ByteString, byteString, EMPTY } from '../tar/byte-string.ts';
import { DirectoryCursor } from './directory-cursor.ts';
import {
  BLOCK_BYTES,
  deviceMajor,
  deviceMinor,
  IMPLIED_MARK,
  IMPLIED_OFFSET,
  INODE,
  NAME_MAX,
  NID_BYTES,
  S_IFBLK,
  S_IFCHR,
  S_IFDIR,
  S_IFIFO,
  S_IFLNK,
  S_IFMT,
} from './format.ts';
import { IndexImage } from './index-image.ts';
import type { Xattr } from './xattr-body.ts';

export type IndexFileType = 'file' | 'directory' | 'symlink' | 'character' | 'block' | 'fifo';

const TYPES: Readonly<Record<number, IndexFileType>> = {
  [S_IFDIR]: 'directory',
  [S_IFLNK]: 'symlink',
  [S_IFCHR]: 'character',
  [S_IFBLK]: 'block',
  [S_IFIFO]: 'fifo',
};

/** Links that one path may lead through, as in the kernel. */
const LINKS_MAX = 40;
const OPAQUE = 'trusted.overlay.opaque';

export interface IndexInode {
  /** Names the inode within the index: names with the same are hard links of each other. */
  nid: number;
  type: IndexFileType;
  /** Permission bits with set-ID and sticky. */
  mode: number;
  uid: number;
  gid: number;
  /** Bytes of a file or of a link's target; for directories what the index takes for them. */
  sizeBytes: number;
  mtimeSec: number;
  /** 0 to 999,999,999, added to `mtimeSec` also where that is negative. */
  mtimeNsec: number;
  links: number;
  /** Of devices; 0 for all else. */
  deviceMajor: number;
  deviceMinor: number;
}

export interface IndexEntry {
  name: ByteString;
  inode: IndexInode;
}

export interface WalkedEntry {
  /** Below the root, without a leading slash; the root itself is ''. */
  path: ByteString;
  inode: IndexInode;
}

/** A piece of a file's content: `length` bytes from `offset` of an extra device, which is counted from 0. */
export interface Extent {
  device: number;
  offset: number;
  length: number;
}

export class IndexReader {
  readonly #image: IndexImage;
  readonly root: IndexInode;
  /** How long the extra devices at least are: of one layer the tar, and the spill file where there is one. */
  readonly deviceBytes: readonly number[];

  /** `name`: what errors call the index. */
  constructor(bytes: Uint8Array, name = 'layer index') {
    this.#image = new IndexImage(bytes, name);
    this.root = this.inode(this.#image.rootNid);
    this.deviceBytes = this.#image.deviceBlocks.map((blocks) => blocks * BLOCK_BYTES);
  }

  inode(nid: number): IndexInode {
    const image = this.#image;
    const at = image.inodeAt(nid);
    const mode = image.mode(at);
    const type = TYPES[mode & S_IFMT] ?? 'file';
    const number = (field: number) => image.view.getUint32(at + field, true);
    const device = type === 'character' || type === 'block' ? image.device(at) : 0;
    return {
      nid,
      type,
      mode: mode & 0o7777,
      uid: number(INODE.uid),
      gid: number(INODE.gid),
      sizeBytes: image.size(at),
      mtimeSec: number(INODE.mtime) + image.view.getInt32(at + INODE.mtime + 4, true) * 2 ** 32,
      mtimeNsec: number(INODE.mtimeNsec),
      links: number(INODE.links),
      deviceMajor: deviceMajor(device),
      deviceMinor: deviceMinor(device),
    };
  }

  /** Sorted by the names' bytes. In a layer's index whiteouts are among them, in a merged one never. */
  *list(directory: IndexInode): Generator<IndexEntry> {
    const image = this.#image;
    if (directory.type !== 'directory') return;
    const cursor = new DirectoryCursor(image, directory.nid * NID_BYTES, directory.nid);
    while (cursor.advance()) {
      const name = byteString(image.bytes.subarray(cursor.nameStart, cursor.nameEnd));
      yield { name, inode: this.inode(cursor.nid) };
    }
  }

  /** The entry of a directory. */
  child(directory: IndexInode, name: ByteString): IndexInode | undefined {
    const isName = name !== '' && name !== '.' && name !== '..' && name.length <= NAME_MAX;
    if (directory.type !== 'directory' || !isName) return undefined;
    const cursor = new DirectoryCursor(this.#image, directory.nid * NID_BYTES, directory.nid);
    return cursor.find(Buffer.from(name, 'latin1')) ? this.inode(cursor.nid) : undefined;
  }

  /**
   * What a path leads to, links followed inside the root as in a container; with `follow` false the last one is not.
   * Undefined where it leads to nothing, through something that is no directory, or through more than 40 links.
   */
  lookup(path: ByteString, options: { follow?: boolean } = {}): IndexInode | undefined {
    const follow = options.follow ?? true;
    const pending: string[] = path.split('/').reverse();
    let trail: IndexInode[] = [this.root];
    for (let links = 0; pending.length > 0; ) {
      const name = pending.pop() ?? '';
      const current = trail.at(-1) ?? this.root;
      if (name === '' || name === '.') {
        if (current.type !== 'directory') return undefined;
        continue;
      }
      if (current.type !== 'directory') return undefined;
      if (name === '..') {
        if (trail.length > 1) trail.pop();
        continue;
      }
      const found = this.child(current, name as ByteString);
      if (found === undefined) return undefined;
      const isLast = pending.length === 0;
      if (found.type !== 'symlink' || (isLast && !follow)) {
        trail.push(found);
        continue;
      }
      if (++links > LINKS_MAX) return undefined;
      const target = this.linkTarget(found);
      if (target.startsWith('/')) trail = [this.root];
      pending.push(...target.split('/').reverse());
    }
    return trail.at(-1);
  }

  /** Every name of the index, the root first, directories before what is in them. */
  *walk(): Generator<WalkedEntry> {
    yield { path: EMPTY, inode: this.root };
    const seen = new Set([this.root.nid]);
    const open = [{ prefix: '', entries: this.list(this.root) }];
    let left = this.#image.entriesMax;
    for (let level = open.at(-1); level !== undefined; level = open.at(-1)) {
      const next = level.entries.next();
      if (next.done === true) {
        open.pop();
        continue;
      }
      const { name, inode } = next.value;
      if (--left < 0) throw this.#image.damaged('more entries than it has room for');
      const path = `${level.prefix}${name}` as ByteString;
      yield { path, inode };
      if (inode.type !== 'directory') continue;
      if (seen.has(inode.nid)) throw this.#image.damaged(`directory ${inode.nid} has several names`);
      seen.add(inode.nid);
      open.push({ prefix: `${path}/`, entries: this.list(inode) });
    }
  }

  /** Of a symbolic link; '' for all else. */
  linkTarget(link: IndexInode): ByteString {
    if (link.type !== 'symlink') return EMPTY;
    const start = this.#image.dataAt(link.nid * NID_BYTES);
    return byteString(this.#image.bytes.subarray(start, start + link.sizeBytes));
  }

  /** Sorted by name. Values are views into the index. */
  xattrs(inode: IndexInode): Xattr[] {
    return this.#image.xattrs(inode.nid * NID_BYTES);
  }

  /** Where a file's content lies, in order; nothing for an empty file, or what is none. */
  extents(file: IndexInode): Extent[] {
    if (file.type !== 'file' || file.sizeBytes === 0) return [];
    const { device, block } = this.#image.content(file.nid * NID_BYTES);
    return [{ device, offset: block * BLOCK_BYTES, length: file.sizeBytes }];
  }

  /** In a layer's index: the name hides what the layers below have there. */
  isWhiteout(inode: IndexInode): boolean {
    return inode.type === 'character' && inode.deviceMajor === 0 && inode.deviceMinor === 0;
  }

  /** In a layer's index: the directory hides what the layers below have in it. */
  isOpaque(inode: IndexInode): boolean {
    return inode.type === 'directory' && this.xattrs(inode).some(({ name }) => name === OPAQUE);
  }

  /** In a layer's index: the tar has no entry for the directory, only for what is in it. */
  isImplied(inode: IndexInode): boolean {
    return (
      this.#image.bytes[inode.nid * NID_BYTES + IMPLIED_OFFSET] === IMPLIED_MARK && inode.type === 'directory'
    );
  }
}
