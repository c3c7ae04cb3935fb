/**
 * Go's filepath.Match, which COPY and ADD use: `*` and `?` stop at slashes, `[a-z]` and `[^a]` are classes, a
 * backslash escapes.
 */
import { InvalidParameterError } from '../../base/errors.ts';
import { compilePathPattern } from '../../base/path-pattern.ts';

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
  try {
    return compilePathPattern(pattern);
  } catch (error) {
    if (!(error instanceof InvalidParameterError)) throw error;
    throw new InvalidParameterError(`${error.message} "${pattern}"`, error);
  }
}
