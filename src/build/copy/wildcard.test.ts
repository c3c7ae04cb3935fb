import assert from 'node:assert/strict';
import { test } from 'node:test';
import { compileWildcard, hasWildcard } from './wildcard.ts';

test("COPY's patterns are Go's", () => {
  const cases: [string, string, boolean][] = [
    ['*.go', 'a.go', true],
    ['*.go', 'x/a.go', false],
    ['a?c', 'abc', true],
    ['a?c', 'a/c', false],
    ['[a-c]x', 'bx', true],
    ['[^a-c]x', 'bx', false],
    ['[^a-c]x', 'dx', true],
    ['\\*', '*', true],
    ['\\*', 'a', false],
    ['a.b+', 'a.b+', true],
    ['a.b+', 'axb+', false],
    ['é*', 'éa', true],
  ];
  for (const [pattern, name, expected] of cases) {
    assert.equal(compileWildcard(pattern)(name), expected, `${pattern} ${name}`);
  }
  for (const pattern of ['[', '[a', 'a\\']) {
    assert.throws(() => compileWildcard(pattern), { kind: 'InvalidParameter' }, pattern);
  }
  assert.deepEqual(['a*', 'a\\*', 'a'].map(hasWildcard), [true, false, false]);
});
