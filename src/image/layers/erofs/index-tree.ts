/**
 * A file tree in memory as an index will have it: inodes, which are records in the very form of EROFS's extended inode,
 * and names, which bind inodes to directories. The bytes that the format reserves hold what is needed until the tree is
 * written (index-writer.ts). Nothing here depends on the depth of the tree.
 */
import { type ByteString, byteString } from '../tar/byte-string.ts';
import { INODE, INODE_BYTES, S_IFDIR, S_IFMT } from './format.ts';
import { copyWords, Records, Texts } from './records.ts';
import { xattrBodyBytes } from './xattr-body.ts';

/** Number of an inode or of a name; 0 is none. */
export type InodeId = number;
export type NameId = number;

/**
 * What an inode's record holds besides EROFS's own fields, at these offsets. `first`: a file's first block on its
 * device, where a link's target begins in `texts`, a directory's parent. `second`: a file's device, from 1, or 0; the
 * first name of a directory. `xattrs`: where the attributes begin in `texts`; their length is i_xattr_icount's.
 */
const AT = { first: 48, second: 52, xattrs: 56, flags: 60, nid: INODE.number } as const;
/** A directory's path has so many bytes: kept where its size goes later. */
const PATH_BYTES = INODE.size;

export const FLAG_IMPLIED = 1;
export const FLAG_OPAQUE = 2;

const NAME = {
  parent: 0,
  inode: 4,
  text: 8,
  length: 12,
  previous: 16,
  next: 20,
  hashNext: 24,
  hash: 28,
} as const;
const NAME_BYTES = 32;

export const ROOT: InodeId = 1;

export class IndexTree {
  readonly #inodes = new Records(INODE_BYTES);
  readonly #names = new Records(NAME_BYTES);
  readonly texts = new Texts();
  /** Names that are bound. */
  liveNames = 0;

  constructor() {
    this.addInode(S_IFDIR | 0o755);
    this.setLinks(ROOT, 2);
    this.setParent(ROOT, ROOT);
  }

  /** Inodes and names that were ever made: what bounds the memory. */
  get inodeCount(): number {
    return this.#inodes.count - 1;
  }

  get nameCount(): number {
    return this.#names.count - 1;
  }

  /** The records of the inodes, number times INODE_BYTES. Valid until the next inode is made. */
  get inodeView(): DataView {
    return this.#inodes.view;
  }

  /** A new inode without a name, its link count 0. */
  addInode(mode: number): InodeId {
    const at = this.#inodes.add();
    this.#inodes.view.setUint16(at + INODE.mode, mode, true);
    return at / INODE_BYTES;
  }

  /** A new inode with the attributes that EROFS's inode at `at` of `index` has; not its size, data or parent. */
  copyInode(index: DataView, at: number): InodeId {
    const to = this.#inodes.add();
    copyWords(index, at, INODE.reserved / 4, this.#inodes.view, to);
    this.#inodes.view.setUint32(to + AT.nid, 0, true);
    return to / INODE_BYTES;
  }

  #get32(inode: InodeId, offset: number): number {
    return this.#inodes.view.getUint32(inode * INODE_BYTES + offset, true);
  }

  #set32(inode: InodeId, offset: number, value: number): void {
    this.#inodes.view.setUint32(inode * INODE_BYTES + offset, value, true);
  }

  mode(inode: InodeId): number {
    return this.#inodes.view.getUint16(inode * INODE_BYTES + INODE.mode, true);
  }

  setMode(inode: InodeId, mode: number): void {
    this.#inodes.view.setUint16(inode * INODE_BYTES + INODE.mode, mode, true);
  }

  isDirectory(inode: InodeId): boolean {
    return (this.mode(inode) & S_IFMT) === S_IFDIR;
  }

  setOwner(inode: InodeId, uid: number, gid: number): void {
    this.#set32(inode, INODE.uid, uid);
    this.#set32(inode, INODE.gid, gid);
  }

  setTime(inode: InodeId, seconds: number, nanoseconds: number): void {
    const high = Math.floor(seconds / 2 ** 32);
    this.#set32(inode, INODE.mtime, seconds - high * 2 ** 32);
    this.#set32(inode, INODE.mtime + 4, high);
    this.#set32(inode, INODE.mtimeNsec, nanoseconds);
  }

  links(inode: InodeId): number {
    return this.#get32(inode, INODE.links);
  }

  setLinks(inode: InodeId, links: number): void {
    this.#set32(inode, INODE.links, links);
  }

  /** Of files and links. */
  size(inode: InodeId): number {
    return this.#get32(inode, INODE.size) + this.#get32(inode, INODE.size + 4) * 2 ** 32;
  }

  setSize(inode: InodeId, size: number): void {
    const high = Math.floor(size / 2 ** 32);
    this.#set32(inode, INODE.size, size - high * 2 ** 32);
    this.#set32(inode, INODE.size + 4, high);
  }

  /** The device number of a device, the format of chunks of a file. */
  union(inode: InodeId): number {
    return this.#get32(inode, INODE.union);
  }

  setUnion(inode: InodeId, value: number): void {
    this.#set32(inode, INODE.union, value);
  }

  /** Where a file's content lies: the device from 1, and the first block there. */
  setContent(inode: InodeId, device: number, block: number): void {
    this.#set32(inode, AT.first, block);
    this.#set32(inode, AT.second, device);
  }

  contentBlock(inode: InodeId): number {
    return this.#get32(inode, AT.first);
  }

  contentDevice(inode: InodeId): number {
    return this.#get32(inode, AT.second);
  }

  /** The target of a symbolic link: `size` bytes at `text`. */
  setTarget(inode: InodeId, text: number): void {
    this.#set32(inode, AT.first, text);
  }

  targetText(inode: InodeId): number {
    return this.#get32(inode, AT.first);
  }

  target(inode: InodeId): ByteString {
    const at = this.targetText(inode);
    return byteString(this.texts.buffer.subarray(at, at + this.size(inode)));
  }

  parent(directory: InodeId): InodeId {
    return this.#get32(directory, AT.first);
  }

  setParent(directory: InodeId, parent: InodeId): void {
    this.#set32(directory, AT.first, parent);
  }

  /** How long the path of a directory is. */
  pathBytes(directory: InodeId): number {
    return this.#get32(directory, PATH_BYTES);
  }

  setPathBytes(directory: InodeId, bytes: number): void {
    this.#set32(directory, PATH_BYTES, bytes);
    this.#set32(directory, PATH_BYTES + 4, 0);
  }

  /** Attributes as one body (xattr-body.ts); an earlier one is given up. `text`: where it lies in `texts`. */
  setXattrs(inode: InodeId, text: number, count: number): void {
    this.#set32(inode, AT.xattrs, text);
    this.#inodes.view.setUint16(inode * INODE_BYTES + INODE.xattrCount, count, true);
  }

  xattrBytes(inode: InodeId): number {
    return xattrBodyBytes(this.#inodes.view.getUint16(inode * INODE_BYTES + INODE.xattrCount, true));
  }

  xattrText(inode: InodeId): number {
    return this.#get32(inode, AT.xattrs);
  }

  xattrBody(inode: InodeId): Buffer {
    const at = this.xattrText(inode);
    return this.texts.buffer.subarray(at, at + this.xattrBytes(inode));
  }

  flags(inode: InodeId): number {
    return this.#get32(inode, AT.flags);
  }

  setFlags(inode: InodeId, flags: number): void {
    this.#set32(inode, AT.flags, flags);
  }

  /** The inode's place in the index, once the writer has given it one. */
  nid(inode: InodeId): number {
    return this.#get32(inode, AT.nid);
  }

  setNid(inode: InodeId, nid: number): void {
    this.#set32(inode, AT.nid, nid);
  }

  // --- names

  /** Binds `inode` to `parent` under the name of `length` bytes at `text`. Link counts are the caller's. */
  addName(parent: InodeId, inode: InodeId, text: number, length: number): NameId {
    const at = this.#names.add();
    const name = at / NAME_BYTES;
    const { view } = this.#names;
    const next = this.firstName(parent);
    view.setUint32(at + NAME.parent, parent, true);
    view.setUint32(at + NAME.inode, inode, true);
    view.setUint32(at + NAME.text, text, true);
    view.setUint32(at + NAME.length, length, true);
    view.setUint32(at + NAME.next, next, true);
    if (next !== 0) view.setUint32(next * NAME_BYTES + NAME.previous, name, true);
    this.#set32(parent, AT.second, name);
    this.liveNames++;
    return name;
  }

  /** Takes a name out of its directory. The record is not used again. */
  removeName(name: NameId): void {
    const { view } = this.#names;
    const previous = view.getUint32(name * NAME_BYTES + NAME.previous, true);
    const next = view.getUint32(name * NAME_BYTES + NAME.next, true);
    if (next !== 0) view.setUint32(next * NAME_BYTES + NAME.previous, previous, true);
    if (previous === 0) this.#set32(this.nameParent(name), AT.second, next);
    else view.setUint32(previous * NAME_BYTES + NAME.next, next, true);
    this.liveNames--;
  }

  /** The names of a directory in the reverse of the order in which they came: the first, then `nextName`; 0 ends. */
  firstName(directory: InodeId): NameId {
    return this.#get32(directory, AT.second);
  }

  #name(name: NameId, offset: number): number {
    return this.#names.view.getUint32(name * NAME_BYTES + offset, true);
  }

  nextName(name: NameId): NameId {
    return this.#name(name, NAME.next);
  }

  nameParent(name: NameId): InodeId {
    return this.#name(name, NAME.parent);
  }

  nameInode(name: NameId): InodeId {
    return this.#name(name, NAME.inode);
  }

  nameText(name: NameId): number {
    return this.#name(name, NAME.text);
  }

  nameBytes(name: NameId): number {
    return this.#name(name, NAME.length);
  }

  hash(name: NameId): number {
    return this.#name(name, NAME.hash);
  }

  hashNext(name: NameId): NameId {
    return this.#name(name, NAME.hashNext);
  }

  setHash(name: NameId, hash: number): void {
    this.#names.view.setUint32(name * NAME_BYTES + NAME.hash, hash, true);
  }

  setHashNext(name: NameId, next: NameId): void {
    this.#names.view.setUint32(name * NAME_BYTES + NAME.hashNext, next, true);
  }

  /** By bytes, as directories are sorted. */
  compareNames(a: NameId, b: NameId): number {
    const { buffer } = this.texts;
    const atA = this.nameText(a);
    const atB = this.nameText(b);
    const lengthA = this.nameBytes(a);
    const lengthB = this.nameBytes(b);
    const common = Math.min(lengthA, lengthB);
    for (let i = 0; i < common; i++) {
      const difference = (buffer[atA + i] ?? 0) - (buffer[atB + i] ?? 0);
      if (difference !== 0) return difference;
    }
    return lengthA - lengthB;
  }
}
