/**
 * Parses regular expressions in RE2's syntax (https://github.com/google/re2/wiki/Syntax), which the filters of the
 * Engine API take, into a tree. Groups do not capture and laziness does not matter, because only whether a text
 * matches is asked. What RE2 does not have (back references, looking around) is an error here too.
 */
import { InvalidParameterError } from '../errors.ts';
import { type CharSet, classEscape, foldCase, negate, posixClass, RANGES, unicodeClass } from './char-set.ts';

export type Assertion = 'textStart' | 'textEnd' | 'lineStart' | 'lineEnd' | 'wordBoundary' | 'noWordBoundary';

export type Node =
  | { readonly kind: 'set'; readonly set: CharSet }
  | { readonly kind: 'assert'; readonly assertion: Assertion }
  | { readonly kind: 'sequence'; readonly items: readonly Node[] }
  | { readonly kind: 'choice'; readonly items: readonly Node[] }
  | { readonly kind: 'repeat'; readonly item: Node; readonly min: number; readonly max: number };

interface Flags {
  /** `i`: case does not matter. */
  readonly fold: boolean;
  /** `m`: `^` and `$` also at line ends. */
  readonly lines: boolean;
  /** `s`: `.` takes line feeds. */
  readonly dotAll: boolean;
}

/** RE2's bounds: a counted repetition, and how deep groups may stand in each other. */
const MAX_REPEAT = 1000;
const MAX_DEPTH = 200;

/** Throws InvalidParameter in Go's words. */
export function parseExpression(source: string): Node {
  const parser = new Parser(source);
  return parser.parse();
}

class Parser {
  readonly #source: string;
  readonly #codes: readonly string[];
  #at = 0;
  #depth = 0;
  #flags: Flags = { fold: false, lines: false, dotAll: false };

  constructor(source: string) {
    this.#source = source;
    this.#codes = [...source];
  }

  parse(): Node {
    const node = this.#choice();
    if (this.#at < this.#codes.length) this.#fail('unexpected )', this.#source);
    return node;
  }

  #fail(what: string, where: string): never {
    throw new InvalidParameterError(`error parsing regexp: ${what}: \`${where}\``);
  }

  get #next(): string | undefined {
    return this.#codes[this.#at];
  }

  #take(text: string): boolean {
    const wanted = [...text];
    if (!wanted.every((character, index) => this.#codes[this.#at + index] === character)) return false;
    this.#at += wanted.length;
    return true;
  }

  /** Alternatives up to a closing parenthesis or the end; flags that are set inside end there. */
  #choice(): Node {
    const flags = this.#flags;
    const items: Node[] = [this.#sequence()];
    while (this.#take('|')) items.push(this.#sequence());
    this.#flags = flags;
    return items.length === 1 && items[0] !== undefined ? items[0] : { kind: 'choice', items };
  }

  #sequence(): Node {
    const items: Node[] = [];
    while (this.#next !== undefined && this.#next !== '|' && this.#next !== ')') {
      const start = this.#at;
      const atom = this.#atom();
      if (atom !== undefined) items.push(...this.#repeated(atom, start));
    }
    return { kind: 'sequence', items };
  }

  #repeated(atoms: readonly Node[], start: number): Node[] {
    const items = [...atoms];
    for (let count = 0; ; count++) {
      const range = this.#repetition();
      if (range === undefined) return items;
      const text = this.#codes.slice(start, this.#at).join('');
      if (count > 0) this.#fail('invalid nested repetition operator', text);
      const item = items.pop();
      if (item === undefined) this.#fail('missing argument to repetition operator', text);
      items.push({ kind: 'repeat', item, ...range });
    }
  }

  #repetition(): { min: number; max: number } | undefined {
    const start = this.#at;
    const range = this.#plainRepetition() ?? this.#countedRepetition();
    if (range === undefined) return undefined;
    this.#take('?');
    const finite = range.max === Number.POSITIVE_INFINITY ? range.min : range.max;
    if (finite > MAX_REPEAT || range.min > range.max) {
      this.#fail('invalid repeat count', this.#codes.slice(start, this.#at).join(''));
    }
    return range;
  }

  #plainRepetition(): { min: number; max: number } | undefined {
    if (this.#take('*')) return { min: 0, max: Number.POSITIVE_INFINITY };
    if (this.#take('+')) return { min: 1, max: Number.POSITIVE_INFINITY };
    return this.#take('?') ? { min: 0, max: 1 } : undefined;
  }

  /** A brace that begins no count stands for itself. */
  #countedRepetition(): { min: number; max: number } | undefined {
    if (this.#next !== '{') return undefined;
    const ahead = this.#codes.slice(this.#at, this.#at + 24).join('');
    const found = /^\{(\d{1,9})(,(\d{0,9}))?\}/.exec(ahead);
    if (found === null) return undefined;
    this.#at += found[0].length;
    const min = Number(found[1]);
    const max = found[2] === undefined ? min : found[3] ? Number(found[3]) : Number.POSITIVE_INFINITY;
    return { min, max };
  }

  /** One element, several for a quotation, undefined for a group that sets flags only. */
  #atom(): Node[] | undefined {
    const character = this.#codes[this.#at++] ?? '';
    switch (character) {
      case '(':
        return this.#group();
      case '[':
        return [this.#class()];
      case '.':
        return [set(this.#flags.dotAll ? RANGES.any : RANGES.notLineFeed)];
      case '^':
        return [assertion(this.#flags.lines ? 'lineStart' : 'textStart')];
      case '$':
        return [assertion(this.#flags.lines ? 'lineEnd' : 'textEnd')];
      case '\\':
        return this.#escape();
      case '*':
      case '+':
      case '?':
        this.#fail('missing argument to repetition operator', character);
        break;
      default:
        return [this.#literal(character)];
    }
  }

  #literal(character: string): Node {
    const code = character.codePointAt(0) ?? 0;
    return set(this.#cased([[code, code]]));
  }

  #cased(chars: CharSet): CharSet {
    return this.#flags.fold ? foldCase(chars) : chars;
  }

  #group(): Node[] | undefined {
    this.#depth++;
    if (this.#depth > MAX_DEPTH) this.#fail('expression nests too deeply', this.#source);
    const flags = this.#flags;
    if (this.#take('?') && !this.#groupHead()) {
      this.#depth--;
      return undefined;
    }
    const node = this.#choice();
    if (!this.#take(')')) this.#fail('missing closing )', this.#source);
    this.#flags = flags;
    this.#depth--;
    return [node];
  }

  /** Behind `(?`: a name, or flags for the group (true) or for what follows (false). */
  #groupHead(): boolean {
    const rest = this.#codes.slice(this.#at, this.#at + 300).join('');
    const name = /^P?<(\w+)>/.exec(rest);
    if (name !== null) {
      this.#at += name[0].length;
      return true;
    }
    const found = /^([imsU]*)(?:-([imsU]+))?([:)])/.exec(rest);
    if (found === null) this.#fail('invalid or unsupported Perl syntax', `(?${rest.slice(0, 2)}`);
    const [all, on = '', off = '', end] = found;
    this.#at += all.length;
    const value = (letter: string, now: boolean): boolean =>
      !off.includes(letter) && (now || on.includes(letter));
    const { fold, lines, dotAll } = this.#flags;
    this.#flags = { fold: value('i', fold), lines: value('m', lines), dotAll: value('s', dotAll) };
    return end === ':';
  }

  #escape(): Node[] {
    const character = this.#next;
    if (character === undefined) this.#fail('trailing backslash at end of expression', '');
    const asserted = ESCAPED_ASSERTIONS[character];
    if (asserted !== undefined) {
      this.#at++;
      return [assertion(asserted)];
    }
    if (this.#take('Q')) return this.#quotation();
    return [set(this.#cased(this.#escapedSet()))];
  }

  /** `\Q…\E` */
  #quotation(): Node[] {
    const items: Node[] = [];
    while (this.#next !== undefined && !this.#take('\\E'))
      items.push(this.#literal(this.#codes[this.#at++] ?? ''));
    return items;
  }

  /** Behind a backslash, inside and outside of classes. */
  #escapedSet(): CharSet {
    const character = this.#codes[this.#at++] ?? '';
    const known = classEscape(character);
    if (known !== undefined) return known;
    if (character === 'p' || character === 'P') return this.#unicode(character === 'P');
    const control = CONTROLS[character];
    if (control !== undefined) return [[control, control]];
    const code = character === 'x' || /[0-7]/.test(character) ? this.#numeric(character) : undefined;
    if (code !== undefined) return [[code, code]];
    if (/[A-Za-z0-9]/.test(character)) this.#fail('invalid escape sequence', `\\${character}`);
    const plain = character.codePointAt(0);
    if (plain === undefined) this.#fail('trailing backslash at end of expression', '');
    return [[plain, plain]];
  }

  /** `\x7F`, `\x{10FFFF}`, `\123`; digits that could be a back reference are none of these. */
  #numeric(first: string): number | undefined {
    const rest = this.#codes.slice(this.#at, this.#at + 10).join('');
    const found = first === 'x' ? /^(?:([0-9A-Fa-f]{2})|\{([0-9A-Fa-f]{1,8})\})/.exec(rest) : null;
    if (first === 'x') {
      const code = Number.parseInt(found?.[1] ?? found?.[2] ?? '', 16);
      if (found === null || !(code <= 0x10ffff)) return undefined;
      this.#at += found[0].length;
      return code;
    }
    const octal = /^[0-7]{0,2}/.exec(rest)?.[0] ?? '';
    if (first !== '0' && octal === '') return undefined;
    this.#at += octal.length;
    return Number.parseInt(first + octal, 8);
  }

  #unicode(negated: boolean): CharSet {
    const rest = this.#codes.slice(this.#at, this.#at + 64).join('');
    const found = /^(?:\{(\^?)(\w+)\}|([A-Z]))/.exec(rest);
    const chars = found === null ? undefined : unicodeClass(found[2] ?? found[3] ?? '');
    if (found === null || chars === undefined)
      this.#fail('invalid character class range', `\\p${rest.slice(0, 8)}`);
    this.#at += found[0].length;
    return negated !== (found[1] === '^') ? negate(chars) : chars;
  }

  /** Behind `[`. The first `]` and a `-` at either end stand for themselves. */
  #class(): Node {
    const start = this.#at - 1;
    const negated = this.#take('^');
    const chars: (readonly [number, number])[] = [];
    for (let first = true; first || this.#next !== ']'; first = false) {
      if (this.#next === undefined) this.#fail('missing closing ]', this.#codes.slice(start).join(''));
      chars.push(...this.#classItem(first));
    }
    this.#at++;
    const cased = this.#cased(chars);
    return set(negated ? negate(cased) : cased);
  }

  #classItem(first: boolean): CharSet {
    const start = this.#at;
    const posix = /^\[:(\^?)(\w+):\]/.exec(this.#codes.slice(start, start + 20).join(''));
    if (posix !== null) {
      const chars = posixClass(posix[2] ?? '');
      if (chars === undefined) this.#fail('invalid character class range', posix[0]);
      this.#at += posix[0].length;
      return posix[1] === '^' ? negate(chars) : chars;
    }
    if (this.#next === '-' && !first && this.#codes[start + 1] !== ']') {
      this.#fail('invalid character class range', this.#codes.slice(start, start + 2).join(''));
    }
    const low = this.#classCharacter();
    if (low.length !== 1 || this.#next !== '-' || this.#codes[this.#at + 1] === ']') return low;
    this.#at++;
    const high = this.#classCharacter();
    const [[from, fromEnd] = [1, 0]] = low;
    const [[to, toEnd] = [0, 1]] = high;
    if (high.length !== 1 || from !== fromEnd || to !== toEnd || from > to) {
      this.#fail('invalid character class range', this.#codes.slice(start, this.#at).join(''));
    }
    return [[from, to]];
  }

  #classCharacter(): CharSet {
    const character = this.#codes[this.#at++];
    if (character === undefined) this.#fail('missing closing ]', this.#source);
    if (character === '\\') return this.#escapedSet();
    const code = character.codePointAt(0) ?? 0;
    return [[code, code]];
  }
}

const ESCAPED_ASSERTIONS: Readonly<Record<string, Assertion>> = {
  A: 'textStart',
  z: 'textEnd',
  b: 'wordBoundary',
  B: 'noWordBoundary',
};

const CONTROLS: Readonly<Record<string, number>> = { a: 7, f: 12, t: 9, n: 10, r: 13, v: 11 };

function set(chars: CharSet): Node {
  return { kind: 'set', set: chars };
}

function assertion(kind: Assertion): Node {
  return { kind: 'assert', assertion: kind };
}
