import assert from 'node:assert/strict';
import { test } from 'node:test';
import { compilePathPattern } from './path-pattern.ts';

test('patterns mean what Go says that they mean', () => {
  const cases: [pattern: string, text: string, expected: boolean][] = [
    ['abc', 'abc', true],
    ['abc', 'abcd', false],
    ['*', 'abc', true],
    ['*', '', true],
    ['*', 'a/b', false],
    ['*c', 'abc', true],
    ['a*', 'ab/c', false],
    ['a*/b', 'abc/b', true],
    ['a*/b', 'a/c/b', false],
    ['a*b*c*d*e*/f', 'axbxcxdxe/f', true],
    ['a*b*c*d*e*/f', 'axbxcxdxexxx/fff', false],
    ['a*b?c*x', 'abxbbxdbxebxczzx', true],
    ['a*b?c*x', 'abxbbxdbxebxczzy', false],
    ['ab[c]', 'abc', true],
    ['ab[b-d]', 'abc', true],
    ['ab[e-g]', 'abc', false],
    ['ab[^c]', 'abc', false],
    ['ab[^b-d]', 'abc', false],
    ['ab[^e-g]', 'abc', true],
    ['a\\*b', 'a*b', true],
    ['a\\*b', 'ab', false],
    ['a?b', 'a☺b', true],
    ['a[^a]b', 'a☺b', true],
    ['a???b', 'a☺b', false],
    ['[a-ζ]*', 'α', true],
    ['*[a-ζ]', 'A', false],
    ['a?b', 'a/b', false],
    ['[\\]a]', ']', true],
    ['[\\-]', '-', true],
    ['[x\\-]', 'z', false],
    ['*x', 'xxx', true],
    ['**x', 'aax', true],
    ['*[^a]*b', 'xx/yb', false],
    ['ubuntu:2?.*', 'ubuntu:24.04', true],
    ['localhost:5000/*', 'localhost:5000/busybox', true],
    ['a.c', 'abc', false],
  ];
  for (const [pattern, text, expected] of cases) {
    assert.equal(compilePathPattern(pattern)(text), expected, `${pattern} on ${text}`);
  }
});

test('what is no pattern is refused', () => {
  for (const pattern of [
    '[]a]',
    '[-]',
    '[x-]',
    '[-x]',
    '[',
    '[^',
    '[^bc',
    'a[',
    '[a-b-c]',
    '\\',
    'a\\',
    '[\\',
    '[a\\',
  ]) {
    assert.throws(() => compilePathPattern(pattern), { message: 'syntax error in pattern' }, pattern);
  }
});

test('a hostile pattern takes no time', () => {
  const matches = compilePathPattern('*a'.repeat(2000));
  const began = performance.now();
  assert.equal(matches(`${'a'.repeat(4000)}b`), false);
  assert.ok(performance.now() - began < 20_000);
});
