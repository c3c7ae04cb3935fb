/**
 * The index of one layer, made in one pass over its tar: an EROFS image whose files point into the tar. Entries mean
 * what they mean to the unpacking driver (../extractor.ts, native/addon/archive_entries.c), and are refused in the same
 * words. Whiteouts stay in it as 0/0 devices and opaque directories with overlayfs's mark, so that merge.ts finds them.
 *
 * Device 1 is the tar. The data of sparse files cannot be pointed to: it goes to a spill file, which is device 2 where
 * there is any.
 */
import { getSystemErrorMessage } from 'node:util';
import type { InvalidParameterError } from '../../../base/errors.ts';
import { acceptedXattrs, checkNumbers, isWhiteoutDevice, linkTarget, missingTarget } from '../entry-rules.ts';
import type { ByteString } from '../tar/byte-string.ts';
import { pathMeaning } from '../tar/entry-path.ts';
import { type TarEntry, type TarType, tarError } from '../tar/tar-format.ts';
import type { TarSink } from '../tar/tar-reader.ts';
import { setXattrs } from './entry-xattrs.ts';
import {
  alignUp,
  BLOCK_BYTES,
  BLOCKS_MAX,
  encodeDevice,
  LINK_MAX,
  NAME_MAX,
  S_IFBLK,
  S_IFCHR,
  S_IFDIR,
  S_IFIFO,
  S_IFLNK,
  S_IFREG,
} from './format.ts';
import { FLAG_IMPLIED, FLAG_OPAQUE, type InodeId, ROOT } from './index-tree.ts';
import { writeIndex } from './index-writer.ts';
import {
  EEXIST,
  EINVAL,
  EISDIR,
  ELOOP,
  ENAMETOOLONG,
  ENOENT,
  EPERM,
  LayerTree,
  type Place,
} from './layer-tree.ts';
import { decodeXattrs, encodeXattrs, type Xattr, xattrCount } from './xattr-body.ts';

/**
 * A layer beyond these is refused. An entry takes about 100 bytes here and as many in the index, so these are what keeps
 * a small archive of many headers from taking more than about a gigabyte of memory.
 */
const ENTRIES_MAX = 4_000_000;
/** Names, targets of links and attributes together. */
const TEXT_MAX_BYTES = 256 * 1024 * 1024;

const TAR_DEVICE = 1;
const SPILL_DEVICE = 2;
/** So that the spill file can have holes between its files. */
const SPILL_ALIGN = 4096;

const OPAQUE: Xattr = { name: 'trusted.overlay.opaque' as ByteString, value: Buffer.from('y') };

const TYPE_BITS: Readonly<Record<TarType, number>> = {
  file: S_IFREG,
  hardlink: S_IFREG,
  symlink: S_IFLNK,
  character: S_IFCHR,
  block: S_IFBLK,
  directory: S_IFDIR,
  fifo: S_IFIFO,
};

export interface TarIndex {
  index: Buffer;
  /** Sum of the sizes of the regular files. */
  sizeBytes: number;
  /** Whether the layer says something about the root directory itself, and whether it hides all that lies below it. */
  hasRootEntry: boolean;
  hasOpaqueRoot: boolean;
  /** How long the spill file must be made; 0: there is none, and the index has one device. */
  spillBytes: number;
}

export interface TarIndexerOptions {
  /** Writes data of sparse files; what is never written is a hole. `data` is valid only during the call. */
  spill: (data: Buffer, position: number) => void;
}

/** Give it to a TarReader, then call `finish`. It is of no use after an error. */
export class TarIndexer implements TarSink {
  readonly #layer = new LayerTree();
  readonly #spill: TarIndexerOptions['spill'];
  readonly #place: Place = { parent: ROOT, from: 0 };
  #entry: TarEntry | undefined;
  #offset = 0;
  /** Where the sparse file at hand begins in the spill file; undefined for contents that stay where they are. */
  #spillStart: number | undefined;
  #spillBytes = 0;
  #tarBlocks = 0;
  #sizeBytes = 0;
  #hasRootEntry = false;
  #hasOpaqueRoot = false;

  constructor(options: TarIndexerOptions) {
    this.#spill = options.spill;
  }

  entry(entry: TarEntry, body: Buffer | undefined, offset: number, contentOffset?: number): void {
    this.#entry = entry;
    this.#offset = offset;
    this.#spillStart = undefined;
    this.#tarBlocks = Math.max(this.#tarBlocks, Math.floor(offset / BLOCK_BYTES) + 1);
    const meaning = pathMeaning(entry.name);
    if ('refused' in meaning) throw this.#refuse(meaning.refused);
    if (meaning.kind === 'ignored') return;
    const { path } = meaning;
    if (meaning.kind === 'opaque') this.#markOpaque(path);
    else if (meaning.kind === 'whiteout' || isWhiteoutDevice(entry)) this.#whiteout(path);
    else this.#create(entry, path, contentOffset);
    this.#checkSize();
    if (body !== undefined && body.length > 0) this.data(body, 0);
  }

  data(chunk: Buffer, position: number): void {
    if (this.#spillStart !== undefined) this.#spill(chunk, this.#spillStart + position);
  }

  end(): void {
    this.#spillStart = undefined;
  }

  /** Writes the index; the indexer is of no use after that. */
  finish(): TarIndex {
    const { tree } = this.#layer;
    for (let inode = ROOT; inode <= tree.inodeCount; inode++) {
      if (tree.flags(inode) & FLAG_OPAQUE) this.#storeXattrs(inode, [...this.#xattrs(inode), OPAQUE]);
    }
    const devices = [this.#tarBlocks];
    if (this.#spillBytes > 0) devices.push(this.#spillBytes / BLOCK_BYTES);
    return {
      index: writeIndex(tree, devices),
      sizeBytes: this.#sizeBytes,
      hasRootEntry: this.#hasRootEntry,
      hasOpaqueRoot: this.#hasOpaqueRoot,
      spillBytes: this.#spillBytes,
    };
  }

  // --- what entries do

  #markOpaque(path: ByteString): void {
    if (path.length > LINK_MAX) throw this.#fail('open', -ENAMETOOLONG);
    const directory = this.#layer.directory(path, true);
    if (directory < 0) throw this.#fail('opaque', directory);
    this.#layer.markOpaque(directory);
    if (path === '') this.#hasOpaqueRoot = true;
  }

  #whiteout(path: ByteString): void {
    if (path.length > LINK_MAX) throw this.#fail('open', -ENAMETOOLONG);
    const result = this.#layer.whiteout(path);
    if (result < 0) throw this.#fail('whiteout', result);
  }

  #create(entry: TarEntry, path: ByteString, contentOffset?: number): void {
    const refuse = (text: string) => this.#refuse(text);
    checkNumbers(entry, refuse);
    const xattrs = acceptedXattrs(entry, refuse);
    if (entry.type === 'file') this.#sizeBytes += entry.size;
    if (path === '' && entry.type === 'directory') this.#hasRootEntry = true;
    const link = linkTarget(entry, refuse);
    if (path.length > LINK_MAX || (link?.length ?? 0) > LINK_MAX) throw this.#fail('open', -ENAMETOOLONG);
    if (path === '' && entry.type !== 'directory') throw this.#fail('open', -EISDIR);
    if (entry.type === 'hardlink') {
      const linked = this.#bind(path, () => this.#hardLink(path, link ?? ''));
      if (linked === -ENOENT) throw this.#refuse(missingTarget(entry));
      if (linked < 0) throw this.#fail('link', linked);
      return;
    }
    const inode = path === '' ? ROOT : this.#bind(path, () => this.#newInode(entry, path, link));
    if (inode < 0) throw this.#fail('create', inode);
    this.#setAttributes(inode, entry, xattrs);
    if (entry.type === 'file') this.#setContent(inode, entry, contentOffset);
  }

  /**
   * Makes the entry by `make`; what an earlier one left at its place goes, but a directory stays where one is wanted.
   * Returns the inode, or a negative errno value.
   */
  #bind(path: ByteString, make: () => number): number {
    const layer = this.#layer;
    const place = this.#place;
    const wantsDirectory = this.#entry?.type === 'directory';
    const failed = layer.findPlace(path, true, place);
    if (failed < 0) return failed;
    const made = make();
    if (made !== -EEXIST) return made;
    const present = layer.child(place.parent, path, place.from);
    const isDirectory = layer.tree.isDirectory(present);
    if (isDirectory && wantsDirectory) return present;
    layer.remove(place, path);
    /* The parent may have been found through what is gone now. */
    const lost = layer.findPlace(path, true, place);
    if (lost < 0) return lost;
    const inode = make();
    /* What was there hid the layers below; a directory in its place must hide them as well. */
    if (inode > 0 && wantsDirectory && !isDirectory) layer.markOpaque(inode);
    return inode;
  }

  #newInode(entry: TarEntry, path: ByteString, link: ByteString | null): number {
    const { tree } = this.#layer;
    const { parent, from } = this.#place;
    if (path.length - from > NAME_MAX) return -ENAMETOOLONG;
    if (this.#layer.child(parent, path, from) !== 0) return -EEXIST;
    const isDevice = entry.type === 'character' || entry.type === 'block';
    if (isDevice && (entry.deviceMajor > 0xfff || entry.deviceMinor > 0xfffff)) return -EINVAL;
    const inode = tree.addInode(TYPE_BITS[entry.type]);
    if (isDevice) tree.setUnion(inode, encodeDevice(entry.deviceMajor, entry.deviceMinor));
    if (link !== null) {
      tree.setTarget(inode, tree.texts.addString(link));
      tree.setSize(inode, link.length);
    }
    const failed = this.#layer.bind(this.#place, path, inode);
    return failed < 0 ? failed : inode;
  }

  /** A further name for what is at `target`; links onto themselves count as done. */
  #hardLink(path: ByteString, target: string): number {
    const layer = this.#layer;
    const source: Place = { parent: ROOT, from: 0 };
    const failed = layer.findPlace(target, false, source);
    if (failed < 0) return failed;
    if (target.length - source.from > NAME_MAX) return -ENAMETOOLONG;
    const inode = layer.child(source.parent, target, source.from);
    if (inode === 0 || layer.isWhiteout(inode)) return -ENOENT;
    if (path.length - this.#place.from > NAME_MAX) return -ENAMETOOLONG;
    const present = layer.child(this.#place.parent, path, this.#place.from);
    if (present === inode) return inode;
    if (present !== 0) return -EEXIST;
    if (layer.tree.isDirectory(inode)) return -EPERM;
    const bound = layer.bind(this.#place, path, inode);
    return bound < 0 ? bound : inode;
  }

  #setAttributes(inode: InodeId, entry: TarEntry, added: TarEntry['xattrs']): void {
    const { tree } = this.#layer;
    const type = TYPE_BITS[entry.type];
    /* Links have no permissions of their own. */
    let mode = type | (type === S_IFLNK ? 0o777 : entry.mode);
    tree.setOwner(inode, entry.uid, entry.gid);
    tree.setTime(inode, entry.mtimeSec, entry.mtimeNsec);
    tree.setFlags(inode, tree.flags(inode) & ~FLAG_IMPLIED);
    if (added.length > 0) {
      const set = setXattrs(this.#xattrs(inode), added, mode, (text) => this.#refuse(text));
      mode = set.mode;
      this.#storeXattrs(inode, set.xattrs);
    }
    tree.setMode(inode, mode);
  }

  #xattrs(inode: InodeId): Xattr[] {
    const body = this.#layer.tree.xattrBody(inode);
    return body.length === 0 ? [] : (decodeXattrs(Buffer.from(body)) ?? []);
  }

  #storeXattrs(inode: InodeId, xattrs: readonly Xattr[]): void {
    const { tree } = this.#layer;
    const body = encodeXattrs(xattrs);
    tree.setXattrs(inode, tree.texts.add(body), xattrCount(body.length));
  }

  #setContent(inode: InodeId, entry: TarEntry, contentOffset?: number): void {
    const { tree } = this.#layer;
    const blocks = Math.ceil(entry.size / BLOCK_BYTES);
    if (contentOffset === undefined) {
      const start = alignUp(this.#spillBytes, SPILL_ALIGN);
      const end = alignUp(start + entry.size, SPILL_ALIGN);
      if (end / BLOCK_BYTES > BLOCKS_MAX)
        throw this.#refuse(`sparse file of ${entry.size} bytes is too large`);
      this.#spillStart = start;
      this.#spillBytes = end;
      tree.setContent(inode, SPILL_DEVICE, start / BLOCK_BYTES);
    } else {
      const start = contentOffset / BLOCK_BYTES;
      if (start + blocks > BLOCKS_MAX) throw this.#refuse('layer of more than 2 TB');
      this.#tarBlocks = Math.max(this.#tarBlocks, start + blocks);
      tree.setContent(inode, TAR_DEVICE, start);
    }
    tree.setSize(inode, entry.size);
  }

  // --- limits and errors

  #checkSize(): void {
    const { tree, isExhausted } = this.#layer;
    if (tree.inodeCount > ENTRIES_MAX || tree.nameCount > ENTRIES_MAX) {
      throw this.#refuse(`a layer of more than ${ENTRIES_MAX} entries`);
    }
    if (tree.texts.used > TEXT_MAX_BYTES) {
      throw this.#refuse(`a layer of more than ${TEXT_MAX_BYTES} bytes of names, links and attributes`);
    }
    if (isExhausted) throw this.#fail('open', -ELOOP);
  }

  #fail(call: string, errno: number): InvalidParameterError {
    return this.#refuse(`${call}: ${getSystemErrorMessage(errno)}`);
  }

  #refuse(text: string): InvalidParameterError {
    return tarError(text, this.#offset, this.#entry?.name);
  }
}
