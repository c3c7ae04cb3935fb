/**
 * An index's bytes, taken apart: superblock, inodes, attributes and directories, each checked before it is believed,
 * because a disk may have damaged them. Whatever is wrong is an InternalError that names the index and the place. Reads
 * only what this writer writes, not all that EROFS can be. index-reader.ts makes files and paths of it.
 */
import { InternalError } from '../../../base/errors.ts';
import {
  alignUp,
  BLOCK_BITS,
  BLOCK_BYTES,
  CHUNK_BITS_MASK,
  CHUNK_INDEX_BYTES,
  CHUNK_INDEXES,
  DEVICE_BLOCKS,
  DEVICE_BYTES,
  DEVICES_MAX,
  DIRENT_BYTES,
  FEATURE_INCOMPAT,
  FORMAT_CHUNKS,
  FORMAT_FLAT,
  FORMAT_INLINE,
  INODE,
  INODE_BYTES,
  LINK_MAX,
  MAGIC,
  NID_BYTES,
  S_IFBLK,
  S_IFCHR,
  S_IFDIR,
  S_IFIFO,
  S_IFLNK,
  S_IFMT,
  S_IFREG,
  SUPER,
  SUPER_BYTES,
  SUPER_OFFSET,
  superblockChecksum,
} from './format.ts';
import { decodeXattrs, type Xattr, xattrBodyBytes } from './xattr-body.ts';

const TYPES = new Set([S_IFREG, S_IFDIR, S_IFLNK, S_IFCHR, S_IFBLK, S_IFIFO]);

/** Where the content of a file lies, in one piece. */
export interface Content {
  /** From 0, in the order of the device table. */
  device: number;
  block: number;
}

export class IndexImage {
  readonly bytes: Buffer;
  readonly view: DataView;
  /** What messages call it. */
  readonly name: string;
  readonly rootNid: number;
  /** The extra devices' sizes, in blocks. */
  readonly deviceBlocks: readonly number[];

  /** Throws InternalError where the superblock is not one of an index. */
  constructor(bytes: Uint8Array, name: string) {
    this.bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.name = name;
    if (bytes.length < SUPER_OFFSET + BLOCK_BYTES || this.#super32(SUPER.magic) !== MAGIC) {
      throw this.damaged('no EROFS superblock');
    }
    if (this.#super32(SUPER.checksum) !== superblockChecksum(bytes))
      throw this.damaged('superblock checksum');
    const isOurs =
      this.view.getUint8(SUPER_OFFSET + SUPER.blockBits) === BLOCK_BITS &&
      this.view.getUint8(SUPER_OFFSET + SUPER.extraSlots) === 0 &&
      this.#super32(SUPER.featureIncompat) === FEATURE_INCOMPAT &&
      this.#super32(SUPER.metaBlock) === 0;
    if (!isOurs) throw this.damaged('features of another writer');
    if (this.#super32(SUPER.blocks) * BLOCK_BYTES !== bytes.length) throw this.damaged('cut off');
    this.deviceBlocks = this.#devices();
    this.rootNid = this.#super16(SUPER.rootNid);
    const root = this.inodeAt(this.rootNid);
    if ((this.mode(root) & S_IFMT) !== S_IFDIR) throw this.damaged('the root is no directory');
  }

  #super16(field: number): number {
    return this.view.getUint16(SUPER_OFFSET + field, true);
  }

  #super32(field: number): number {
    return this.view.getUint32(SUPER_OFFSET + field, true);
  }

  #devices(): number[] {
    const count = this.#super16(SUPER.deviceCount);
    const start = this.#super16(SUPER.deviceSlot) * DEVICE_BYTES;
    const end = start + count * DEVICE_BYTES;
    if (count > DEVICES_MAX || start < SUPER_OFFSET + SUPER_BYTES || end > this.bytes.length) {
      throw this.damaged('table of devices');
    }
    return Array.from({ length: count }, (_, i) =>
      this.view.getUint32(start + i * DEVICE_BYTES + DEVICE_BLOCKS, true),
    );
  }

  damaged(what: string): InternalError {
    return new InternalError(`${this.name} is damaged: ${what}`);
  }

  /** Where the inode lies. Checks all of it but the directory or the attributes that belong to it. */
  inodeAt(nid: number): number {
    const at = nid * NID_BYTES;
    const isInside = at >= SUPER_OFFSET + SUPER_BYTES && at + INODE_BYTES <= this.bytes.length;
    if (!isInside) throw this.damaged(`inode ${nid} is outside`);
    const end = at + INODE_BYTES + this.xattrBytes(at);
    if (end > this.bytes.length) throw this.damaged(`attributes of inode ${nid}`);
    const type = this.mode(at) & S_IFMT;
    const format = this.view.getUint16(at + INODE.format, true);
    const size = this.size(at);
    if (!TYPES.has(type)) throw this.damaged(`type of inode ${nid}`);
    let isRight = format === FORMAT_FLAT && size === 0;
    if (type === S_IFDIR) isRight = this.#isData(at, end, format, size);
    else if (type === S_IFLNK) isRight = size <= LINK_MAX && this.#isData(at, end, format, size);
    else if (type === S_IFREG && size > 0)
      isRight = format === FORMAT_CHUNKS && this.#isChunked(at, end, size);
    if (!isRight) throw this.damaged(`data of inode ${nid}`);
    return at;
  }

  /** Whether data inside the index are inside of it, and not empty. */
  #isData(at: number, end: number, format: number, size: number): boolean {
    if (size === 0) return false;
    if (format === FORMAT_INLINE) return (end % BLOCK_BYTES) + size <= BLOCK_BYTES;
    const start = this.view.getUint32(at + INODE.union, true) * BLOCK_BYTES;
    return format === FORMAT_FLAT && start >= SUPER_OFFSET && start + size <= this.bytes.length;
  }

  #isChunked(at: number, end: number, size: number): boolean {
    const format = this.view.getUint32(at + INODE.union, true);
    if ((format & ~CHUNK_BITS_MASK) !== CHUNK_INDEXES) return false;
    const chunkBlocks = 2 ** (format & CHUNK_BITS_MASK);
    const chunks = Math.ceil(size / (chunkBlocks * BLOCK_BYTES));
    const start = alignUp(end, CHUNK_INDEX_BYTES);
    if (!(start + chunks * CHUNK_INDEX_BYTES <= this.bytes.length)) return false;
    const device = this.view.getUint16(start + 2, true);
    const block = this.view.getUint32(start + 4, true);
    for (let i = 1; i < chunks; i++) {
      const index = start + i * CHUNK_INDEX_BYTES;
      if (this.view.getUint16(index + 2, true) !== device) return false;
      if (this.view.getUint32(index + 4, true) !== block + i * chunkBlocks) return false;
    }
    const blocks = this.deviceBlocks[device - 1];
    return blocks !== undefined && block + Math.ceil(size / BLOCK_BYTES) <= blocks;
  }

  mode(at: number): number {
    return this.view.getUint16(at + INODE.mode, true);
  }

  size(at: number): number {
    return (
      this.view.getUint32(at + INODE.size, true) + this.view.getUint32(at + INODE.size + 4, true) * 2 ** 32
    );
  }

  /** The device number of a device. */
  device(at: number): number {
    return this.view.getUint32(at + INODE.union, true);
  }

  isWhiteout(at: number): boolean {
    return (this.mode(at) & S_IFMT) === S_IFCHR && this.device(at) === 0;
  }

  xattrCount(at: number): number {
    return this.view.getUint16(at + INODE.xattrCount, true);
  }

  xattrBytes(at: number): number {
    return xattrBodyBytes(this.xattrCount(at));
  }

  xattrs(at: number): Xattr[] {
    const start = at + INODE_BYTES;
    const xattrs = decodeXattrs(this.bytes.subarray(start, start + this.xattrBytes(at)));
    if (xattrs === undefined) throw this.damaged(`attributes of inode ${at / NID_BYTES}`);
    return xattrs;
  }

  /** Where a directory's entries or a link's target begin; `size` bytes. */
  dataAt(at: number): number {
    const isInline = this.view.getUint16(at + INODE.format, true) === FORMAT_INLINE;
    if (isInline) return at + INODE_BYTES + this.xattrBytes(at);
    return this.view.getUint32(at + INODE.union, true) * BLOCK_BYTES;
  }

  /** Of a file that is not empty. */
  content(at: number): Content {
    const start = alignUp(at + INODE_BYTES + this.xattrBytes(at), CHUNK_INDEX_BYTES);
    return { device: this.view.getUint16(start + 2, true) - 1, block: this.view.getUint32(start + 4, true) };
  }

  /**
   * At most so many directory entries fit into it: whoever finds more runs in circles, or over the same blocks again and
   * again.
   */
  get entriesMax(): number {
    return Math.floor(this.bytes.length / DIRENT_BYTES);
  }
}
