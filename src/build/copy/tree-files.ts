/**
 * What there is in a tree that COPY takes from, as far as the build may see it: names are looked up by the kernel below
 * the tree's root, links are resolved inside of it, and what the ignore rules exclude is not there.
 */
import { closeSync, openSync } from 'node:fs';
import { errnoCode, InvalidParameterError } from '../../base/errors.ts';
import { ENTRIES_AT_ONCE, Turns } from '../../base/turns.ts';
import { S_IFDIR, S_IFLNK, S_IFMT, S_IFREG } from '../../image/layers/native-archive.ts';
import { type ByteString, bytesOf, EMPTY } from '../../image/layers/tar/byte-string.ts';
import type { TarXattr } from '../../image/layers/tar/tar-format.ts';
import { O_DIRECTORY, O_PATH } from '../../native/inside-root.ts';
import { STATE_FROM, TREE_FIELDS, type TreeListing, type TreeXattrs, treeAddon } from '../../native/tree.ts';
import type { IgnoreRules, SourceTree } from '../source/source-tree.ts';
import type { WalkedFolders } from '../source/walked-folders.ts';
import { baseOf, parentOf } from './entry-path.ts';

/** More links than this on the way to a file are a circle, as the kernel sees it too. */
const LINKS_MAX = 40;
/** Directories that are listed before they are asked for: what they take is memory, and the thread pool's four threads. */
const AHEAD_MAX = 3;
/** Attributes that say something about this host, and not about the file. */
const LOCAL_XATTR = /^(?:(?:trusted|user)\.overlay\.|security\.(?:selinux|ima|evm)$|com\.apple\.)/;

/** A name in a tree. `fields` are those of all entries of its directory, its own from `at` on. */
export class FileEntry {
  /** Of the directory that it is in, relative to the tree's root. */
  readonly directory: ByteString;
  /** '' for the root itself. */
  readonly name: ByteString;
  readonly link: ByteString;
  readonly xattrs: readonly TarXattr[];
  readonly #fields: Float64Array;
  readonly #at: number;

  constructor(
    { directory, name }: { directory: ByteString; name: ByteString },
    fields: Float64Array,
    at: number,
    link: ByteString,
    xattrs: readonly TarXattr[],
  ) {
    this.directory = directory;
    this.name = name;
    this.link = link;
    this.xattrs = xattrs;
    this.#fields = fields;
    this.#at = at;
  }

  field(index: number): number {
    return this.#fields[this.#at + index] ?? 0;
  }

  /** Relative to the tree's root, '' for that itself. */
  get path(): ByteString {
    return (this.directory === '' ? this.name : `${this.directory}/${this.name}`) as ByteString;
  }

  get format(): number {
    return this.field(TREE_FIELDS.mode) & S_IFMT;
  }

  get mode(): number {
    return this.field(TREE_FIELDS.mode) & 0o7777;
  }

  get isDirectory(): boolean {
    return this.format === S_IFDIR;
  }

  get isLink(): boolean {
    return this.format === S_IFLNK;
  }

  get isFile(): boolean {
    return this.format === S_IFREG;
  }

  get sizeBytes(): number {
    return this.field(TREE_FIELDS.size);
  }

  /** Device and inode; the same for all names of one file. */
  get identity(): string {
    return `${this.field(TREE_FIELDS.device)}:${this.field(TREE_FIELDS.inodeHigh)}:${this.field(TREE_FIELDS.inodeLow)}`;
  }

  /** What must still be so when the file is read. */
  get state(): Float64Array {
    return this.#fields.slice(this.#at + STATE_FROM, this.#at + TREE_FIELDS.count);
  }
}

/** Where a path leads, links resolved; `entry` is undefined where nothing is there. */
export interface Resolved {
  path: ByteString;
  entry: FileEntry | undefined;
}

export class TreeFiles {
  readonly rootFd: number;
  readonly #ignore: IgnoreRules | undefined;
  readonly #turns = new Turns();
  readonly #walked: WalkedFolders | undefined;
  readonly #ahead = new Map<ByteString, Promise<TreeListing>>();

  constructor(tree: Pick<SourceTree, 'path' | 'ignore' | 'walked'>) {
    this.rootFd = openSync(tree.path, O_PATH | O_DIRECTORY);
    this.#ignore = tree.ignore;
    this.#walked = tree.walked;
  }

  close(): void {
    closeSync(this.rootFd);
  }

  /** What is at a path without links in it; a link at its end is itself. Undefined for what is ignored, too. */
  look(path: ByteString): FileEntry | undefined {
    const found = treeAddon().treeLook(this.rootFd, bytesOf(path));
    if (found === null) return undefined;
    const place = { directory: parentOf(path), name: baseOf(path) };
    const link = found.link as ByteString;
    const entry = new FileEntry(place, found.fields, 0, link, readXattrs(found.xattrs ?? undefined));
    return this.#isVisible(entry) ? entry : undefined;
  }

  /** A directory's entries, sorted by bytes. */
  async list(directory: ByteString): Promise<FileEntry[]> {
    const listing = await (this.#ahead.get(directory) ?? this.#list(directory));
    this.#ahead.delete(directory);
    if (listing.names === '') {
      this.#walked?.add(directory, []);
      return [];
    }
    const links = listing.links.split('\0');
    let link = 0;
    const entries: FileEntry[] = [];
    for (const [index, name] of listing.names.split('/').entries()) {
      const at = index * TREE_FIELDS.count;
      const isLink = ((listing.fields[at + TREE_FIELDS.mode] ?? 0) & S_IFMT) === S_IFLNK;
      const target = (isLink ? (links[link++] ?? '') : EMPTY) as ByteString;
      const place = { directory, name: name as ByteString };
      const entry = new FileEntry(place, listing.fields, at, target, readXattrs(listing.xattrs[index]));
      if (this.#isVisible(entry)) entries.push(entry);
      if (index % ENTRIES_AT_ONCE === 0) await this.#turns.take();
    }
    this.#walked?.add(directory, entries);
    return entries.sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  /** Begins to list a directory that will be asked for next, so that the kernel is at work while this thread is. */
  listAhead(directory: ByteString): void {
    if (this.#ahead.size >= AHEAD_MAX || this.#ahead.has(directory)) return;
    const listing = this.#list(directory);
    /* Whoever asks for it hears of its failure. */
    listing.catch(() => undefined);
    this.#ahead.set(directory, listing);
  }

  #list(directory: ByteString): Promise<TreeListing> {
    return treeAddon().treeList(this.rootFd, bytesOf(directory), true);
  }

  /** An excluded directory is there as long as something below it may be. */
  #isVisible(entry: FileEntry): boolean {
    if (this.#ignore === undefined || entry.path === '') return true;
    const path = utf8(entry.path);
    if (!this.#ignore.excludes(path, entry.isDirectory)) return true;
    return entry.isDirectory && this.#ignore.mayIncludeBelow(path);
  }

  /** Whether a directory is there only for what may be below it. */
  isImplied(entry: FileEntry): boolean {
    return this.#ignore !== undefined && entry.path !== '' && this.#ignore.excludes(utf8(entry.path), true);
  }

  /** Follows links, also one at the end; absolute ones and `..` stay inside. */
  resolve(path: ByteString): Resolved {
    return resolveInside(path, (at) => this.look(at));
  }
}

/** Follows a path through whatever `look` knows. Names behind one that is missing are taken as they are. */
export function resolveInside<T extends { isLink: boolean; link: ByteString }>(
  path: ByteString,
  look: (path: ByteString) => T | undefined,
): { path: ByteString; entry: T | undefined } {
  const walked: { name: string; entry: T | undefined }[] = [];
  const pending = path.split('/').reverse();
  let links = 0;
  for (let name = pending.pop(); name !== undefined; name = pending.pop()) {
    if (name === '' || name === '.') continue;
    if (name === '..') {
      walked.pop();
      continue;
    }
    const parent = walked.at(-1);
    const below = [...walked.map((part) => part.name), name].join('/') as ByteString;
    const entry = parent !== undefined && parent.entry === undefined ? undefined : look(below);
    if (entry?.isLink !== true) {
      walked.push({ name, entry });
      continue;
    }
    if (++links > LINKS_MAX)
      throw new InvalidParameterError(`/${utf8(path)}: too many levels of symbolic links`);
    if (entry.link.startsWith('/')) walked.length = 0;
    pending.push(...entry.link.split('/').reverse());
  }
  const found = walked.map((part) => part.name).join('/') as ByteString;
  const last = walked.at(-1);
  return { path: found, entry: last === undefined ? look(EMPTY) : last.entry };
}

/** What a name looks like to patterns and people. */
export function utf8(name: ByteString): string {
  return Buffer.from(name, 'latin1').toString('utf8');
}

const NO_XATTRS: readonly TarXattr[] = [];

function readXattrs(list: TreeXattrs | undefined): readonly TarXattr[] {
  if (list === undefined) return NO_XATTRS;
  const xattrs: TarXattr[] = [];
  for (let i = 0; i + 1 < list.length; i += 2) {
    const [name, value] = [list[i], list[i + 1]];
    if (typeof name !== 'string' || typeof value !== 'object' || LOCAL_XATTR.test(name)) continue;
    xattrs.push({ name: name as ByteString, value });
  }
  return xattrs.length > 1 ? xattrs.sort((a, b) => (a.name < b.name ? -1 : 1)) : xattrs;
}

/** Whether an error says that a path does not lead to anything. */
export function isMissing(error: unknown): boolean {
  return ['ENOENT', 'ENOTDIR', 'ELOOP'].includes(errnoCode(error) ?? '');
}
