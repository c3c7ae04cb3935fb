/**
 * Lists of patterns in the language of .dockerignore: what they leave out of a folder. The last pattern that matches a
 * path counts; a pattern that matched a folder matches all that is below it. Used by clients that pack a build context
 * and by the builder that reads one in place, so that both see the same files.
 */
import { InvalidParameterError } from '../errors.ts';
import { cleanPath, type IgnorePattern, parseIgnorePattern, trimSpace } from './ignore-pattern.ts';
import { PatternAutomaton, type TextPlace } from './pattern-automaton.ts';
import type { PatternElement } from './pattern-elements.ts';

/** Go's bufio.Scanner takes no longer line. */
const LINE_MAX_BYTES = 64 * 1024;
/** Each line becomes an object, whatever it says. */
const FILE_MAX_CHARACTERS = 2 * 1024 * 1024;
/** Linux has no longer paths, but COPY may name one: to look each of its folders up would take the square of its length. */
const PATH_MAX = 4096;
/** What is known of folders is remembered for these many; a walk needs those between the root and where it is. */
const FOLDERS_MAX = 4096;
/** And for fewer where the patterns are many: of all folders together, four bytes each. */
const FOLDERS_MAX_WORDS = 4 * 1024 * 1024;

/**
 * The patterns of a .dockerignore file, a line each: comments and a byte order mark left out, cleaned, leading slashes
 * taken off. Throws InvalidParameter where a line is longer than 64 KiB, or all of them are longer than 2 Mi characters.
 */
export function parseIgnoreFile(text: string): string[] {
  if (text.length > FILE_MAX_CHARACTERS)
    throw new InvalidParameterError(
      `its ${text.length} characters are more than the ${FILE_MAX_CHARACTERS} that an ignore file may have`,
    );
  const patterns: string[] = [];
  for (const [index, line] of text.split('\n').entries()) {
    if (Buffer.byteLength(line) >= LINE_MAX_BYTES)
      throw new InvalidParameterError('bufio.Scanner: token too long');
    const bare = (index === 0 ? line.replace(/^\uFEFF/, '') : line).replace(/\r$/, '');
    if (bare.startsWith('#')) continue;
    let pattern = trimSpace(bare);
    if (pattern === '') continue;
    const exception = pattern.startsWith('!');
    if (exception) pattern = trimSpace(pattern.slice(1));
    if (pattern !== '') {
      pattern = cleanPath(pattern);
      if (pattern.length > 1 && pattern.startsWith('/')) pattern = pattern.slice(1);
    }
    patterns.push(exception ? `!${pattern}` : pattern);
  }
  return patterns;
}

interface Verdict {
  readonly ignored: boolean;
  /** The patterns that matched the path or a folder above it, in their order. */
  readonly matched: readonly number[];
}

interface Folder extends Verdict {
  /** Behind the slash at its end. */
  readonly place: TextPlace;
}

export class IgnoreRules {
  readonly #patterns: readonly IgnorePattern[];
  readonly #exceptions: readonly IgnorePattern[];
  /** Patterns that only their own text matches, by that. */
  readonly #named = new Map<string, number[]>();
  /** The other ones, and which of all patterns each of them is. */
  readonly #wild: PatternAutomaton;
  readonly #wildIndexes: readonly number[];
  readonly #root: Folder;
  readonly #folders = new Map<string, Folder>();
  readonly #foldersMax: number;
  readonly #longestName: number;

  /** Throws InvalidParameter for a pattern that cannot be read, in Go's words. */
  constructor(patterns: readonly string[]) {
    this.#patterns = patterns.flatMap((pattern) => parseIgnorePattern(pattern) ?? []);
    this.#exceptions = this.#patterns.filter(({ exception }) => exception);
    const wild: (readonly PatternElement[])[] = [];
    const wildIndexes: number[] = [];
    for (const [index, { text, elements }] of this.#patterns.entries()) {
      const same = this.#named.get(text);
      if (elements !== undefined) {
        wild.push(elements);
        wildIndexes.push(index);
      } else if (same === undefined) this.#named.set(text, [index]);
      else same.push(index);
    }
    this.#longestName = [...this.#named.keys()].reduce((longest, { length }) => Math.max(longest, length), 0);
    this.#wild = new PatternAutomaton(wild);
    this.#wildIndexes = wildIndexes;
    this.#root = { ignored: false, matched: [], place: this.#wild.start };
    const folderWords = this.#wild.wordCount + this.#patterns.length + 1;
    this.#foldersMax = Math.min(FOLDERS_MAX, Math.ceil(FOLDERS_MAX_WORDS / folderWords));
  }

  /** Nothing is left out. */
  get isEmpty(): boolean {
    return this.#patterns.length === 0;
  }

  /** `path` is relative, without a slash in front or behind. Quick where paths of one folder come after each other. */
  excludes(path: string): boolean {
    if (this.#patterns.length === 0 || path === '' || path === '.') return false;
    const slash = path.lastIndexOf('/');
    const parent = this.#folder(path, slash);
    return this.#judge(path, this.#wild.advance(parent.place, path.slice(slash + 1)), parent).ignored;
  }

  /** False where nothing below an excluded folder can be an exception, so that it need not be read. */
  mayIncludeBelow(folder: string): boolean {
    const below = `${folder}/`;
    return this.#exceptions.some(({ prefix, elements }) => {
      if (prefix.startsWith(below)) return true;
      return elements !== undefined && below.startsWith(prefix);
    });
  }

  /** What is known of the folder whose path ends at `slash`; less than 0: of the root. */
  #folder(path: string, slash: number): Folder {
    // From the nearest folder that is known, down: paths may be deeper than calls can be nested.
    let known: Folder | undefined;
    let end = slash;
    for (; end >= 0; end = path.lastIndexOf('/', end - 1)) {
      if (end > PATH_MAX) continue;
      known = this.#folders.get(path.slice(0, end));
      if (known !== undefined || end === 0) break;
    }
    let folder = known ?? this.#root;
    let from = known === undefined ? 0 : end + 1;
    while (from <= slash) {
      const to = path.indexOf('/', from);
      const name = path.slice(0, to);
      const place = this.#wild.advance(folder.place, path.slice(from, to));
      const { ignored, matched } = this.#judge(name, place, folder);
      folder = { ignored, matched, place: this.#wild.advance(place, '/') };
      if (this.#folders.size >= this.#foldersMax) this.#folders.clear();
      if (to <= PATH_MAX) this.#folders.set(name, folder);
      from = to + 1;
    }
    return folder;
  }

  /** A pattern that could change nothing is not asked, and does not count as one that matched. */
  #judge(path: string, place: TextPlace, parent: Verdict): Verdict {
    const named = (path.length <= this.#longestName ? this.#named.get(path) : undefined) ?? [];
    const wild = this.#wild.matches(place);
    if (named.length === 0 && wild.length === 0) return parent;
    const above = parent.matched;
    const matched: number[] = [];
    let ignored = false;
    // All three are in order.
    for (let [n, w, a] = [0, 0, 0]; n < named.length || w < wild.length || a < above.length; ) {
      const one = named[n] ?? Number.POSITIVE_INFINITY;
      const other = this.#wildIndexes[wild[w] ?? -1] ?? Number.POSITIVE_INFINITY;
      const known = above[a] ?? Number.POSITIVE_INFINITY;
      const index = Math.min(one, other, known);
      if (index === one) n++;
      if (index === other) w++;
      if (index === known) a++;
      const exception = this.#patterns[index]?.exception === true;
      if (index !== known && exception !== ignored) continue;
      ignored = !exception;
      matched.push(index);
    }
    return { ignored, matched };
  }
}
