/**
 * Finds a name in a directory of a tree: a hash table over all names of the tree. The hash is HalfSipHash-1-3 under a
 * random key, so that no archive can choose names that fall together; what is written does not depend on it.
 */
import { randomBytes } from 'node:crypto';
import type { IndexTree, InodeId, NameId } from './index-tree.ts';

export class NameTable {
  readonly #tree: IndexTree;
  readonly #key0: number;
  readonly #key1: number;
  #buckets = new Uint32Array(1024);

  constructor(tree: IndexTree) {
    this.#tree = tree;
    const key = randomBytes(8);
    this.#key0 = key.readInt32LE(0);
    this.#key1 = key.readInt32LE(4);
  }

  /** The name path[from..to) of a directory, or 0. */
  find(directory: InodeId, path: string, from: number, to: number): NameId {
    this.#stage(path, from, to);
    return this.#findHashed(directory, to - from, this.#hash(directory, to - from));
  }

  /** Binds `inode` to a name that the directory does not have. */
  add(directory: InodeId, path: string, from: number, to: number, inode: InodeId): NameId {
    const tree = this.#tree;
    const length = to - from;
    this.#stage(path, from, to);
    const hash = this.#hash(directory, length);
    const text = tree.texts.used;
    tree.texts.used += length;
    const name = tree.addName(directory, inode, text, length);
    tree.setHash(name, hash);
    this.#insert(name, hash);
    if (tree.liveNames > this.#buckets.length) this.#grow();
    return name;
  }

  remove(name: NameId): void {
    const tree = this.#tree;
    const next = tree.hashNext(name);
    const bucket = tree.hash(name) & (this.#buckets.length - 1);
    let at = this.#buckets[bucket] ?? 0;
    if (at === name) this.#buckets[bucket] = next;
    else {
      while (tree.hashNext(at) !== name) at = tree.hashNext(at);
      tree.setHashNext(at, next);
    }
    tree.removeName(name);
  }

  /** Writes the name behind the texts, where it stays if it is added. */
  #stage(path: string, from: number, to: number): void {
    const { texts } = this.#tree;
    texts.reserve(to - from + 4);
    const { buffer } = texts;
    let at = texts.used;
    for (let i = from; i < to; i++) buffer[at++] = path.charCodeAt(i);
  }

  #findHashed(directory: InodeId, length: number, hash: number): NameId {
    const tree = this.#tree;
    let name = this.#buckets[hash & (this.#buckets.length - 1)] ?? 0;
    for (; name !== 0; name = tree.hashNext(name)) {
      if (tree.hash(name) !== hash || tree.nameParent(name) !== directory) continue;
      if (tree.nameBytes(name) === length && this.#isStaged(tree.nameText(name), length)) return name;
    }
    return 0;
  }

  #isStaged(text: number, length: number): boolean {
    const { buffer, used } = this.#tree.texts;
    for (let i = 0; i < length; i++) if (buffer[text + i] !== buffer[used + i]) return false;
    return true;
  }

  #insert(name: NameId, hash: number): void {
    const bucket = hash & (this.#buckets.length - 1);
    this.#tree.setHashNext(name, this.#buckets[bucket] ?? 0);
    this.#buckets[bucket] = name;
  }

  #grow(): void {
    const old = this.#buckets;
    const tree = this.#tree;
    this.#buckets = new Uint32Array(old.length * 2);
    for (const head of old) {
      for (let name = head; name !== 0; ) {
        const next = tree.hashNext(name);
        this.#insert(name, tree.hash(name));
        name = next;
      }
    }
  }

  /** Of the directory's number and the staged name. */
  #hash(directory: InodeId, length: number): number {
    const { buffer, used } = this.#tree.texts;
    const end = used + length;
    buffer[end] = buffer[end + 1] = buffer[end + 2] = 0;
    let v0 = this.#key0;
    let v1 = this.#key1;
    let v2 = 0x6c796765 ^ this.#key0;
    let v3 = 0x74656462 ^ this.#key1;
    /* A word at a time: the directory, then the name with its length at the end, then three rounds without one. */
    const words = (length >> 2) + 2;
    for (let i = 0; i < words + 3; i++) {
      const at = used + (i - 1) * 4;
      let word = 0;
      if (i === 0) word = directory;
      else if (i < words) {
        word =
          (buffer[at] ?? 0) |
          ((buffer[at + 1] ?? 0) << 8) |
          ((buffer[at + 2] ?? 0) << 16) |
          ((at + 3 >= end ? length : (buffer[at + 3] ?? 0)) << 24);
      } else if (i === words) v2 ^= 0xff;
      v3 ^= word;
      v0 = (v0 + v1) | 0;
      v1 = ((v1 << 5) | (v1 >>> 27)) ^ v0;
      v0 = (v0 << 16) | (v0 >>> 16);
      v2 = (v2 + v3) | 0;
      v3 = ((v3 << 8) | (v3 >>> 24)) ^ v2;
      v0 = (v0 + v3) | 0;
      v3 = ((v3 << 7) | (v3 >>> 25)) ^ v0;
      v2 = (v2 + v1) | 0;
      v1 = ((v1 << 13) | (v1 >>> 19)) ^ v2;
      v2 = (v2 << 16) | (v2 >>> 16);
      v0 ^= word;
    }
    return (v1 ^ v3) >>> 0;
  }
}
