/**
 * The names of one directory that are no directories, sorted by bytes, in columns: a copy may take a million files, for
 * which there is no room as objects. A file takes about 60 bytes here besides its name, and 32 for its digest once that
 * is asked for.
 */
import { S_IFLNK, S_IFMT, S_IFREG } from '../../image/layers/native-archive.ts';
import { type ByteString, EMPTY } from '../../image/layers/tar/byte-string.ts';
import type { TarXattr } from '../../image/layers/tar/tar-format.ts';
import { DIGEST_BYTES } from '../../image/layers/tree-digests.ts';
import { STATE_COUNT, TREE_FIELDS } from '../../native/tree.ts';
import { FileEntry } from './tree-files.ts';

/** Fields that fit into 32 bits, and those that do not; the device is mostly one for all. */
const NUMBERS = [
  TREE_FIELDS.mode,
  TREE_FIELDS.uid,
  TREE_FIELDS.gid,
  TREE_FIELDS.links,
  TREE_FIELDS.nanoseconds,
  TREE_FIELDS.changeNanoseconds,
  TREE_FIELDS.inodeHigh,
  TREE_FIELDS.inodeLow,
] as const;
const AMOUNTS = [TREE_FIELDS.size, TREE_FIELDS.seconds, TREE_FIELDS.changeSeconds] as const;
const [MODE, UID, GID, LINKS, NANOSECONDS, INODE_HIGH, INODE_LOW] = [0, 1, 2, 3, 4, 6, 7];
const [SIZE, SECONDS] = [0, 1];

/** What few files have. */
interface Rare {
  link: ByteString;
  xattrs: readonly TarXattr[];
  major: number;
  minor: number;
}

export class FileTable {
  /** Path of the directory in its tree. */
  readonly directory: ByteString;
  readonly count: number;
  /** One behind the other. */
  readonly #names: string;
  readonly #starts: Uint32Array;
  readonly #numbers: Uint32Array;
  readonly #amounts: Float64Array;
  readonly #devices: Float64Array;
  readonly #rare = new Map<number, Rare>();
  #digests: Buffer | undefined;
  /** A bit for each digest that is known. */
  #known: Uint8Array | undefined;

  /** `entries` are sorted by their names, which are those of one directory. */
  constructor(directory: ByteString, entries: readonly FileEntry[]) {
    const { length } = entries;
    this.directory = directory;
    this.count = length;
    this.#starts = new Uint32Array(length + 1);
    this.#numbers = new Uint32Array(length * NUMBERS.length);
    this.#amounts = new Float64Array(length * AMOUNTS.length);
    const device = entries[0]?.field(TREE_FIELDS.device) ?? 0;
    const isOneDevice = entries.every((entry) => entry.field(TREE_FIELDS.device) === device);
    this.#devices = new Float64Array(isOneDevice ? 1 : length).fill(device);
    const names: string[] = [];
    for (const [index, entry] of entries.entries()) {
      const name = entry.name;
      names.push(name);
      this.#starts[index + 1] = (this.#starts[index] ?? 0) + name.length;
      for (let column = 0; column < NUMBERS.length; column++) {
        this.#numbers[index * NUMBERS.length + column] = entry.field(NUMBERS[column] ?? 0);
      }
      for (let column = 0; column < AMOUNTS.length; column++) {
        this.#amounts[index * AMOUNTS.length + column] = entry.field(AMOUNTS[column] ?? 0);
      }
      if (!isOneDevice) this.#devices[index] = entry.field(TREE_FIELDS.device);
      this.#addRare(index, entry);
    }
    this.#names = names.join('');
  }

  #addRare(index: number, entry: FileEntry): void {
    const { link, xattrs } = entry;
    const [major, minor] = [entry.field(TREE_FIELDS.major), entry.field(TREE_FIELDS.minor)];
    if (link === '' && xattrs.length === 0 && major === 0 && minor === 0) return;
    this.#rare.set(index, { link, xattrs, major, minor });
  }

  name(index: number): ByteString {
    return this.#names.slice(this.#starts[index], this.#starts[index + 1]) as ByteString;
  }

  path(index: number): ByteString {
    const name = this.name(index);
    return (this.directory === '' ? name : `${this.directory}/${name}`) as ByteString;
  }

  /** The place of a name, or -1. */
  find(name: ByteString): number {
    let low = 0;
    let high = this.count - 1;
    while (low <= high) {
      const middle = (low + high) >>> 1;
      const there = this.name(middle);
      if (there === name) return middle;
      if (there < name) low = middle + 1;
      else high = middle - 1;
    }
    return -1;
  }

  #number(index: number, column: number): number {
    return this.#numbers[index * NUMBERS.length + column] ?? 0;
  }

  /** Type and permission bits. */
  mode(index: number): number {
    return this.#number(index, MODE);
  }

  uid(index: number): number {
    return this.#number(index, UID);
  }

  gid(index: number): number {
    return this.#number(index, GID);
  }

  links(index: number): number {
    return this.#number(index, LINKS);
  }

  sizeBytes(index: number): number {
    return this.#amounts[index * AMOUNTS.length + SIZE] ?? 0;
  }

  seconds(index: number): number {
    return this.#amounts[index * AMOUNTS.length + SECONDS] ?? 0;
  }

  nanoseconds(index: number): number {
    return this.#number(index, NANOSECONDS);
  }

  major(index: number): number {
    return this.#rare.get(index)?.major ?? 0;
  }

  minor(index: number): number {
    return this.#rare.get(index)?.minor ?? 0;
  }

  /** As FileEntry.identity. */
  identity(index: number): string {
    const device = this.#devices[this.#devices.length === 1 ? 0 : index] ?? 0;
    return `${device}:${this.#number(index, INODE_HIGH)}:${this.#number(index, INODE_LOW)}`;
  }

  isFile(index: number): boolean {
    return (this.mode(index) & S_IFMT) === S_IFREG;
  }

  /** Target of a symbolic link; '' of all else. */
  link(index: number): ByteString {
    return this.#rare.size === 0 ? EMPTY : (this.#rare.get(index)?.link ?? EMPTY);
  }

  isLink(index: number): boolean {
    return (this.mode(index) & S_IFMT) === S_IFLNK;
  }

  xattrs(index: number): readonly TarXattr[] {
    return this.#rare.size === 0 ? NO_XATTRS : (this.#rare.get(index)?.xattrs ?? NO_XATTRS);
  }

  /** Writes what must still be so when a file is read. */
  putState(index: number, into: Float64Array, at: number): void {
    const fields = this.#fields(index);
    for (let i = 0; i < STATE_COUNT; i++) into[at + i] = fields[TREE_FIELDS.count - STATE_COUNT + i] ?? 0;
  }

  state(index: number): Float64Array {
    const state = new Float64Array(STATE_COUNT);
    this.putState(index, state, 0);
    return state;
  }

  /** As an object, for whoever looks at few. */
  entry(index: number): FileEntry {
    const fields = this.#fields(index).slice();
    const place = { directory: this.directory, name: this.name(index) };
    return new FileEntry(place, fields, 0, this.link(index), this.xattrs(index));
  }

  /** All fields, until the next call. */
  #fields(index: number): Float64Array {
    for (let column = 0; column < NUMBERS.length; column++) {
      SCRATCH[NUMBERS[column] ?? 0] = this.#number(index, column);
    }
    for (let column = 0; column < AMOUNTS.length; column++) {
      SCRATCH[AMOUNTS[column] ?? 0] = this.#amounts[index * AMOUNTS.length + column] ?? 0;
    }
    SCRATCH[TREE_FIELDS.device] = this.#devices[this.#devices.length === 1 ? 0 : index] ?? 0;
    const rare = this.#rare.size === 0 ? undefined : this.#rare.get(index);
    SCRATCH[TREE_FIELDS.major] = rare?.major ?? 0;
    SCRATCH[TREE_FIELDS.minor] = rare?.minor ?? 0;
    return SCRATCH;
  }

  /** Names of some files with a NUL behind each, and their states, one behind the other. */
  run(indexes: Uint32Array): { names: Uint8Array; states: Float64Array } {
    const states = new Float64Array(indexes.length * STATE_COUNT);
    let names = '';
    let at = 0;
    for (const index of indexes) {
      names += `${this.name(index)}\0`;
      this.putState(index, states, at);
      at += STATE_COUNT;
    }
    const bytes = Buffer.allocUnsafeSlow(names.length);
    bytes.write(names, 'latin1');
    return { names: bytes, states };
  }

  // --- digests of the contents

  isKnown(index: number): boolean {
    return ((this.#known?.[index >>> 3] ?? 0) & (1 << (index & 7))) !== 0;
  }

  /** Undefined where it is not known. */
  digest(index: number): Uint8Array | undefined {
    if (!this.isKnown(index)) return undefined;
    return this.#digests?.subarray(index * DIGEST_BYTES, (index + 1) * DIGEST_BYTES);
  }

  setDigest(index: number, digest: Uint8Array): void {
    this.#digests ??= Buffer.alloc(this.count * DIGEST_BYTES);
    this.#known ??= new Uint8Array((this.count + 7) >>> 3);
    this.#digests.set(digest, index * DIGEST_BYTES);
    this.#known[index >>> 3] = (this.#known[index >>> 3] ?? 0) | (1 << (index & 7));
  }
}

const NO_XATTRS: readonly TarXattr[] = [];
const SCRATCH = new Float64Array(TREE_FIELDS.count);
