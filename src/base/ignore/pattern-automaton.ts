/**
 * Matches any number of patterns with wildcards at once, in time proportional to the text: their elements are states in
 * a row, a bit each, and all ways to match are followed together, 32 states at a step (Baeza-Yates' and Gonnet's shift-and,
 * with steps that take no character). Where it is in a text can be kept, and gone on from.
 */
import { InvalidParameterError } from '../errors.ts';
import type { CharSet } from '../expression/char-set.ts';
import type { Assertion } from '../expression/syntax.ts';
import type { PatternElement } from './pattern-elements.ts';

/** What a long file of patterns has, many times over; each character of a path may cost a step for every 32 of them. */
const STATES_MAX = 128 * 1024;
/** Of masks that are remembered, four bytes each. */
const MASK_WORDS_MAX = 1024 * 1024;

/** Behind a part of a text. */
export interface TextPlace {
  readonly states: Int32Array;
  /** The last code point; undefined at the begin. */
  readonly last: number | undefined;
}

const ASSERTIONS = ['textStart', 'textEnd', 'wordBoundary', 'noWordBoundary'] as const;
const SLASH: CharSet = [[0x2f, 0x2f]];

export class PatternAutomaton {
  /** At the begin of a text. */
  readonly start: TextPlace;
  readonly wordCount: number;
  /** States that a character moves to the next, or leaves where they are. */
  readonly #moving: Int32Array;
  readonly #staying: Int32Array;
  /** States that reach the next without a character: always, or where an assertion holds. */
  readonly #open: Int32Array;
  readonly #asserted = new Map<Assertion, Int32Array>();
  /** States that reach the third after them without a character. */
  readonly #skipping: Int32Array;
  /** The last state of each pattern, and whose it is. */
  readonly #ending: Int32Array;
  readonly #patternOf: Int32Array;
  /** States that take one code point, and those that take more, by what they take. */
  readonly #ofCode = new Map<number, number[]>();
  readonly #ofSet = new Map<string, { set: CharSet; states: number[]; mask: Int32Array | undefined }>();
  readonly #masks = new Map<number, Int32Array>();

  /** Throws InvalidParameter where the patterns are too long together. */
  constructor(patterns: readonly (readonly PatternElement[])[]) {
    const begins: number[] = [];
    let count = 0;
    for (const elements of patterns) {
      const states = stateCount(elements);
      // What fits into a word does not go over its end: then most words are empty most of the time.
      if (states > 32 - (count % 32)) count += (32 - (count % 32)) % 32;
      begins.push(count);
      count += states;
      if (count > STATES_MAX)
        throw new InvalidParameterError(
          `the patterns with wildcards have more than ${STATES_MAX} characters together`,
        );
    }
    this.wordCount = (count + 31) >> 5;
    this.#moving = this.#words();
    this.#staying = this.#words();
    this.#open = this.#words();
    this.#skipping = this.#words();
    this.#ending = this.#words();
    this.#patternOf = new Int32Array(count);
    this.start = { states: this.#words(), last: undefined };
    for (const [index, elements] of patterns.entries()) {
      const begin = begins[index] ?? 0;
      add(this.start.states, begin);
      const end = this.#append(elements, begin);
      add(this.#ending, end);
      this.#patternOf[end] = index;
    }
    for (const taken of this.#ofSet.values()) {
      if (taken.states.length < this.wordCount) continue;
      taken.mask = this.#words();
      for (const state of taken.states) add(taken.mask, state);
    }
  }

  /** Behind `text`, which follows what led to `from`. */
  advance(from: TextPlace, text: string): TextPlace {
    const states = from.states.slice();
    let { last } = from;
    for (let at = 0; at < text.length; at++) {
      const code = text.codePointAt(at) ?? 0;
      if (code > 0xffff) at++;
      this.#step(states, last, code);
      last = code;
    }
    return { states, last };
  }

  /** Which patterns match the text that led to `place`, in their order. */
  matches(place: TextPlace): number[] {
    const states = place.states.slice();
    this.#step(states, place.last, undefined);
    const found: number[] = [];
    for (let word = 0; word < states.length; word++) {
      const ended = (states[word] ?? 0) & (this.#ending[word] ?? 0);
      for (let left = ended; left !== 0; left &= left - 1) {
        found.push(this.#patternOf[(word << 5) + 31 - Math.clz32(left & -left)] ?? 0);
      }
    }
    return found;
  }

  #words(): Int32Array {
    return new Int32Array(this.wordCount);
  }

  /** Gives the states of a pattern what they do; the last one, which is returned, does nothing. */
  #append(elements: readonly PatternElement[], begin: number): number {
    let state = begin;
    const one = (set: CharSet): void => {
      add(this.#moving, state);
      this.#takes(state++, set);
    };
    const many = (set: CharSet): void => {
      add(this.#staying, state);
      add(this.#open, state);
      this.#takes(state++, set);
    };
    for (const element of elements) {
      if (element.kind === 'one') one(element.set);
      else if (element.kind === 'many') many(element.set);
      else if (element.kind === 'folders') {
        add(this.#skipping, state);
        add(this.#open, state++);
        many(element.set);
        one(SLASH);
      } else {
        const { assertion } = element;
        const asserted = this.#asserted.get(assertion) ?? this.#words();
        this.#asserted.set(assertion, asserted);
        add(asserted, state++);
      }
    }
    return state;
  }

  #takes(state: number, set: CharSet): void {
    const [first] = set;
    if (set.length === 1 && first !== undefined && first[0] === first[1]) {
      const states = this.#ofCode.get(first[0]);
      if (states === undefined) this.#ofCode.set(first[0], [state]);
      else states.push(state);
      return;
    }
    const key = set.join(' ');
    const known = this.#ofSet.get(key);
    if (known === undefined) this.#ofSet.set(key, { set, states: [state], mask: undefined });
    else known.states.push(state);
  }

  /** The states that take a character. */
  #mask(code: number): Int32Array {
    const known = this.#masks.get(code);
    if (known !== undefined) return known;
    const mask = this.#words();
    for (const state of this.#ofCode.get(code) ?? []) add(mask, state);
    for (const { set, states, mask: whole } of this.#ofSet.values()) {
      if (!set.some(([low, high]) => low <= code && code <= high)) continue;
      if (whole === undefined) for (const state of states) add(mask, state);
      else for (let word = 0; word < mask.length; word++) mask[word] = (mask[word] ?? 0) | (whole[word] ?? 0);
    }
    if ((this.#masks.size + 1) * this.wordCount > MASK_WORDS_MAX) this.#masks.clear();
    this.#masks.set(code, mask);
    return mask;
  }

  /** From between two characters to behind the second; without a second, to all that is reached at the text's end. */
  #step(states: Int32Array, before: number | undefined, code: number | undefined): void {
    const mask = code === undefined ? undefined : this.#mask(code);
    const asserted = this.#asserted.size === 0 ? undefined : this.#held(before, code);
    // What goes over the end of a word: bits of the next one.
    let reached = 0;
    let moved = 0;
    for (let word = 0; word < states.length; word++) {
      let now = (states[word] ?? 0) | reached;
      if (now === 0) {
        states[word] = moved;
        reached = 0;
        moved = 0;
        continue;
      }
      const open = asserted === undefined ? (this.#open[word] ?? 0) : (asserted[word] ?? 0);
      const skipping = this.#skipping[word] ?? 0;
      for (let known = 0; known !== now; ) {
        known = now;
        now |= ((now & open) << 1) | ((now & skipping) << 3);
      }
      reached = ((now & open) >>> 31) | ((now & skipping) >>> 29);
      if (mask === undefined) {
        states[word] = now;
        continue;
      }
      const taken = now & (mask[word] ?? 0);
      const moving = taken & (this.#moving[word] ?? 0);
      states[word] = moved | (moving << 1) | (taken & (this.#staying[word] ?? 0));
      moved = moving >>> 31;
    }
  }

  /** The states that reach the next between these two characters. */
  #held(before: number | undefined, code: number | undefined): Int32Array {
    const open = this.#open.slice();
    for (const assertion of ASSERTIONS) {
      const asserted = this.#asserted.get(assertion);
      if (asserted === undefined || !holds(assertion, before, code)) continue;
      for (let word = 0; word < open.length; word++) open[word] = (open[word] ?? 0) | (asserted[word] ?? 0);
    }
    return open;
  }
}

/** Every element is a state, `folders` three; and there is one at the end. */
function stateCount(elements: readonly PatternElement[]): number {
  return elements.reduce((sum, { kind }) => sum + (kind === 'folders' ? 3 : 1), 1);
}

function add(words: Int32Array, bit: number): void {
  words[bit >> 5] = (words[bit >> 5] ?? 0) | (1 << (bit & 31));
}

function holds(
  assertion: (typeof ASSERTIONS)[number],
  before: number | undefined,
  after: number | undefined,
): boolean {
  if (assertion === 'textStart') return before === undefined;
  if (assertion === 'textEnd') return after === undefined;
  return (isWord(before) !== isWord(after)) === (assertion === 'wordBoundary');
}

function isWord(code: number | undefined): boolean {
  return code !== undefined && code < 128 && /\w/.test(String.fromCharCode(code));
}
