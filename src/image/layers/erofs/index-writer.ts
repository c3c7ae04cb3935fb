/**
 * From a tree in memory to an EROFS image: first every inode gets its place, directory after directory from the root
 * down, then all is written. Behind the superblock and the device table come the inodes, each with its attributes and
 * with what is short enough of directories and link targets; then, in whole blocks, what is not. The same tree always
 * gives the same bytes. The UUID is taken from a hash of all the others, so that damage can be found (index-check.ts).
 */
import {
  alignUp,
  BLOCK_BITS,
  BLOCK_BYTES,
  CHUNK_INDEX_BYTES,
  CHUNK_INDEXES,
  DEVICE_BLOCKS,
  DEVICE_BYTES,
  DEVICE_TABLE_SLOT,
  DIRENT,
  DIRENT_BYTES,
  DIRENT_TYPES,
  FEATURE_COMPAT,
  FEATURE_INCOMPAT,
  FORMAT_CHUNKS,
  FORMAT_FLAT,
  FORMAT_INLINE,
  IMPLIED_MARK,
  IMPLIED_OFFSET,
  INLINE_MAX,
  INODE,
  INODE_BYTES,
  MAGIC,
  NID_BYTES,
  S_IFDIR,
  S_IFLNK,
  S_IFMT,
  S_IFREG,
  SUPER,
  SUPER_OFFSET,
  superblockChecksum,
} from './format.ts';
import { indexUuid } from './index-check.ts';
import { chunkBits, chunkCount, fileTail, fits, inlineBytes } from './index-layout.ts';
import { FLAG_IMPLIED, type IndexTree, type InodeId, type NameId, ROOT } from './index-tree.ts';
import { copyBytes, copyWords } from './records.ts';

/** `deviceBlocks`: the size of each extra device, in blocks. */
export function writeIndex(tree: IndexTree, deviceBlocks: readonly number[]): Buffer {
  const writer = new Writer(tree, deviceBlocks);
  writer.plan();
  return writer.write();
}

const DOT = Buffer.from('.');
const DOT_DOT = Buffer.from('..');

/** A directory's names, sorted, with "." and ".." in their places: those two are these, which are no NameIds. */
const SELF: NameId = 0xffff_ffff;
const PARENT: NameId = 0xffff_fffe;

class Writer {
  readonly #tree: IndexTree;
  readonly #deviceBlocks: readonly number[];
  /** All directories' names, one directory behind the other, sorted. */
  readonly #sorted: Uint32Array;
  #sortedCount = 0;
  /** Directories in the order in which they are written, and where the names of each begin in `#sorted`. */
  readonly #directories: InodeId[] = [];
  readonly #starts: number[] = [];
  /** Bytes of inodes so far, and whole blocks of data behind them. */
  #position: number;
  #blocks = 0;
  #inodeCount = 0;
  #index = Buffer.alloc(0);
  #view = new DataView(new ArrayBuffer(0));

  constructor(tree: IndexTree, deviceBlocks: readonly number[]) {
    this.#tree = tree;
    this.#deviceBlocks = deviceBlocks;
    this.#sorted = new Uint32Array(tree.liveNames + 2 * tree.inodeCount);
    const table = DEVICE_TABLE_SLOT * DEVICE_BYTES;
    this.#position = alignUp(table + deviceBlocks.length * DEVICE_BYTES, BLOCK_BYTES);
  }

  // --- places

  plan(): void {
    this.#place(ROOT);
    for (let i = 0; i < this.#directories.length; i++) this.#planDirectory(this.#directories[i] ?? ROOT);
    this.#starts.push(this.#sortedCount);
  }

  #planDirectory(directory: InodeId): void {
    const tree = this.#tree;
    const start = this.#sortedCount;
    this.#starts.push(start);
    this.#sortNames(directory);
    for (let i = start; i < this.#sortedCount; i++) {
      const name = this.#sorted[i] ?? SELF;
      if (name >= PARENT) continue;
      const inode = tree.nameInode(name);
      if (tree.nid(inode) === 0) this.#place(inode);
    }
  }

  /** Puts the directory's names into `#sorted`. */
  #sortNames(directory: InodeId): void {
    const tree = this.#tree;
    const sorted = this.#sorted;
    const start = this.#sortedCount;
    let end = start;
    for (let name = tree.firstName(directory); name !== 0; name = tree.nextName(name)) sorted[end++] = name;
    const names = sorted.subarray(start, end).reverse();
    let inOrder = true;
    for (let i = 1; i < names.length && inOrder; i++) {
      inOrder = tree.compareNames(names[i - 1] ?? 0, names[i] ?? 0) < 0;
    }
    if (!inOrder) names.sort((a, b) => tree.compareNames(a, b));
    /* Few names come before the two: they go in from the front. */
    this.#insert(start, end, PARENT, DOT_DOT);
    this.#insert(start, end + 1, SELF, DOT);
    this.#sortedCount = end + 2;
  }

  #insert(start: number, end: number, id: NameId, bytes: Buffer): void {
    let at = start;
    while (at < end && this.#compareTo(this.#sorted[at] ?? 0, bytes) < 0) at++;
    this.#sorted.copyWithin(at + 1, at, end);
    this.#sorted[at] = id;
  }

  #compareTo(name: NameId, bytes: Buffer): number {
    if (name === PARENT) return DOT_DOT.compare(bytes);
    const at = this.#tree.nameText(name);
    return this.#tree.texts.buffer.subarray(at, at + this.#tree.nameBytes(name)).compare(bytes);
  }

  /** Gives an inode its place; a directory waits for its turn then. */
  #place(inode: InodeId): void {
    const tree = this.#tree;
    const type = tree.mode(inode) & S_IFMT;
    const attributes = tree.xattrBytes(inode);
    let at = this.#position;
    let behind = 0;
    if (type === S_IFDIR) this.#directories.push(inode);
    if (type === S_IFREG) behind = fileTail(attributes, tree.size(inode));
    else if (type === S_IFDIR) behind = inlineBytes(this.#directoryBytes(inode));
    else if (type === S_IFLNK) behind = inlineBytes(tree.size(inode));
    const inline = type === S_IFREG ? 0 : behind;
    while (!fits(at, attributes, inline)) at += NID_BYTES;
    tree.setNid(inode, at / NID_BYTES);
    this.#position = alignUp(at + INODE_BYTES + attributes + behind, NID_BYTES);
    this.#inodeCount++;
  }

  /** What the directory's entries take where they fit into one block. */
  #directoryBytes(directory: InodeId): number {
    const tree = this.#tree;
    let bytes = 2 * DIRENT_BYTES + DOT.length + DOT_DOT.length;
    for (
      let name = tree.firstName(directory);
      name !== 0 && bytes <= INLINE_MAX;
      name = tree.nextName(name)
    ) {
      bytes += DIRENT_BYTES + tree.nameBytes(name);
    }
    return bytes;
  }

  // --- bytes

  write(): Buffer {
    this.#blocks = alignUp(this.#position, BLOCK_BYTES) / BLOCK_BYTES;
    const firstBlock = this.#blocks;
    const tree = this.#tree;
    const total = (firstBlock + this.#countDataBlocks()) * BLOCK_BYTES;
    this.#index = Buffer.alloc(alignUp(total, 4096));
    this.#view = new DataView(this.#index.buffer, this.#index.byteOffset, this.#index.byteLength);
    for (let i = 0; i < this.#directories.length; i++) {
      const directory = this.#directories[i] ?? ROOT;
      this.#writeDirectory(directory, this.#starts[i] ?? 0, this.#starts[i + 1] ?? 0);
    }
    /* Every inode but the directories: whoever has a place has a name. */
    const written = tree.inodeCount;
    for (let inode = ROOT; inode <= written; inode++) {
      if (tree.nid(inode) !== 0 && !tree.isDirectory(inode)) this.#writeInode(inode);
    }
    this.#writeSuperblock();
    return this.#index;
  }

  #countDataBlocks(): number {
    const tree = this.#tree;
    let blocks = 0;
    for (let i = 0; i < this.#directories.length; i++) {
      if (inlineBytes(this.#directoryBytes(this.#directories[i] ?? ROOT)) > 0) continue;
      blocks += this.#pack(this.#starts[i] ?? 0, this.#starts[i + 1] ?? 0, () => undefined);
    }
    for (let inode = ROOT; inode <= tree.inodeCount; inode++) {
      const isLink = (tree.mode(inode) & S_IFMT) === S_IFLNK;
      if (!isLink || tree.nid(inode) === 0 || inlineBytes(tree.size(inode)) > 0) continue;
      blocks += alignUp(tree.size(inode), BLOCK_BYTES) / BLOCK_BYTES;
    }
    return blocks;
  }

  /** Fills blocks with the names from `start` to `end`; `block` gets each one's range. Returns how many there are. */
  #pack(start: number, end: number, block: (from: number, to: number, bytes: number) => void): number {
    let blocks = 0;
    for (let from = start; from < end; blocks++) {
      let to = from;
      let bytes = 0;
      for (; to < end; to++) {
        const more = DIRENT_BYTES + this.#lengthOf(this.#sorted[to] ?? SELF);
        if (bytes + more > BLOCK_BYTES) break;
        bytes += more;
      }
      block(from, to, bytes);
      from = to;
    }
    return blocks;
  }

  #lengthOf(name: NameId): number {
    if (name === SELF) return DOT.length;
    return name === PARENT ? DOT_DOT.length : this.#tree.nameBytes(name);
  }

  #writeDirectory(directory: InodeId, start: number, end: number): void {
    const tree = this.#tree;
    const at = this.#writeCommon(directory);
    const inline = inlineBytes(this.#directoryBytes(directory)) > 0;
    let to = inline ? at + INODE_BYTES + tree.xattrBytes(directory) : this.#blocks * BLOCK_BYTES;
    let size = 0;
    const blocks = this.#pack(start, end, (from, next, bytes) => {
      this.#writeDirents(directory, to, from, next);
      /* The last block has no padding. */
      size += next === end ? bytes : BLOCK_BYTES;
      to += BLOCK_BYTES;
    });
    this.#setSize(at, size);
    this.#view.setUint16(at + INODE.format, inline ? FORMAT_INLINE : FORMAT_FLAT, true);
    this.#view.setUint32(at + INODE.union, inline ? 0 : this.#blocks, true);
    if (tree.flags(directory) & FLAG_IMPLIED) this.#index[at + IMPLIED_OFFSET] = IMPLIED_MARK;
    if (!inline) this.#blocks += blocks;
  }

  #writeDirents(directory: InodeId, at: number, from: number, to: number): void {
    const tree = this.#tree;
    const index = this.#index;
    const view = this.#view;
    const texts = tree.texts.buffer;
    let text = at + (to - from) * DIRENT_BYTES;
    for (let i = from; i < to; i++) {
      const name = this.#sorted[i] ?? SELF;
      const entry = at + (i - from) * DIRENT_BYTES;
      let inode = name === PARENT ? tree.parent(directory) : directory;
      view.setUint16(entry + DIRENT.nameOffset, text - at, true);
      if (name >= PARENT) {
        text += (name === SELF ? DOT : DOT_DOT).copy(index, text);
      } else {
        inode = tree.nameInode(name);
        const source = tree.nameText(name);
        const length = tree.nameBytes(name);
        copyBytes(texts, source, source + length, index, text);
        text += length;
      }
      view.setUint32(entry + DIRENT.nid, tree.nid(inode), true);
      view.setUint8(entry + DIRENT.type, DIRENT_TYPES[tree.mode(inode) >> 12] ?? 0);
    }
  }

  /** The parts that all inodes have; returns where the inode lies. */
  #writeCommon(inode: InodeId): number {
    const tree = this.#tree;
    const nid = tree.nid(inode);
    const at = nid * NID_BYTES;
    copyWords(tree.inodeView, inode * INODE_BYTES, INODE.reserved / 4, this.#view, at);
    const attributes = tree.xattrBytes(inode);
    if (attributes > 0) {
      const text = tree.xattrText(inode);
      copyBytes(tree.texts.buffer, text, text + attributes, this.#index, at + INODE_BYTES);
    }
    this.#view.setUint16(at + INODE.format, FORMAT_FLAT, true);
    return at;
  }

  #writeInode(inode: InodeId): void {
    const at = this.#writeCommon(inode);
    const type = this.#tree.mode(inode) & S_IFMT;
    if (type === S_IFREG) this.#writeFile(inode, at);
    else if (type === S_IFLNK) this.#writeLink(inode, at);
  }

  #writeFile(inode: InodeId, at: number): void {
    const tree = this.#tree;
    const view = this.#view;
    const size = tree.size(inode);
    if (size === 0) {
      view.setUint32(at + INODE.union, 0xffff_ffff, true);
      return;
    }
    const bits = chunkBits(size);
    view.setUint16(at + INODE.format, FORMAT_CHUNKS, true);
    view.setUint32(at + INODE.union, CHUNK_INDEXES | bits, true);
    let to = alignUp(at + INODE_BYTES + tree.xattrBytes(inode), CHUNK_INDEX_BYTES);
    const device = tree.contentDevice(inode);
    let block = tree.contentBlock(inode);
    for (let left = chunkCount(size); left > 0; left--, to += CHUNK_INDEX_BYTES, block += 2 ** bits) {
      view.setUint16(to + 2, device, true);
      view.setUint32(to + 4, block, true);
    }
  }

  #writeLink(inode: InodeId, at: number): void {
    const tree = this.#tree;
    const size = tree.size(inode);
    const inline = inlineBytes(size) > 0;
    const to = inline ? at + INODE_BYTES + tree.xattrBytes(inode) : this.#blocks * BLOCK_BYTES;
    const text = tree.targetText(inode);
    copyBytes(tree.texts.buffer, text, text + size, this.#index, to);
    this.#view.setUint16(at + INODE.format, inline ? FORMAT_INLINE : FORMAT_FLAT, true);
    this.#view.setUint32(at + INODE.union, inline ? 0 : this.#blocks, true);
    if (!inline) this.#blocks += alignUp(size, BLOCK_BYTES) / BLOCK_BYTES;
  }

  #setSize(at: number, size: number): void {
    this.#view.setUint32(at + INODE.size, size, true);
    this.#view.setUint32(at + INODE.size + 4, 0, true);
  }

  #writeSuperblock(): void {
    const index = this.#index;
    const view = this.#view;
    const at = SUPER_OFFSET;
    view.setUint32(at + SUPER.magic, MAGIC, true);
    view.setUint32(at + SUPER.featureCompat, FEATURE_COMPAT, true);
    view.setUint8(at + SUPER.blockBits, BLOCK_BITS);
    view.setUint16(at + SUPER.rootNid, this.#tree.nid(ROOT), true);
    view.setUint32(at + SUPER.inodeCount, this.#inodeCount, true);
    view.setUint32(at + SUPER.blocks, index.length / BLOCK_BYTES, true);
    view.setUint32(at + SUPER.featureIncompat, FEATURE_INCOMPAT, true);
    view.setUint16(at + SUPER.deviceCount, this.#deviceBlocks.length, true);
    view.setUint16(at + SUPER.deviceSlot, DEVICE_TABLE_SLOT, true);
    for (const [i, blocks] of this.#deviceBlocks.entries()) {
      view.setUint32((DEVICE_TABLE_SLOT + i) * DEVICE_BYTES + DEVICE_BLOCKS, blocks, true);
    }
    indexUuid(index).copy(index, at + SUPER.uuid);
    view.setUint32(at + SUPER.checksum, superblockChecksum(index), true);
  }
}
