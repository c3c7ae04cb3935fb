import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseIgnorePattern } from './ignore-pattern.ts';
import { IgnoreRules, parseIgnoreFile } from './ignore-rules.ts';
import { PatternAutomaton } from './pattern-automaton.ts';

function rules(text: string): IgnoreRules {
  return new IgnoreRules(parseIgnoreFile(text));
}

/** Alone: without the folders above the path. */
function matches(pattern: string, path: string): boolean {
  const { elements, text } = parseIgnorePattern(pattern) ?? {};
  if (elements === undefined) return text === path;
  const automaton = new PatternAutomaton([elements]);
  return automaton.matches(automaton.advance(automaton.start, path)).length === 1;
}

test('one pattern and one path', () => {
  const cases: [string, string, boolean][] = [
    ['*.go', 'a.go', true],
    ['*.go', 'd/a.go', false],
    ['**/*.go', 'a.go', true],
    ['**/*.go', 'd/e/a.go', true],
    ['a/**', 'a/b/c', true],
    ['a/**', 'a', false],
    ['a/**/b', 'a/b', true],
    ['a/**/b', 'a/x/y/b', true],
    ['a/**/b', 'ab', false],
    ['**', 'any/thing', true],
    ['**/foo', 'foo', true],
    ['**/foo', 'a/foo', true],
    ['**/foo', 'afoo', false],
    ['**foo', 'afoo', true],
    ['foo**', 'foobar/x', true],
    ['a**b', 'ax/b', true],
    ['a**b', 'axb', false],
    ['**/foo/**', 'foo/x', true],
    ['**/foo/**', 'a/foo/x/y', true],
    ['**/foo/**', 'foo', false],
    ['?', '/', false],
    ['?', 'é', true],
    ['[a-c]x', 'bx', true],
    ['[^a-c]x', 'bx', false],
    ['[^a]', '/', true],
    ['\\*', '*', true],
    ['\\*', 'a', false],
    ['a.b+(c)', 'a.b+(c)', true],
    ['a.b*', 'axb', false],
    ['a.b+(c)*', 'a.b+(c)d', true],
    ['a^b', 'a^b', true],
    ['^a*', 'ab', true],
    ['$a*', '$ab', true],
    ['é?', 'éü', true],
    ['a*b*c*d*e', 'a1b2c3d4e', true],
    ['a*b*c*d*e', 'a1b2c3d4', false],
    ['*', 'a\nb', true],
  ];
  for (const [pattern, path, expected] of cases) {
    assert.equal(matches(pattern, path), expected, `${pattern} ${path}`);
  }
  for (const bad of ['[', '[a', 'a\\', '[-]', '[]]', '[]a]']) {
    assert.throws(() => parseIgnorePattern(bad), /syntax error in pattern/, bad);
  }
});

test('lines of an ignore file', () => {
  const text = '\uFEFF# comment\r\n\r\n  /a/ \r\n #b\n! /c/d/\n./x/../y\n/\n!\n..\n';
  assert.deepEqual(parseIgnoreFile(text), ['a', '#b', '!c/d', 'y', '/', '!', '..']);
  assert.throws(() => parseIgnoreFile('a'.repeat(70_000)), /token too long/);
  assert.throws(() => rules('a\n!\n'), { message: 'illegal exclusion pattern: "!"' });
});

test('later rules overrule earlier ones, folders take what is in them', () => {
  const some = rules('# comment\r\n/node_modules/\n**/*.log\n!keep/*.log\n ./x/../tmp \n\n');
  const cases: [string, boolean][] = [
    ['node_modules', true],
    ['node_modules/a/b', true],
    ['src/node_modules', false],
    ['a.log', true],
    ['keep/a.log', false],
    ['keep/d/a.log', true],
    ['tmp/f', true],
    ['main.c', false],
  ];
  for (const [path, expected] of cases) assert.equal(some.excludes(path), expected, path);
  assert.equal(some.mayIncludeBelow('keep'), true);
  assert.equal(some.mayIncludeBelow('node_modules'), false);
  assert.equal(rules('*\n!**/a').mayIncludeBelow('any'), true);
  assert.equal(rules('*\n!src').mayIncludeBelow('src2'), false);
});

test('an exception for a folder holds for what is in it, and only patterns that could matter count', () => {
  const src = rules('*\n!src');
  assert.deepEqual(
    ['src', 'src/a', 'src/a/b', 'lib'].map((path) => src.excludes(path)),
    [false, false, false, true],
  );
  // `!a` is not asked about `a`, which nothing has left out: below, it has not matched.
  const order = rules('a/b\n!a');
  assert.deepEqual(
    ['a', 'a/b', 'a/b/c'].map((path) => order.excludes(path)),
    [false, true, true],
  );
  const again = rules('a\n!a/b\na/b/c');
  assert.deepEqual(
    ['a', 'a/x', 'a/b', 'a/b/c', 'a/b/c/d', 'a/b/e'].map((path) => again.excludes(path)),
    [true, true, false, true, true, false],
  );
});

test('patterns that are longer than a word of states, and assertions between them', () => {
  const long = 'abcdefghij'.repeat(7);
  const cases: [string, string, boolean][] = [
    [`*${long}?`, `x${long}y`, true],
    [`*${long}?`, `x${long}`, false],
    [`${long}**/${long}`, `${long}/b/${long}`, true],
    [`${long}**/${long}`, `${long}${long}`, true],
    [`${long}**/${long}`, `${long}b${long}`, false],
    [`${'?'.repeat(30)}**/a`, `${'b'.repeat(30)}/c/a`, true],
    [`${'?'.repeat(30)}**/a`, `${'b'.repeat(30)}a`, true],
    [`${'?'.repeat(30)}**/a`, `${'b'.repeat(30)}/ca`, false],
    ['a*\\b*\\bc', 'a-c', true],
    ['a*\\b*\\bc', 'abc', false],
    [`${'*\\b'.repeat(40)}*`, 'a b c', true],
    ['\\Qa.*', 'a\\.[^/]*$b', true],
    ['[a*]', 'aa]', true],
  ];
  for (const [pattern, path, expected] of cases)
    assert.equal(matches(pattern, path), expected, `${pattern} ${path}`);
});

test('patterns that are meant to take for ever do not, neither one nor many', () => {
  const deep = `${'a/'.repeat(1000)}${'a'.repeat(200)}`;
  const hostile = {
    stars: [`${'*a'.repeat(30)}*b`],
    folders: [`${'**/a/'.repeat(40)}b`],
    classes: [`${'[^b]*'.repeat(40)}b`],
    'three stars': Array.from({ length: 2000 }, () => '**/a**/a**/b'),
    'long ones': Array.from({ length: 8 }, () => `${'*a'.repeat(4000)}b`),
    'many that match': Array.from({ length: 8000 }, () => '**/?'),
    assertions: Array.from({ length: 8 }, () => '\\b*'.repeat(2000)),
  };
  for (const [what, patterns] of Object.entries(hostile)) {
    const began = process.cpuUsage();
    new IgnoreRules(patterns).excludes(deep);
    const { user } = process.cpuUsage(began);

    assert.ok(user < 5_000_000, `${what} took ${user} µs of CPU time`);
  }
});

test('a path may be deeper than calls can be nested, and what a file may have is bounded', () => {
  assert.equal(rules('a/**/b').excludes(`${'a/'.repeat(100_000)}b`), true);
  assert.throws(() => rules('**/x\n'.repeat(50_000)), /wildcards have more than 131072 characters together/);
  assert.throws(
    () => parseIgnoreFile('x\n'.repeat(1_100_000)),
    /2200000 characters are more than the 2097152/,
  );
  const many = rules(Array.from({ length: 20_000 }, (_, index) => `dir/file${index}`).join('\n'));
  assert.deepEqual(
    ['dir', 'dir/file7', 'dir/file20000', 'dir/file19999/below'].map((path) => many.excludes(path)),
    [false, true, false, true],
  );
});
