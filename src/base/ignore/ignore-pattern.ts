/**
 * One pattern of a .dockerignore file, with the meaning that Docker's clients and BuildKit give it: it is checked as Go's
 * filepath.Match has it, and matched as a regular expression of RE2 made of it, with `**` for any number of folders.
 * Both sides are observable: `[^a]` takes a slash, `a**` all that begins with `a`, `^` is an anchor beside wildcards.
 */
import { InvalidParameterError } from '../errors.ts';
import { compilePathPattern } from '../path-pattern.ts';
import { isWild, type PatternElement, patternElements } from './pattern-elements.ts';

export interface IgnorePattern {
  /** `!pattern`: takes back what earlier patterns leave out. */
  readonly exception: boolean;
  /** Cleaned, without the `!`. */
  readonly text: string;
  /** For pattern-automaton.ts; undefined where only the text itself matches. */
  readonly elements: readonly PatternElement[] | undefined;
  /** What everything that matches begins with. */
  readonly prefix: string;
}

const SPECIAL = /[*?[\]\\^]/;

/** `text` is cleaned as Go's filepath.Clean does it. Throws InvalidParameter with Go's words. */
function compileIgnorePattern(text: string, exception: boolean): IgnorePattern {
  if (!isWild(text)) return { exception, text, prefix: text, elements: undefined };
  compilePathPattern(text);
  const prefix = text.slice(0, text.search(SPECIAL));
  return { exception, text, prefix, elements: patternElements(text) };
}

/** Go's filepath.Clean. */
export function cleanPath(path: string): string {
  const rooted = path.startsWith('/');
  const parts: string[] = [];
  for (const part of path.split('/')) {
    if (part === '' || part === '.') continue;
    if (part !== '..') parts.push(part);
    else if (parts.length > 0 && parts.at(-1) !== '..') parts.pop();
    else if (!rooted) parts.push(part);
  }
  const clean = parts.join('/');
  if (rooted) return `/${clean}`;
  return clean === '' ? '.' : clean;
}

/** Reads `!pattern` or `pattern`; undefined for an empty one. */
export function parseIgnorePattern(line: string): IgnorePattern | undefined {
  const trimmed = trimSpace(line);
  if (trimmed === '') return undefined;
  const clean = cleanPath(trimmed);
  if (clean === '!') throw new InvalidParameterError('illegal exclusion pattern: "!"');
  return clean.startsWith('!')
    ? compileIgnorePattern(clean.slice(1), true)
    : compileIgnorePattern(clean, false);
}

/** Go's strings.TrimSpace, which is not JavaScript's trim: a byte order mark stays. */
export function trimSpace(text: string): string {
  return text.replace(
    /^[\t-\r \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]+|[\t-\r \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]+$/g,
    '',
  );
}
