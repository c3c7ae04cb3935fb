import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ShellPattern } from './shell-pattern.ts';

test('the shortest and the longest beginning and end', () => {
  const cases: [pattern: string, value: string, operator: '#' | '%', longest: boolean, rest: string][] = [
    ['*/', 'a/b/c', '#', false, 'b/c'],
    ['*/', 'a/b/c', '#', true, 'c'],
    ['/*', 'a/b/c', '%', false, 'a/b'],
    ['/*', 'a/b/c', '%', true, 'a'],
    ['a?', 'abc', '#', true, 'c'],
    ['', 'abc', '%', true, 'abc'],
    ['*', 'abc', '#', true, ''],
    ['x', 'abc', '#', true, 'abc'],
    ['\\*', '*b', '#', false, 'b'],
    ['a*b*c', 'xaabbcc', '%', false, 'xa'],
    ['a*b*c', 'xaabbcc', '%', true, 'x'],
    ['.', 'abc', '#', false, 'abc'],
  ];
  for (const [pattern, value, operator, longest, rest] of cases) {
    assert.equal(
      new ShellPattern(pattern).trim(value, operator, longest),
      rest,
      `${value}${operator}${pattern}`,
    );
  }
});

test('replacing', () => {
  assert.equal(new ShellPattern('b').replace('abcb', 'X', false), 'aXcb');
  assert.equal(new ShellPattern('b').replace('abcb', 'X', true), 'aXcX');
  assert.equal(new ShellPattern('b*d').replace('abcbde', 'X', false), 'aXe');
  assert.equal(new ShellPattern('z').replace('abc', '$&', true), 'abc');
  assert.equal(new ShellPattern('?').replace('abc', '$&', true), '$&$&$&');
});

test('what a backtracking matcher would need years for is quick, and what is too long is refused', () => {
  const value = 'a'.repeat(300);
  assert.equal(new ShellPattern(`${'*a'.repeat(20)}*b`).trim(value, '#', true), value);
  const long = 'a'.repeat(1_000_000);
  assert.throws(() => new ShellPattern(`${'*a'.repeat(40)}b`).replace(long, '', true), {
    kind: 'InvalidParameter',
    message: /takes too long on a value of 1000000 characters/,
  });
  assert.throws(() => new ShellPattern('\\a'), { kind: 'InvalidParameter', message: /invalid escape/ });
});
