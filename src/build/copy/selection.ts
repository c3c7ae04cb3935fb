/**
 * What the sources of COPY and ADD come to in their trees: patterns of Go's filepath.Match become names, directories
 * become all that is in them, less what `--exclude` leaves out and what `--parents` does not ask for.
 */
import { InvalidParameterError } from '../../base/errors.ts';
import { IgnoreRules } from '../../base/ignore/ignore-rules.ts';
import { type ByteString, byteString, EMPTY } from '../../image/layers/tar/byte-string.ts';
import type { SourceTree } from '../source/source-tree.ts';
import { parentOf } from './destination.ts';
import { type FileEntry, TreeFiles, utf8 } from './tree-files.ts';
import { Turns } from './turns.ts';
import { compileWildcard, hasWildcard } from './wildcard.ts';

/** An entry that is copied. */
export interface SelectedNode {
  entry: FileEntry;
  /** Of a directory, sorted by bytes. */
  children?: SelectedNode[];
  /** A directory that nobody asked for, above something that was asked for. */
  implied: boolean;
}

/** One name that a pattern matched, links at its end resolved. */
export interface Match {
  /** The last name of the path that matched, which the copy gets in a directory. */
  name: ByteString;
  node: SelectedNode;
  tree: SourceTree;
  /** Of what is no directory: the directory that it stands in. */
  directory: FileEntry;
}

export interface SelectionOptions {
  parents: boolean;
  excludes: readonly string[];
  /** Patterns are names. */
  literal?: boolean;
  signal: AbortSignal;
}

const DEPTH_MAX = 4096;
/** Each is kept in memory until the copy is written: an archive of a few megabytes can name more than there is memory for. */
const ENTRIES_MAX = 2_000_000;

/** In the order of the patterns, then of names. Throws InvalidParameter where a path is not there. */
export async function selectMatches(
  tree: SourceTree,
  patterns: readonly string[],
  options: SelectionOptions,
): Promise<Match[]> {
  const files = new TreeFiles(tree);
  try {
    const matches: Match[] = [];
    for (const pattern of patterns)
      matches.push(...(await new Selection(tree, files, options).select(pattern)));
    return matches;
  } finally {
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
    const isThere = matches.some(({ node }) => !node.entry.isDirectory || include === '' || hasAny(node));
    if (!isThere && !hasWildcard(parent) && !hasWildcard(include)) {
      throw this.#notFound(`${cleanFromRoot(parent)}/${include}`);
    }
    return matches.filter(({ node }) => !node.entry.isDirectory || include === '' || hasAny(node));
  }

  async #matches(path: string, written: string): Promise<Match[]> {
    const isPattern = this.#options.literal !== true && hasWildcard(path);
    const names = isPattern ? await this.#expand(path) : [byteString(path)];
    const matches: Match[] = [];
    for (const name of names) {
      const { entry } = this.#files.resolve(name);
      if (entry === undefined) throw this.#notFound(utf8(name) || written);
      const node = await this.#node(entry, EMPTY, 0);
      if (node === undefined || (node.implied && entry.path !== '' && !hasAny(node))) {
        throw this.#notFound(utf8(name) || written);
      }
      const last = name.slice(name.lastIndexOf('/') + 1) as ByteString;
      const directory = entry.isDirectory ? entry : this.#files.look(parentOf(entry.path));
      if (directory === undefined) throw this.#notFound(utf8(name) || written);
      matches.push({ name: last, node: { ...node, implied: false }, tree: this.#tree, directory });
    }
    return matches;
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
        for (const child of this.#files.list(directory)) {
          if ((index === matchers.length - 1 || child.isDirectory) && matches(utf8(child.name)))
            next.push(child.path);
        }
      }
      found = next;
    }
    return found;
  }

  /** `below` is the path below what matched. Undefined for what is not to be copied. */
  async #node(entry: FileEntry, below: ByteString, depth: number): Promise<SelectedNode | undefined> {
    const wanted = this.#isWanted(below);
    if (!entry.isDirectory) return wanted ? { entry, implied: false } : undefined;
    const implied = !wanted || this.#files.isImplied(entry);
    if (depth > DEPTH_MAX)
      throw new InvalidParameterError(`/${utf8(entry.path)}: directories are nested too deeply`);
    await this.#turns.take();
    const children: SelectedNode[] = [];
    const listed = this.#files.list(entry.path);
    this.#entries += listed.length;
    if (this.#entries > ENTRIES_MAX) {
      throw new InvalidParameterError(
        `${this.#tree.title}: more than ${ENTRIES_MAX} files and folders at once cannot be copied`,
      );
    }
    for (const child of listed) {
      const path = (below === '' ? child.name : `${below}/${child.name}`) as ByteString;
      if (!child.isDirectory) {
        if (this.#isWanted(path)) children.push({ entry: child, implied: false });
      } else if (this.#mayBeEntered(path)) {
        const node = await this.#node(child, path, depth + 1);
        if (node !== undefined) children.push(node);
      }
    }
    return implied && below !== '' && children.length === 0 ? undefined : { entry, children, implied };
  }

  #isWanted(below: ByteString): boolean {
    if (below === '' || (this.#excludes.isEmpty && this.#includes === undefined)) return true;
    const shown = utf8(below);
    return !this.#excludes.excludes(shown) && this.#includes?.excludes(shown) !== false;
  }

  #mayBeEntered(below: ByteString): boolean {
    if (this.#excludes.isEmpty) return true;
    const shown = utf8(below);
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

function hasAny(node: SelectedNode): boolean {
  return (node.children?.length ?? 0) > 0;
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
