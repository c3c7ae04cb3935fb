/**
 * What the sources of COPY and ADD come to in their trees: patterns of Go's filepath.Match become names, directories
 * become all that is in them, less what `--exclude` leaves out and what `--parents` does not ask for.
 */
import { InvalidParameterError } from '../../base/errors.ts';
import { IgnoreRules } from '../../base/ignore/ignore-rules.ts';
import { ENTRIES_AT_ONCE, Turns } from '../../base/turns.ts';
import { type ByteString, byteString, EMPTY } from '../../image/layers/tar/byte-string.ts';
import type { SourceTree } from '../source/source-tree.ts';
import { below, parentOf } from './entry-path.ts';
import { FileTable } from './file-table.ts';
import { type FileEntry, TreeFiles, utf8 } from './tree-files.ts';
import { compileWildcard, hasWildcard } from './wildcard.ts';

/** A directory that is copied. */
export interface SelectedNode {
  entry: FileEntry;
  /** What in it is no directory. */
  files: FileTable;
  /** Sorted by bytes, as the files are. */
  folders: SelectedNode[];
  /** A directory that nobody asked for, above something that was asked for. */
  implied: boolean;
}

interface MatchBase {
  /** The last name of the path that matched, which the copy gets in a directory. */
  name: ByteString;
  tree: SourceTree;
}

/** One name that a pattern matched, links at its end resolved. */
export type Match = MatchBase &
  (
    | { kind: 'directory'; node: SelectedNode }
    /** One that is no directory: a table of its own, and the directory that it stands in. */
    | { kind: 'file'; file: FileTable; directory: FileEntry }
  );

export interface SelectionOptions {
  parents: boolean;
  excludes: readonly string[];
  /** Patterns are names. */
  literal?: boolean;
  /** How many files and folders at most. Default ENTRIES_MAX. */
  entriesMax?: number;
  signal: AbortSignal;
}

const DEPTH_MAX = 4096;
/** How many folders of a directory are listed ahead, with the one that is entered. */
const AHEAD = 4;
/** Each is kept in memory until the copy is written: an archive of a few megabytes can name more than there is memory for. */
export const ENTRIES_MAX = 2_000_000;

/** In the order of the patterns, then of names. Throws InvalidParameter where a path is not there. */
export async function selectMatches(
  tree: SourceTree,
  patterns: readonly string[],
  options: SelectionOptions,
): Promise<Match[]> {
  const files = new TreeFiles(tree);
  const done = tree.walked?.begin();
  try {
    const matches: Match[] = [];
    for (const pattern of patterns)
      matches.push(...(await new Selection(tree, files, options).select(pattern)));
    return matches;
  } finally {
    done?.();
    files.close();
  }
}

class Selection {
  readonly #tree: SourceTree;
  readonly #files: TreeFiles;
  readonly #options: SelectionOptions;
  readonly #excludes: IgnoreRules;
  #includes: IgnoreRules | undefined;
  readonly #turns: Turns;
  #entries = 0;

  constructor(tree: SourceTree, files: TreeFiles, options: SelectionOptions) {
    this.#tree = tree;
    this.#files = files;
    this.#options = options;
    this.#turns = new Turns(options.signal);
    this.#excludes = new IgnoreRules(options.excludes);
  }

  async select(pattern: string): Promise<Match[]> {
    if (!this.#options.parents) return await this.#matches(cleanFromRoot(pattern), pattern);
    const [parent, below] = splitPivot(pattern);
    const include = cleanFromRoot(below);
    this.#includes = include === '' ? undefined : new IgnoreRules([include]);
    const matches = await this.#matches(cleanFromRoot(parent), parent);
    const found = matches.filter((match) => match.kind === 'file' || include === '' || hasAny(match.node));
    if (found.length === 0 && !hasWildcard(parent) && !hasWildcard(include)) {
      throw this.#notFound(`${cleanFromRoot(parent)}/${include}`);
    }
    return found;
  }

  async #matches(path: string, written: string): Promise<Match[]> {
    const isPattern = this.#options.literal !== true && hasWildcard(path);
    const names = isPattern ? await this.#expand(path) : [byteString(path)];
    const matches: Match[] = [];
    for (const name of names) {
      const { entry } = this.#files.resolve(name);
      if (entry === undefined) throw this.#notFound(utf8(name) || written);
      const match = entry.isDirectory ? await this.#directory(entry) : this.#file(entry);
      if (match === undefined) throw this.#notFound(utf8(name) || written);
      const last = name.slice(name.lastIndexOf('/') + 1) as ByteString;
      matches.push({ name: last, tree: this.#tree, ...match });
    }
    return matches;
  }

  async #directory(entry: FileEntry): Promise<{ kind: 'directory'; node: SelectedNode } | undefined> {
    const node = await this.#node(entry, EMPTY, 0);
    if (node === undefined || (node.implied && entry.path !== '' && !hasAny(node))) return undefined;
    return { kind: 'directory', node: { ...node, implied: false } };
  }

  #file(entry: FileEntry): { kind: 'file'; file: FileTable; directory: FileEntry } | undefined {
    this.#count(1);
    const directory = this.#files.look(parentOf(entry.path));
    if (directory === undefined) return undefined;
    return { kind: 'file', file: new FileTable(directory.path, [entry]), directory };
  }

  /** Links in front of the first wildcard are followed, others are not entered. */
  async #expand(pattern: string): Promise<ByteString[]> {
    const parts = pattern.split('/');
    const first = parts.findIndex((part) => hasWildcard(part));
    const fixed = parts.slice(0, first).join('/');
    const matchers = parts.slice(first).map((part) => compileWildcard(part));
    const { path, entry } = this.#files.resolve(byteString(fixed));
    if (entry?.isDirectory !== true) return [];
    let found = [path];
    for (const [index, matches] of matchers.entries()) {
      const next: ByteString[] = [];
      for (const directory of found) {
        await this.#turns.take();
        for (const child of await this.#files.list(directory)) {
          if ((index === matchers.length - 1 || child.isDirectory) && matches(utf8(child.name)))
            next.push(child.path);
        }
      }
      found = next;
    }
    return found;
  }

  /** `matched` is the path below what matched. Undefined for what is not to be copied. */
  async #node(entry: FileEntry, matched: ByteString, depth: number): Promise<SelectedNode | undefined> {
    const implied = !this.#isWanted(matched) || this.#files.isImplied(entry);
    if (depth > DEPTH_MAX)
      throw new InvalidParameterError(`/${utf8(entry.path)}: directories are nested too deeply`);
    await this.#turns.take();
    const { files, directories } = await this.#list(entry, matched);
    const folders: SelectedNode[] = [];
    for (const [index, { child, path }] of directories.entries()) {
      for (const next of directories.slice(index, index + AHEAD)) this.#files.listAhead(next.child.path);
      const node = await this.#node(child, path, depth + 1);
      if (node !== undefined) folders.push(node);
    }
    const node = { entry, files, folders, implied };
    return implied && matched !== '' && !hasAny(node) ? undefined : node;
  }

  /** What of a directory is to be copied, or looked into. */
  async #list(
    { path }: FileEntry,
    above: ByteString,
  ): Promise<{ files: FileTable; directories: { child: FileEntry; path: ByteString }[] }> {
    const listed = await this.#files.list(path);
    this.#count(listed.length);
    const files: FileEntry[] = [];
    const directories: { child: FileEntry; path: ByteString }[] = [];
    for (const [index, child] of listed.entries()) {
      if (index % ENTRIES_AT_ONCE === 0) await this.#turns.take();
      if (!child.isDirectory) {
        if (this.#isAll || this.#isWanted(below(above, child.name))) files.push(child);
        continue;
      }
      const at = below(above, child.name);
      if (this.#mayBeEntered(at)) directories.push({ child, path: at });
    }
    return { files: new FileTable(path, files), directories };
  }

  #count(more: number): void {
    const { entriesMax = ENTRIES_MAX } = this.#options;
    this.#entries += more;
    if (this.#entries <= entriesMax) return;
    throw new InvalidParameterError(
      `${this.#tree.title}: more than ${entriesMax} files and folders at once cannot be copied`,
    );
  }

  get #isAll(): boolean {
    return this.#excludes.isEmpty && this.#includes === undefined;
  }

  #isWanted(path: ByteString): boolean {
    if (path === '' || this.#isAll) return true;
    const shown = utf8(path);
    return !this.#excludes.excludes(shown) && this.#includes?.excludes(shown) !== false;
  }

  #mayBeEntered(path: ByteString): boolean {
    if (this.#excludes.isEmpty) return true;
    const shown = utf8(path);
    return !this.#excludes.excludes(shown) || this.#excludes.mayIncludeBelow(shown);
  }

  #notFound(path: string): InvalidParameterError {
    return notFound(this.#tree, path);
  }
}

/** BuildKit's words, with what else may be the reason. */
export function notFound(tree: SourceTree, path: string): InvalidParameterError {
  const shown = `"/${path.replace(/^\/+/, '')}": not found`;
  const hint =
    tree.ignore === undefined ? '' : ' (file not found in build context or excluded by .dockerignore)';
  return new InvalidParameterError(`failed to calculate checksum of ref ${tree.title}: ${shown}${hint}`);
}

function hasAny({ files, folders }: SelectedNode): boolean {
  return files.count > 0 || folders.length > 0;
}

/**
 * What is in a directory, in the order of the names: one after the other is handed to `onFile`, by its place in the
 * node's table, or to `onFolder`.
 */
export function forEachChild(
  { files, folders }: SelectedNode,
  onFile: (index: number) => void,
  onFolder: (folder: SelectedNode) => void,
): void {
  let next = 0;
  for (const folder of folders) {
    const { name } = folder.entry;
    while (next < files.count && files.name(next) < name) onFile(next++);
    onFolder(folder);
  }
  while (next < files.count) onFile(next++);
}

/** As a path from the root, without a slash in front: what would climb out stays in the root. */
function cleanFromRoot(pattern: string): string {
  const parts: string[] = [];
  for (const part of pattern.split('/')) {
    if (part === '' || part === '.') continue;
    if (part === '..') parts.pop();
    else parts.push(part);
  }
  return parts.join('/');
}

/** What is in front of the first `/./`, and what behind: parent folders are kept from there on. */
function splitPivot(pattern: string): [parent: string, below: string] {
  const at = pattern.indexOf('/./');
  return at < 0 ? ['/', pattern] : [pattern.slice(0, at), pattern.slice(at + 3)];
}
