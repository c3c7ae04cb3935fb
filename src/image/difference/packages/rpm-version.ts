/**
 * The order of rpm's version numbers: `[epoch:]version[-release]`, each compared segment by segment (rpm-version(7)):
 * separators only part segments, numbers are newer than letters, `~` is older than the end and `^` newer than it.
 */
import { compareDigits } from './debian-version.ts';

/** Negative where `a` is older than `b`. A missing epoch is 0. */
export function compareRpmVersions(a: string, b: string): number {
  const left = split(a);
  const right = split(b);
  return (
    compareDigits(left.epoch, right.epoch) ||
    compareSegments(left.version, right.version) ||
    compareSegments(left.release, right.release)
  );
}

function split(text: string): { epoch: string; version: string; release: string } {
  const [, epoch = '', rest = ''] = /^(?:(\d+):)?(.*)$/s.exec(text) ?? [];
  const dash = rest.lastIndexOf('-');
  return dash < 0
    ? { epoch, version: rest, release: '' }
    : { epoch, version: rest.slice(0, dash), release: rest.slice(dash + 1) };
}

const SEPARATORS = /[^A-Za-z0-9~^]*/y;
const NUMBER = /[0-9]*/y;
const LETTERS = /[A-Za-z]*/y;

function match(pattern: RegExp, text: string, at: number): string {
  pattern.lastIndex = at;
  return pattern.exec(text)?.[0] ?? '';
}

function compareSegments(a: string, b: string): number {
  let [i, j] = [0, 0];
  while (i < a.length || j < b.length) {
    i += match(SEPARATORS, a, i).length;
    j += match(SEPARATORS, b, j).length;
    if (a[i] === '~' || b[j] === '~') {
      if (a[i] !== b[j]) return a[i] === '~' ? -1 : 1;
      i++;
      j++;
      continue;
    }
    if (a[i] === '^' || b[j] === '^') {
      if (i >= a.length) return -1;
      if (j >= b.length) return 1;
      if (a[i] !== b[j]) return a[i] === '^' ? -1 : 1;
      i++;
      j++;
      continue;
    }
    if (i >= a.length || j >= b.length) break;
    const number = match(NUMBER, a, i);
    const isNumber = number !== '';
    const left = isNumber ? number : match(LETTERS, a, i);
    const right = match(isNumber ? NUMBER : LETTERS, b, j);
    if (right === '') return isNumber ? 1 : -1;
    const order = isNumber ? compareDigits(left, right) : compareText(left, right);
    if (order !== 0) return order;
    i += left.length;
    j += right.length;
  }
  return Number(i < a.length) - Number(j < b.length);
}

function compareText(a: string, b: string): number {
  return a < b ? -1 : Number(a > b);
}
