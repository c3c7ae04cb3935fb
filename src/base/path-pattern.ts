/**
 * Shell patterns with the meaning of Go's path.Match, which clients' `reference` filters have: `*` and `?` do not cross
 * a slash, `[a-z]` and `[^a-z]` are classes, a backslash takes the next character as it is. Matching takes at most
 * time proportional to the text's length times the pattern's, whatever a client writes.
 */
import { InvalidParameterError } from './errors.ts';

type Part =
  | { readonly kind: 'star' }
  | { readonly kind: 'any' }
  | { readonly kind: 'one'; readonly code: number }
  | { readonly kind: 'class'; readonly negated: boolean; readonly ranges: readonly [number, number][] };

const SLASH = 0x2f;

/** A test of whole texts. Throws InvalidParameter with Go's words for a pattern that is none. */
export function compilePathPattern(pattern: string): (text: string) => boolean {
  const parts = parse(codePoints(pattern));
  const literals = parts.filter(({ kind }) => kind !== 'star').length;
  return (text) => {
    const codes = codePoints(text);
    return literals <= codes.length && matches(parts, codes);
  };
}

function codePoints(text: string): number[] {
  return Array.from(text, (character) => character.codePointAt(0) ?? 0);
}

/** As in Go, a star takes as little as it can, and only the last one seen is given more: earlier ones stand. */
function matches(parts: readonly Part[], codes: readonly number[]): boolean {
  let part = 0;
  let at = 0;
  let starPart = -1;
  let starEnd = 0;
  while (at < codes.length || part < parts.length) {
    const current = parts[part];
    if (current?.kind === 'star') {
      starPart = part++;
      starEnd = at;
      continue;
    }
    if (current !== undefined && at < codes.length && takes(current, codes[at] ?? 0)) {
      part++;
      at++;
      continue;
    }
    if (starPart < 0 || starEnd >= codes.length || codes[starEnd] === SLASH) return false;
    part = starPart + 1;
    at = ++starEnd;
  }
  return true;
}

function takes(part: Part, code: number): boolean {
  switch (part.kind) {
    case 'any':
      return code !== SLASH;
    case 'one':
      return code === part.code;
    case 'class':
      return part.negated !== part.ranges.some(([low, high]) => low <= code && code <= high);
    default:
      return false;
  }
}

function parse(codes: readonly number[]): Part[] {
  const parts: Part[] = [];
  let at = 0;
  while (at < codes.length) {
    const code = codes[at] ?? 0;
    const character = String.fromCodePoint(code);
    at++;
    if (character === '*') {
      if (parts.at(-1)?.kind !== 'star') parts.push({ kind: 'star' });
    } else if (character === '?') {
      parts.push({ kind: 'any' });
    } else if (character === '[') {
      const parsed = parseClass(codes, at);
      parts.push(parsed.part);
      at = parsed.end;
    } else if (character === '\\') {
      const escaped = codes[at++];
      if (escaped === undefined) throw badPattern();
      parts.push({ kind: 'one', code: escaped });
    } else {
      parts.push({ kind: 'one', code });
    }
  }
  return parts;
}

const [CARET, DASH, BACKSLASH, CLOSE] = ['^', '-', '\\', ']'].map((character) => character.charCodeAt(0));

/** From behind `[`. A class holds at least one character, and `-` and `]` stand for themselves only when escaped. */
function parseClass(codes: readonly number[], start: number): { part: Part; end: number } {
  let at = start;
  const negated = codes[at] === CARET;
  if (negated) at++;
  const ranges: [number, number][] = [];
  const next = (): number => {
    let code = codes[at++];
    if (code === DASH || code === CLOSE) throw badPattern();
    if (code === BACKSLASH) code = codes[at++];
    // Not even an escaped character may be the last one: the class would not be closed.
    if (code === undefined || at >= codes.length) throw badPattern();
    return code;
  };
  while (codes[at] !== CLOSE || ranges.length === 0) {
    const low = next();
    let high = low;
    if (codes[at] === DASH) {
      at++;
      high = next();
    }
    ranges.push([low, high]);
  }
  return { part: { kind: 'class', negated, ranges }, end: at + 1 };
}

function badPattern(): InvalidParameterError {
  return new InvalidParameterError('syntax error in pattern');
}
