/**
 * Shell patterns of `${name#pattern}`, `${name%pattern}` and `${name/pattern/text}`: `*`, `?` and `\`, no brackets.
 * All ways to match are followed at once, and the work on one value is bounded, so that no Dockerfile can keep the
 * daemon busy.
 */
import { InvalidParameterError } from '../../base/errors.ts';

type Part = 'star' | 'any' | number;

/** Steps that one operation may take; a backtracking matcher needs more than any number of them. */
const STEPS_MAX = 20_000_000;

export class ShellPattern {
  readonly #text: string;
  readonly #parts: readonly Part[];
  #steps = 0;

  /** Throws InvalidParameter for an escape of what needs none. */
  constructor(pattern: string) {
    this.#text = pattern;
    this.#parts = partsOf(pattern);
  }

  /** The value without the shortest, or longest, beginning (`#`) or end (`%`) that matches. */
  trim(value: string, operator: '#' | '%', longest: boolean): string {
    this.#steps = 0;
    const atEnd = operator === '%';
    const parts = atEnd ? this.#parts.toReversed() : this.#parts;
    const length = this.#match(parts, value, atEnd ? value.length - 1 : 0, atEnd ? -1 : 1, longest);
    if (length === undefined) return value;
    return atEnd ? value.slice(0, value.length - length) : value.slice(length);
  }

  /** The value with the first of the longest matches, or all of them, replaced. */
  replace(value: string, replacement: string, all: boolean): string {
    this.#steps = 0;
    let text = '';
    let at = 0;
    while (at <= value.length) {
      const length = this.#match(this.#parts, value, at, 1, true);
      if (length === undefined) {
        text += value.charAt(at++);
        continue;
      }
      text += replacement;
      // Behind an empty match the next character stays.
      if (length === 0) text += value.charAt(at);
      at += Math.max(length, 1);
      if (!all) break;
    }
    return text + value.slice(at);
  }

  /** How much of the value matches from `from` on, towards `step`; undefined where nothing does. */
  #match(
    parts: readonly Part[],
    value: string,
    from: number,
    step: 1 | -1,
    longest: boolean,
  ): number | undefined {
    let states = new Set<number>();
    reach(states, parts, 0);
    let found: number | undefined;
    for (let length = 0; states.size > 0; length++) {
      if (states.has(parts.length)) found = length;
      if (found !== undefined && !longest) break;
      const at = from + length * step;
      if (at < 0 || at >= value.length) break;
      this.#steps += states.size;
      if (this.#steps > STEPS_MAX) {
        throw new InvalidParameterError(
          `pattern (${this.#text.slice(0, 200)}) in substitution takes too long on a value of ${value.length} characters`,
        );
      }
      const code = value.charCodeAt(at);
      const next = new Set<number>();
      for (const state of states) {
        const part = parts[state];
        if (part === 'star') reach(next, parts, state);
        else if (part === 'any' || part === code) reach(next, parts, state + 1);
      }
      states = next;
    }
    return found;
  }
}

/** Adds a state, and those that stars lead to without a character. */
function reach(states: Set<number>, parts: readonly Part[], state: number): void {
  let at = state;
  while (!states.has(at)) {
    states.add(at);
    if (parts[at] !== 'star') return;
    at++;
  }
}

function partsOf(pattern: string): Part[] {
  const parts: Part[] = [];
  for (let i = 0; i < pattern.length; i++) {
    const char = pattern[i] ?? '';
    if (char === '*') parts.push('star');
    else if (char === '?') parts.push('any');
    else if (char === '\\') {
      const next = pattern[++i] ?? '';
      if (!['*', '?', '\\', '/', '}'].includes(next)) {
        throw new InvalidParameterError(
          `invalid pattern (${pattern}) in substitution: invalid escape '\\${next}'`,
        );
      }
      parts.push(next.charCodeAt(0));
    } else parts.push(char.charCodeAt(0));
  }
  return parts;
}
