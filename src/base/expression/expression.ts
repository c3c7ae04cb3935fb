/**
 * Regular expressions that clients send, matched in time proportional to the text: all alternatives are followed at
 * once (Thompson's simulation), so that no expression can stop the daemon as it could with JavaScript's own.
 */
import { InvalidParameterError } from '../errors.ts';
import type { CharSet } from './char-set.ts';
import { type Assertion, type Node, parseExpression } from './syntax.ts';

type Step =
  | { readonly kind: 'set'; readonly set: CharSet }
  | { readonly kind: 'assert'; readonly assertion: Assertion }
  /** Goes on at both. */
  | { readonly kind: 'split'; left: number; right: number }
  | { readonly kind: 'match' };

/** Counted repetitions are written out; this bounds what one expression may cost at every character. */
const MAX_STEPS = 4000;

/**
 * A test of whether an expression (RE2's syntax) matches anywhere in a text. Throws InvalidParameter with Go's words
 * for what is no expression, and for one that is too large.
 */
export function compileExpression(source: string): (text: string) => boolean {
  const steps: Step[] = [];
  emit(steps, parseExpression(source), source);
  steps.push({ kind: 'match' });
  return (text) =>
    search(
      steps,
      [...text].map((character) => character.codePointAt(0) ?? 0),
    );
}

function push(steps: Step[], step: Step, source: string): void {
  if (steps.length >= MAX_STEPS) {
    throw new InvalidParameterError(
      `error parsing regexp: expression too large: \`${source.slice(0, 200)}\``,
    );
  }
  steps.push(step);
}

/** Appends steps that go on behind themselves when the node has matched. */
function emit(steps: Step[], node: Node, source: string): void {
  switch (node.kind) {
    case 'set':
    case 'assert':
      push(steps, node, source);
      return;
    case 'sequence':
      for (const item of node.items) emit(steps, item, source);
      return;
    case 'choice':
      emitChoice(steps, node.items, source);
      return;
    case 'repeat':
      emitRepeat(steps, node, source);
  }
}

function emitChoice(steps: Step[], items: readonly Node[], source: string): void {
  const exits: { left: number; right: number }[] = [];
  for (const [index, item] of items.entries()) {
    if (index === items.length - 1) {
      emit(steps, item, source);
      break;
    }
    const fork = { kind: 'split' as const, left: steps.length + 1, right: 0 };
    push(steps, fork, source);
    emit(steps, item, source);
    const exit = { kind: 'split' as const, left: 0, right: 0 };
    push(steps, exit, source);
    exits.push(exit);
    fork.right = steps.length;
  }
  for (const exit of exits) exit.left = exit.right = steps.length;
}

function emitRepeat(steps: Step[], { item, min, max }: Node & { kind: 'repeat' }, source: string): void {
  for (let count = 0; count < min; count++) {
    const before = steps.length;
    emit(steps, item, source);
    // What takes no step counts against no bound, and nested repetitions of it would go on for years.
    if (steps.length === before) break;
  }
  if (max === Number.POSITIVE_INFINITY) {
    const loop = { kind: 'split' as const, left: steps.length + 1, right: 0 };
    const start = steps.length;
    push(steps, loop, source);
    emit(steps, item, source);
    push(steps, { kind: 'split', left: start, right: start }, source);
    loop.right = steps.length;
    return;
  }
  const exits: { right: number }[] = [];
  for (let count = min; count < max; count++) {
    const fork = { kind: 'split' as const, left: steps.length + 1, right: 0 };
    push(steps, fork, source);
    exits.push(fork);
    emit(steps, item, source);
  }
  for (const exit of exits) exit.right = steps.length;
}

function search(steps: readonly Step[], codes: readonly number[]): boolean {
  let current: number[] = [];
  for (let at = 0; at <= codes.length; at++) {
    const seen = new Set<number>();
    const live: number[] = [];
    // A match may begin at any place.
    if (follow(steps, [...current, 0], { codes, at, seen, live })) return true;
    const code = codes[at];
    if (code === undefined) return false;
    current = live.filter((index) => takes(steps[index], code)).map((index) => index + 1);
  }
  return false;
}

interface Place {
  readonly codes: readonly number[];
  readonly at: number;
  readonly seen: Set<number>;
  /** Steps that wait for a character. */
  readonly live: number[];
}

/** Follows what needs no character; true where the end is reached. */
function follow(
  steps: readonly Step[],
  starts: readonly number[],
  { codes, at, seen, live }: Place,
): boolean {
  const open = [...starts];
  for (let index = open.pop(); index !== undefined; index = open.pop()) {
    if (seen.has(index)) continue;
    seen.add(index);
    const step = steps[index];
    if (step?.kind === 'match') return true;
    if (step?.kind === 'split') open.push(step.right, step.left);
    else if (step?.kind === 'assert') {
      if (holds(step.assertion, codes, at)) open.push(index + 1);
    } else live.push(index);
  }
  return false;
}

function takes(step: Step | undefined, code: number): boolean {
  return step?.kind === 'set' && step.set.some(([low, high]) => low <= code && code <= high);
}

const LINE_FEED = 10;

function holds(assertion: Assertion, codes: readonly number[], at: number): boolean {
  switch (assertion) {
    case 'textStart':
      return at === 0;
    case 'textEnd':
      return at === codes.length;
    case 'lineStart':
      return at === 0 || codes[at - 1] === LINE_FEED;
    case 'lineEnd':
      return at === codes.length || codes[at] === LINE_FEED;
    default:
      return (isWord(codes[at - 1]) !== isWord(codes[at])) === (assertion === 'wordBoundary');
  }
}

function isWord(code: number | undefined): boolean {
  return code !== undefined && code < 128 && /\w/.test(String.fromCharCode(code));
}
