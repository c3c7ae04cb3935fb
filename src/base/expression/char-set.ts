/** Sets of characters, as ranges of code points: the classes that RE2's syntax names, and what can be done with them. */

/** From and to, both included; in any order, and they may overlap. */
export type CharSet = readonly (readonly [number, number])[];

const LAST = 0x10ffff;

export const RANGES = {
  any: [[0, LAST]],
  notLineFeed: [
    [0, 9],
    [11, LAST],
  ],
} as const satisfies Record<string, CharSet>;

export function negate(set: CharSet): CharSet {
  const result: [number, number][] = [];
  let from = 0;
  for (const [low, high] of set.toSorted(([left], [right]) => left - right)) {
    if (low > from) result.push([from, low - 1]);
    from = Math.max(from, high + 1);
  }
  if (from <= LAST) result.push([from, LAST]);
  return result;
}

/** Ranges longer than this are folded as ASCII: only letters near each other have cases worth asking for. */
const MAX_FOLDED_RANGE = 512;

/** The set and the other cases of its letters. */
export function foldCase(set: CharSet): CharSet {
  const result: [number, number][] = set.map(([low, high]) => [low, high]);
  for (const [low, high] of set) {
    const end = high - low > MAX_FOLDED_RANGE ? Math.min(high, 0x7f) : high;
    for (let code = low; code <= end; code++) {
      const character = String.fromCodePoint(code);
      for (const other of [character.toLowerCase(), character.toUpperCase()]) {
        const [single, more] = [...other];
        const folded = single?.codePointAt(0);
        if (more === undefined && folded !== undefined && folded !== code) result.push([folded, folded]);
      }
    }
  }
  return result;
}

function ranges(text: string): CharSet {
  return text.split(' ').map((pair) => {
    const [low = '', high = low] = [...pair];
    return [low.codePointAt(0) ?? 0, high.codePointAt(0) ?? 0] as const;
  });
}

const DIGIT = ranges('09');
const WORD = ranges('09 AZ __ az');
const SPACE: CharSet = [
  [9, 10],
  [12, 13],
  [32, 32],
];

/** What `\d`, `\w`, `\s` and their negations stand for; undefined for other letters. */
export function classEscape(letter: string): CharSet | undefined {
  const classes: Readonly<Record<string, CharSet>> = { d: DIGIT, w: WORD, s: SPACE };
  const found = classes[letter];
  if (found !== undefined) return found;
  const negated = classes[letter.toLowerCase()];
  return negated === undefined ? undefined : negate(negated);
}

const POSIX = new Map<string, CharSet>([
  ['alnum', ranges('09 AZ az')],
  ['alpha', ranges('AZ az')],
  ['ascii', [[0, 0x7f]]],
  [
    'blank',
    [
      [9, 9],
      [32, 32],
    ],
  ],
  [
    'cntrl',
    [
      [0, 31],
      [127, 127],
    ],
  ],
  ['digit', DIGIT],
  ['graph', ranges('!~')],
  ['lower', ranges('az')],
  ['print', [[32, 126]]],
  ['punct', ranges('!/ :@ [` {~')],
  [
    'space',
    [
      [9, 13],
      [32, 32],
    ],
  ],
  ['upper', ranges('AZ')],
  ['word', WORD],
  ['xdigit', ranges('09 AF af')],
]);

/** The set of `[:name:]`. */
export function posixClass(name: string): CharSet | undefined {
  return POSIX.get(name);
}

const unicodeClasses = new Map<string, CharSet>();

/** The set of a general category (`L`, `Lu`) or a script (`Greek`); made once for each. Undefined for other names. */
export function unicodeClass(name: string): CharSet | undefined {
  const known = unicodeClasses.get(name);
  if (known !== undefined) return known;
  const test = unicodeTest(name);
  if (test === undefined) return undefined;
  const set: [number, number][] = [];
  for (let code = 0; code <= LAST; code++) {
    if (!test.test(String.fromCodePoint(code))) continue;
    const last = set.at(-1);
    if (last !== undefined && last[1] === code - 1) last[1] = code;
    else set.push([code, code]);
  }
  unicodeClasses.set(name, set);
  return set;
}

function unicodeTest(name: string): RegExp | undefined {
  if (!/^[A-Z][A-Za-z_]{0,40}$/.test(name)) return undefined;
  for (const property of [`General_Category=${name}`, `Script=${name}`]) {
    try {
      return new RegExp(`^\\p{${property}}$`, 'u');
    } catch {
      // Not a name of this kind; perhaps of the other.
    }
  }
  return undefined;
}
