/**
 * One pattern of a .dockerignore file, with the meaning that Docker's clients and BuildKit give it: it is checked as Go's
 * filepath.Match has it, and matched as a regular expression of RE2 made of it, with `**` for any number of folders.
 * Both sides are observable: `[^a]` takes a slash, `a**` all that begins with `a`, `^` is an anchor beside wildcards.
 * Matching takes bounded time, whatever the pattern.
 */
import { InvalidParameterError } from '../errors.ts';
import { compileExpression } from '../expression/expression.ts';
import { compilePathPattern } from '../path-pattern.ts';

export interface IgnorePattern {
  /** `!pattern`: takes back what earlier patterns leave out. */
  readonly exception: boolean;
  /** Cleaned, without the `!`. */
  readonly text: string;
  /** Whether a whole path matches; its parent folders are the caller's to ask for. */
  matches(path: string): boolean;
  /** What everything that matches begins with; `isWhole`: only that matches, and nothing longer. */
  readonly prefix: string;
  readonly isWhole: boolean;
}

/** With one of these a pattern becomes an expression, in which `^` means something too. */
const WILD = /[*?[\]\\]/;
const SPECIAL = /[*?[\]\\^]/;
const QUOTED = /[.+()|{}$]/;
/** Patterns of literals, `*`, `**` and `?` alone have no other meaning in JavaScript's expressions. */
const SIMPLE = /^[^[\]\\^]*$/;
/** Beyond this, trying all ways to match costs too much, and they are followed all at once instead. */
const MAX_STARS = 3;

/** `text` is cleaned as Go's filepath.Clean does it. Throws InvalidParameter with Go's words. */
export function compileIgnorePattern(text: string, exception: boolean): IgnorePattern {
  compilePathPattern(text);
  const special = WILD.test(text) ? text.search(SPECIAL) : -1;
  const prefix = special < 0 ? text : text.slice(0, special);
  return { exception, text, prefix, isWhole: special < 0, matches: matcher(text) };
}

/** Twice what a path may have; V8 refuses expressions of some ten thousands. */
const EXPRESSION_MAX = 8192;

function matcher(text: string): (path: string) => boolean {
  if (!WILD.test(text)) return (path) => path === text;
  const simple = simpleMatcher(text);
  if (simple !== undefined) return simple;
  if (text.length > EXPRESSION_MAX)
    throw new InvalidParameterError(`a pattern of ${text.length} characters is too long to have wildcards`);
  const source = expression(text);
  const stars = source.split('*').length - 1;
  // With the flag u a character is a code point, as in Go; `.` takes no line feed there, but other line ends.
  if (SIMPLE.test(text) && stars <= MAX_STARS) {
    const compiled = new RegExp(source.replaceAll('.*', '[^\\n]*'), 'u');
    return (path) => compiled.test(path);
  }
  return compileExpression(source);
}

/** What Docker does not make an expression of: `**` alone at one end, and nothing else that is special. */
function simpleMatcher(text: string): ((path: string) => boolean) | undefined {
  const bare = text.replace(/^\*\*/, '').replace(/\*\*$/, '');
  if (WILD.test(bare) || text === bare) return undefined;
  if (text.startsWith('**') && !(text.length > 2 && text.endsWith('**'))) {
    return (path) => path.endsWith(bare) || (bare.startsWith('/') && path === bare.slice(1));
  }
  if (text.startsWith('**')) return undefined;
  return (path) => path.startsWith(bare);
}

/** As the patterns' own matcher builds it. */
function expression(text: string): string {
  let source = '^';
  const characters = [...text];
  for (let at = 0; at < characters.length; at++) {
    const character = characters[at] ?? '';
    if (character === '*' && characters[at + 1] === '*') {
      at++;
      if (characters[at + 1] === '/') at++;
      source += at + 1 === characters.length ? '.*' : '(.*/)?';
    } else if (character === '*') source += '[^/]*';
    else if (character === '?') source += '[^/]';
    else if (QUOTED.test(character)) source += `\\${character}`;
    else if (character === '\\') source += `\\${characters[++at] ?? ''}`;
    else source += character;
  }
  return `${source}$`;
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
