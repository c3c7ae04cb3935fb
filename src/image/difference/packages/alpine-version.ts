/**
 * The order of apk's version numbers: `number{.number}[letter]{_suffix[number]}[~hash][-r number]`. Numbers after the
 * first that begin with 0 are compared as fractions; the suffixes alpha, beta, pre and rc come before none, cvs, svn,
 * git, hg and p after it.
 */
import { compareDigits } from './debian-version.ts';

const VERSION =
  /^(\d+(?:\.\d+)*)([a-z]?)((?:_(?:alpha|beta|pre|rc|cvs|svn|git|hg|p)\d*)*)(~[0-9a-f]+)?(?:-r(\d+))?$/;
const SUFFIXES = ['alpha', 'beta', 'pre', 'rc', '', 'cvs', 'svn', 'git', 'hg', 'p'];

interface Parsed {
  numbers: string[];
  letter: string;
  suffixes: { rank: number; number: string }[];
  hash: string;
  revision: string;
}

/** Negative where `a` is older than `b`; undefined where one of them is no version that apk would take. */
export function compareAlpineVersions(a: string, b: string): number | undefined {
  const left = parse(a);
  const right = parse(b);
  if (left === undefined || right === undefined) return undefined;
  return (
    compareNumbers(left.numbers, right.numbers) ||
    compareText(left.letter, right.letter) ||
    compareSuffixes(left.suffixes, right.suffixes) ||
    compareText(left.hash, right.hash) ||
    compareDigits(left.revision, right.revision)
  );
}

function parse(version: string): Parsed | undefined {
  const found = VERSION.exec(version);
  if (found === null) return undefined;
  const [, numbers = '', letter = '', suffixes = '', hash = '', revision = ''] = found;
  return {
    numbers: numbers.split('.'),
    letter,
    suffixes: [...suffixes.matchAll(/_([a-z]+)(\d*)/g)].map(([, name = '', number = '']) => ({
      rank: SUFFIXES.indexOf(name),
      number,
    })),
    hash,
    revision,
  };
}

function compareNumbers(a: readonly string[], b: readonly string[]): number {
  for (let at = 0; at < Math.min(a.length, b.length); at++) {
    const [left = '', right = ''] = [a[at], b[at]];
    const isFraction = at > 0 && (left.startsWith('0') || right.startsWith('0'));
    const order = isFraction ? compareText(left, right) : compareDigits(left, right);
    if (order !== 0) return order;
  }
  return a.length - b.length;
}

function compareSuffixes(a: Parsed['suffixes'], b: Parsed['suffixes']): number {
  const none = { rank: SUFFIXES.indexOf(''), number: '' };
  for (let at = 0; at < Math.max(a.length, b.length); at++) {
    const [left, right] = [a[at] ?? none, b[at] ?? none];
    const order = left.rank - right.rank || compareDigits(left.number, right.number);
    if (order !== 0) return order;
  }
  return 0;
}

function compareText(a: string, b: string): number {
  return a < b ? -1 : Number(a > b);
}
