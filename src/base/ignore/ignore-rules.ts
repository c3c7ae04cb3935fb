/**
 * Lists of patterns in the language of .dockerignore: what they leave out of a folder. The last pattern that matches a
 * path counts; a pattern that matched a folder matches all that is below it. Used by clients that pack a build context
 * and by the builder that reads one in place, so that both see the same files.
 */
import { InvalidParameterError } from '../errors.ts';
import { cleanPath, type IgnorePattern, parseIgnorePattern, trimSpace } from './ignore-pattern.ts';

/** Go's bufio.Scanner takes no longer line. */
const LINE_MAX_BYTES = 64 * 1024;
/** Results for folders that are remembered; a walk needs those between the root and where it is. */
const FOLDERS_MAX = 4096;

/**
 * The patterns of a .dockerignore file, a line each: comments and a byte order mark left out, cleaned, leading slashes
 * taken off. Throws InvalidParameter where a line is longer than 64 KiB.
 */
export function parseIgnoreFile(text: string): string[] {
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

/** For each pattern whether it matched the path or a folder above it. */
type Matched = readonly boolean[];

interface Verdict {
  readonly matched: Matched;
  readonly ignored: boolean;
}

export class IgnoreRules {
  readonly #patterns: readonly IgnorePattern[];
  readonly #exceptions: readonly IgnorePattern[];
  readonly #folders = new Map<string, Verdict>();

  /** Throws InvalidParameter for a pattern that cannot be read, in Go's words. */
  constructor(patterns: readonly string[]) {
    this.#patterns = patterns.flatMap((pattern) => parseIgnorePattern(pattern) ?? []);
    this.#exceptions = this.#patterns.filter(({ exception }) => exception);
  }

  /** Nothing is left out. */
  get isEmpty(): boolean {
    return this.#patterns.length === 0;
  }

  /** `path` is relative, without a slash in front or behind. Quick where paths of one folder come after each other. */
  excludes(path: string): boolean {
    if (this.#patterns.length === 0 || path === '' || path === '.') return false;
    const slash = path.lastIndexOf('/');
    return this.#judge(path, slash < 0 ? undefined : this.#folder(path.slice(0, slash))).ignored;
  }

  /** False where nothing below an excluded folder can be an exception, so that it need not be read. */
  mayIncludeBelow(folder: string): boolean {
    const below = `${folder}/`;
    return this.#exceptions.some(({ prefix, isWhole }) => {
      if (prefix.startsWith(below)) return true;
      return !isWhole && below.startsWith(prefix);
    });
  }

  #folder(path: string): Verdict {
    const known = this.#folders.get(path);
    if (known !== undefined) return known;
    const slash = path.lastIndexOf('/');
    const verdict = this.#judge(path, slash < 0 ? undefined : this.#folder(path.slice(0, slash)));
    if (this.#folders.size >= FOLDERS_MAX) this.#folders.clear();
    this.#folders.set(path, verdict);
    return verdict;
  }

  /** A pattern that could change nothing is not asked, and does not count as one that matched. */
  #judge(path: string, parent: Verdict | undefined): Verdict {
    let ignored = false;
    const matched = this.#patterns.map((pattern, index) => {
      const match =
        parent?.matched[index] === true || (pattern.exception === ignored && pattern.matches(path));
      if (match) ignored = !pattern.exception;
      return match;
    });
    return { matched, ignored };
  }
}
