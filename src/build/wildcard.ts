/**
 * Go's filepath.Match, which COPY and ADD use: `*` and `?` stop at slashes, `[a-z]` and `[^a]` are classes, a
 * backslash escapes.
 */
import { InvalidParameterError } from '../base/errors.ts';

/** Whether a pattern has anything to match with. */
export function hasWildcard(pattern: string): boolean {
  for (let i = 0; i < pattern.length; i++) {
    if (pattern[i] === '\\') i++;
    else if ('*?['.includes(pattern[i] ?? '')) return true;
  }
  return false;
}

/** A pattern as a function. Throws InvalidParameter for a class without an end and an escape of nothing. */
export function compileWildcard(pattern: string): (name: string) => boolean {
  const expression = new RegExp(`^${wildcardSource(pattern)}$`, 'su');
  return (name) => expression.test(name);
}

function wildcardSource(pattern: string): string {
  const characters = [...pattern];
  let source = '';
  for (let i = 0; i < characters.length; i++) {
    const char = characters[i] ?? '';
    if (char === '*') source += '[^/]*';
    else if (char === '?') source += '[^/]';
    else if (char === '\\') source += literal(characters[++i] ?? bad(pattern));
    else if (char === '[') {
      const end = classEnd(characters, i, pattern);
      source += classSource(characters.slice(i + 1, end), pattern);
      i = end;
    } else source += literal(char);
  }
  return source;
}

function bad(pattern: string): never {
  throw new InvalidParameterError(`syntax error in pattern "${pattern}"`);
}

function literal(char: string): string {
  return /[\^$\\.*+?()[\]{}|/-]/.test(char) ? `\\${char}` : char;
}

function classEnd(characters: string[], start: number, pattern: string): number {
  for (let i = start + 1; i < characters.length; i++) {
    if (characters[i] === '\\') i++;
    else if (characters[i] === ']' && i > start + 1) return i;
  }
  return bad(pattern);
}

function classSource(body: string[], pattern: string): string {
  const negated = body[0] === '^';
  const members = negated ? body.slice(1) : body;
  if (members.length === 0) bad(pattern);
  let source = '';
  for (let i = 0; i < members.length; i++) {
    const char = members[i] ?? '';
    if (char === '\\') source += literal(members[++i] ?? bad(pattern));
    else if (char === '-' && i > 0 && i < members.length - 1) source += '-';
    else source += literal(char);
  }
  return negated ? `(?!/)[^${source}]` : `(?!/)[${source}]`;
}
