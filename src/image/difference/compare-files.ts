/**
 * Walks two trees side by side and tells which entries are only in one of them, or not the same in both. Without
 * recursion, and with bounded memory: of more than MAX_CHANGES changes the rest is only counted. What a file's
 * content is, is judged by size, then by what the driver knows, then by its bytes.
 */
import type {
  DirectoryTotal,
  FileAspect,
  FileChange,
  FileDifference,
  FileState,
  FileType,
} from '../../api/image-difference.ts';
import { errnoCode } from '../../base/errors.ts';
import { S_IFBLK, S_IFCHR, S_IFDIR, S_IFIFO, S_IFLNK, S_IFREG, S_IFSOCK } from '../layers/native-archive.ts';
import { type ByteString, bytesOf, EMPTY, printable } from '../layers/tar/byte-string.ts';
import { type ContentComparison, contentComparison } from './content.ts';
import { childPath, type ImageTree, type TreeEntry } from './tree.ts';

/** About 100 MB in memory, and as JSON. */
const MAX_CHANGES = 200_000;
const MAX_NOTES = 20;
const CAPABILITIES = 'security.capability';

const TYPES = new Map<number, FileType>([
  [S_IFREG, 'file'],
  [S_IFDIR, 'directory'],
  [S_IFLNK, 'symlink'],
  [S_IFCHR, 'character'],
  [S_IFBLK, 'block'],
  [S_IFIFO, 'fifo'],
  [S_IFSOCK, 'socket'],
]);

export interface CompareFilesOptions {
  /** Read files of equal size. */
  content: boolean;
  /** Show entries of which only the modification time is different. */
  times: boolean;
  maxChanges?: number;
  /** Called between steps of some milliseconds; what it throws ends the comparison. */
  check(): void;
  note(text: string): void;
}

/** A directory that both trees have, or one of them. */
interface Pair {
  path: ByteString;
  inFrom: boolean;
  inTo: boolean;
}

export interface FoundChange {
  path: ByteString;
  change: FileChange;
}

/** Sorted by the bytes of the path. `difference.Changes` are the same objects, in the same order. */
export function compareFiles(
  from: ImageTree,
  to: ImageTree,
  options: CompareFilesOptions,
): { found: FoundChange[]; difference: FileDifference } {
  const walk = new Walk(from, to, options);
  walk.run();
  return walk.result();
}

class Walk {
  readonly #from: ImageTree;
  readonly #to: ImageTree;
  readonly #options: CompareFilesOptions;
  readonly #content: ContentComparison;
  readonly #pending: Pair[] = [{ path: EMPTY, inFrom: true, inTo: true }];
  readonly #found: FoundChange[] = [];
  readonly #totals = new Map<string, DirectoryTotal>();
  readonly #all: DirectoryTotal = { Path: '', Added: 0, Removed: 0, Changed: 0, SizeChange: 0 };
  /** Files of several names count once. */
  readonly #counted = { from: new Set<string>(), to: new Set<string>() };
  #timesOnly = 0;
  #notes = 0;
  #cut = false;

  constructor(from: ImageTree, to: ImageTree, options: CompareFilesOptions) {
    this.#from = from;
    this.#to = to;
    this.#options = options;
    this.#content = contentComparison(from, to, options.check);
  }

  run(): void {
    for (let pair = this.#pending.pop(); pair !== undefined; pair = this.#pending.pop()) {
      this.#options.check();
      this.#directory(pair);
    }
  }

  result(): { found: FoundChange[]; difference: FileDifference } {
    const found = this.#found.sort((a, b) => (a.path < b.path ? -1 : 1));
    const { Added, Removed, Changed, SizeChange } = this.#all;
    const difference = {
      Changes: found.map(({ change }) => change),
      Added,
      Removed,
      Changed,
      TimesOnly: this.#timesOnly,
      SizeChange,
      Directories: [...this.#totals.values()].sort((a, b) => (a.Path < b.Path ? -1 : 1)),
      Cut: this.#cut,
    };
    return { found, difference };
  }

  #note(text: string): void {
    this.#notes++;
    if (this.#notes <= MAX_NOTES) this.#options.note(text);
    if (this.#notes === MAX_NOTES) this.#options.note('More files could not be compared');
  }

  /** undefined: it could not be looked into, which was noted. A directory that is gone has no entries. */
  #list(tree: ImageTree, path: ByteString, isThere: boolean): TreeEntry[] | undefined {
    if (!isThere) return [];
    try {
      return tree.list(path) ?? [];
    } catch (error) {
      const code = errnoCode(error);
      if (code === undefined) throw error;
      this.#note(`${printable(path)} could not be listed (${code}): nothing in it is compared`);
      return undefined;
    }
  }

  #directory({ path, inFrom, inTo }: Pair): void {
    const from = this.#list(this.#from, path, inFrom);
    const to = this.#list(this.#to, path, inTo);
    if (from === undefined || to === undefined) return;
    const rest = new Map(to.map((entry) => [entry.name, entry]));
    for (const entry of from) {
      this.#entries(childPath(path, entry.name), entry, rest.get(entry.name));
      rest.delete(entry.name);
    }
    for (const entry of rest.values()) this.#entries(childPath(path, entry.name), undefined, entry);
  }

  #entries(path: ByteString, from: TreeEntry | undefined, to: TreeEntry | undefined): void {
    const inFrom = from?.format === S_IFDIR;
    const inTo = to?.format === S_IFDIR;
    if (inFrom || inTo) this.#pending.push({ path, inFrom, inTo });
    if (from === undefined || to === undefined) {
      this.#add(path, from, to, []);
      return;
    }
    const aspects = this.#aspects(path, from, to);
    const newTime = from.mtimeSec !== to.mtimeSec || from.mtimeNsec !== to.mtimeNsec;
    // A directory's time says no more than its entries do.
    const onlyTime = newTime && aspects.length === 0 && !inTo;
    if (onlyTime) this.#timesOnly++;
    if (newTime && this.#options.times && (aspects.length > 0 || onlyTime)) aspects.push('time');
    if (aspects.length > 0) this.#add(path, from, to, aspects);
  }

  #aspects(path: ByteString, from: TreeEntry, to: TreeEntry): FileAspect[] {
    const aspects: FileAspect[] = [];
    if (from.format !== to.format) aspects.push('type');
    else if (this.#isOtherContent(path, from, to)) aspects.push('content');
    if (from.format === to.format && from.link !== to.link) aspects.push('link');
    if (isDevice(from) && from.format === to.format && (from.major !== to.major || from.minor !== to.minor))
      aspects.push('device');
    if (from.mode !== to.mode && to.format !== S_IFLNK && from.format !== S_IFLNK) aspects.push('mode');
    if (from.uid !== to.uid || from.gid !== to.gid) aspects.push('owner');
    const names = otherXattrs(from, to);
    if (names.has(CAPABILITIES)) aspects.push('capabilities');
    if ([...names].some((name) => name !== CAPABILITIES)) aspects.push('xattrs');
    return aspects;
  }

  #isOtherContent(path: ByteString, from: TreeEntry, to: TreeEntry): boolean {
    if (to.format !== S_IFREG) return false;
    if (from.size !== to.size) return true;
    if (!this.#options.content || to.size === 0) return false;
    try {
      return !this.#content(path, from, to);
    } catch (error) {
      const code = errnoCode(error);
      if (code === undefined) throw error;
      this.#note(`${printable(path)} could not be read (${code}): its content is not compared`);
      return false;
    }
  }

  #add(
    path: ByteString,
    from: TreeEntry | undefined,
    to: TreeEntry | undefined,
    aspects: FileAspect[],
  ): void {
    const kind = from === undefined ? 'added' : to === undefined ? 'removed' : 'changed';
    const sizeChange = newBytes(to, this.#counted.to) - newBytes(from, this.#counted.from);
    for (const total of [this.#all, this.#totalOf(path)]) {
      if (kind === 'added') total.Added++;
      else if (kind === 'removed') total.Removed++;
      else total.Changed++;
      total.SizeChange += sizeChange;
    }
    if (this.#found.length >= (this.#options.maxChanges ?? MAX_CHANGES)) {
      this.#cut = true;
      return;
    }
    const bytes = bytesOf(path);
    const text = bytes.toString('utf8');
    const change: FileChange = {
      Path: `/${text}`,
      ...(Buffer.from(text, 'utf8').equals(bytes)
        ? {}
        : { PathBytes: bytesOf(`/${path}` as ByteString).toString('base64') }),
      Kind: kind,
      ...(aspects.length === 0 ? {} : { Aspects: aspects }),
      ...(from === undefined ? {} : { From: fileState(from) }),
      ...(to === undefined ? {} : { To: fileState(to) }),
    };
    this.#found.push({ path, change });
  }

  #totalOf(path: ByteString): DirectoryTotal {
    const end = path.indexOf('/');
    const top = end < 0 ? path : path.slice(0, end);
    let total = this.#totals.get(top);
    if (total === undefined) {
      const text = Buffer.from(top, 'latin1').toString('utf8');
      total = { Path: `/${text}`, Added: 0, Removed: 0, Changed: 0, SizeChange: 0 };
      this.#totals.set(top, total);
    }
    return total;
  }
}

function newBytes(entry: TreeEntry | undefined, counted: Set<string>): number {
  if (entry?.inode === undefined) return entry?.size ?? 0;
  if (counted.has(entry.inode)) return 0;
  counted.add(entry.inode);
  return entry.size;
}

function isDevice({ format }: TreeEntry): boolean {
  return format === S_IFCHR || format === S_IFBLK;
}

function otherXattrs(from: TreeEntry, to: TreeEntry): Set<string> {
  if (from.xattrs.length === 0 && to.xattrs.length === 0) return new Set();
  const old = new Map(from.xattrs.map(({ name, value }) => [name, value]));
  const other = new Set<string>();
  for (const { name, value } of to.xattrs) {
    const before = old.get(name);
    if (before === undefined || !Buffer.from(before).equals(value)) other.add(name);
    old.delete(name);
  }
  for (const name of old.keys()) other.add(name);
  return other;
}

function fileState(entry: TreeEntry): FileState {
  const utf8 = (text: ByteString): string => bytesOf(text).toString('utf8');
  return {
    Type: TYPES.get(entry.format) ?? 'file',
    Mode: entry.mode,
    Uid: entry.uid,
    Gid: entry.gid,
    Size: entry.size,
    ModTime: timeText(entry.mtimeSec, entry.mtimeNsec),
    ...(entry.format === S_IFLNK ? { Link: utf8(entry.link) } : {}),
    ...(isDevice(entry) ? { Device: `${entry.major}:${entry.minor}` } : {}),
    ...(entry.xattrs.length === 0 ? {} : { Xattrs: entry.xattrs.map(({ name }) => utf8(name)) }),
  };
}

/** Times beyond what a Date holds, which only a broken archive has, show as the nearest that it does. */
function timeText(seconds: number, nanoseconds: number): string {
  const ms = Math.min(Math.max(seconds * 1000, -62_135_596_800_000), 253_402_300_799_000);
  return `${new Date(ms).toISOString().slice(0, 19)}.${String(nanoseconds).padStart(9, '0')}Z`;
}
