/**
 * What a pattern with wildcards is made of, in a row: Docker makes an expression of RE2 of it, which no pattern can nest
 * (its brackets and braces are quoted), so that an automaton whose states stand in a row can follow it.
 */
import { InternalError, InvalidParameterError } from '../errors.ts';
import { type CharSet, RANGES } from '../expression/char-set.ts';
import { type Assertion, type Node, parseExpression } from '../expression/syntax.ts';

export type PatternElement =
  | { readonly kind: 'one'; readonly set: CharSet }
  /** Any number of these. */
  | { readonly kind: 'many'; readonly set: CharSet }
  /** Nothing, or any number of these and a slash. */
  | { readonly kind: 'folders'; readonly set: CharSet }
  | { readonly kind: 'assert'; readonly assertion: Assertion };

/** With one of these a pattern becomes an expression, in which `^` means something too. */
const WILD = /[*?[\]\\]/;
const QUOTED = /[.+()|{}$]/;
/** Twice what a path may have. */
const EXPRESSION_MAX = 8192;

export function isWild(text: string): boolean {
  return WILD.test(text);
}

/** For a cleaned pattern that is wild. Throws InvalidParameter for what is no expression, and for one that is too long. */
export function patternElements(text: string): PatternElement[] {
  const simple = simpleElements(text);
  if (simple !== undefined) return simple;
  if (text.length > EXPRESSION_MAX)
    throw new InvalidParameterError(`a pattern of ${text.length} characters is too long to have wildcards`);
  const elements = flattened(parseExpression(expression(text)), text);
  // Expressions are searched for. Ours begin with `^`; their `$` may have been quoted by what stands before it.
  const last = elements.at(-1);
  if (last?.kind === 'assert' && last.assertion === 'textEnd') return elements.slice(1, -1);
  return [...elements.slice(1), { kind: 'many', set: RANGES.any }];
}

/** What Docker does not make an expression of: `**` alone at one end, and nothing else that is special. */
function simpleElements(text: string): PatternElement[] | undefined {
  const bare = text.replace(/^\*\*/, '').replace(/\*\*$/, '');
  if (isWild(bare) || text === bare) return undefined;
  const isLeading = text.startsWith('**');
  if (isLeading && text.length > 2 && text.endsWith('**')) return undefined;
  if (!isLeading) return [...literal(bare), { kind: 'many', set: RANGES.any }];
  return bare.startsWith('/')
    ? [{ kind: 'folders', set: RANGES.any }, ...literal(bare.slice(1))]
    : [{ kind: 'many', set: RANGES.any }, ...literal(bare)];
}

function literal(text: string): PatternElement[] {
  return Array.from(text, (character) => {
    const code = character.codePointAt(0) ?? 0;
    return { kind: 'one', set: [[code, code]] };
  });
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

function flattened(node: Node, text: string): PatternElement[] {
  const items = node.kind === 'sequence' ? node.items : [node];
  return items.map((item): PatternElement => {
    if (item.kind === 'set') return { kind: 'one', set: item.set };
    if (item.kind === 'assert') return item;
    if (item.kind === 'repeat' && item.item.kind === 'set') return { kind: 'many', set: item.item.set };
    const [many] = item.kind === 'repeat' && item.item.kind === 'sequence' ? item.item.items : [];
    if (many?.kind === 'repeat' && many.item.kind === 'set') return { kind: 'folders', set: many.item.set };
    throw new InternalError(`the pattern ${JSON.stringify(text)} has an element of no known kind`);
  });
}
