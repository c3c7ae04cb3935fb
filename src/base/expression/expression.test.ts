import assert from 'node:assert/strict';
import { test } from 'node:test';
import { compileExpression } from './expression.ts';

test('expressions match as JavaScript’s do where both know the syntax', () => {
  const sources = [
    '',
    'a',
    'ab|cd|',
    '^web',
    'web$',
    '^/?web$',
    'w.b',
    'we*b',
    'w(e|i)+b',
    '(?:ab){2}',
    '(?:ab){2,}',
    'a{1,3}b',
    'a{0}b',
    '[a-c]x',
    '[^a-c]x',
    '[\\w-]+_\\d+$',
    '\\bweb\\b',
    '\\Bb',
    'x\\.y',
    '\\x41\\t?',
    'a{,2}',
    '(a*)*b',
    '(|a)+b',
    'we??b',
    '[\\]\\-]',
    '[.]',
    '\\S\\s\\S',
    '\\D+',
  ];
  const texts = [
    '',
    'a',
    'b',
    'ab',
    'cd',
    'web',
    '/web',
    'web_1',
    'my-web_12',
    'wb',
    'wieb',
    'abab',
    'ababab',
    'aaab',
  ];
  texts.push(
    'cx',
    'dx',
    'a web b',
    'webs',
    'x.y',
    'xzy',
    'A',
    'A\t',
    'a{,2}',
    ']',
    '-',
    'a b',
    '12',
    'a\nb',
    'ünï',
  );
  for (const source of sources) {
    const expected = new RegExp(source);
    const matches = compileExpression(source);
    for (const text of texts)
      assert.equal(matches(text), expected.test(text), `/${source}/ on ${JSON.stringify(text)}`);
  }
});

test('what only RE2 has', () => {
  const cases: [source: string, text: string, expected: boolean][] = [
    ['(?i)WEB', 'my-web', true],
    ['(?i:WEB)x', 'webX', false],
    ['w(?i)E(?-i)b', 'web', true],
    ['w(?i)E(?-i)B', 'web', false],
    ['(?i)[A-C]', 'b', true],
    ['(?i)straße', 'STRAßE', true],
    ['^b', 'a\nb', false],
    ['(?m)^b$', 'a\nb\nc', true],
    ['a.b', 'a\nb', false],
    ['(?s)a.b', 'a\nb', true],
    ['\\Aweb\\z', 'web', true],
    ['\\Aweb\\z', 'web\n', false],
    ['\\Qa.b\\E+', 'a.bbb', true],
    ['\\Qa.b\\E', 'axb', false],
    ['(?P<name>we)b', 'web', true],
    ['(?<name>we)b', 'web', true],
    ['[[:alpha:]]+[[:digit:]]', 'web1', true],
    ['[[:^alpha:]]', 'web', false],
    ['\\pL\\p{Lu}\\p{Greek}', 'aBγ', true],
    ['\\P{L}', 'web', false],
    ['\\x{1F600}', '😀', true],
    ['^.$', '😀', true],
    ['[]a]', ']', true],
    ['[^]a]', 'b', true],
    ['[a-]', '-', true],
    ['\\101', 'A', true],
    ['(?U)a+', 'aa', true],
    ['\\/web', '/web', true],
  ];
  for (const [source, text, expected] of cases) {
    assert.equal(compileExpression(source)(text), expected, `${source} on ${text}`);
  }
});

test('what RE2 refuses is refused', () => {
  const sources = [
    '*a',
    '+',
    'a**',
    'a{2}{3}',
    '(',
    '(a',
    'a)',
    '[a',
    '[z-a]',
    '[a-\\d]',
    'a{1001}',
    'a{3,2}',
    '\\1',
  ];
  sources.push(
    '(?=a)',
    '(?!a)',
    '(?<=a)',
    '\\y',
    '\\',
    '[[:nope:]]',
    '\\p{Nope}',
    '(?z)',
    '((a{100}){100}){100}',
  );
  sources.push('('.repeat(1000) + ')'.repeat(1000));
  for (const source of sources) {
    assert.throws(
      () => compileExpression(source),
      { message: /^error parsing regexp: / },
      source.slice(0, 40),
    );
  }
});

test('hostile expressions take no time', () => {
  const began = performance.now();
  for (const source of [
    '(a+)+$',
    '(a|a)*b',
    '(a*)*c',
    '^(([a-z])+.)+[A-Z]([a-z])+$',
    '(x+x+)+y',
    '(.*){1,200}[ab]{90}z',
  ]) {
    compileExpression(source)(`${'a'.repeat(200)}!`);
  }
  assert.ok(performance.now() - began < 20_000);
});

test('nothing, repeated any number of times, takes no time', { timeout: 60_000 }, () => {
  for (const source of ['((((){1000}){1000}){1000}){1000}', '(?:(?:(?:(?:){999}){999}){999}){999}x?']) {
    assert.equal(compileExpression(source)('abc'), true);
  }
  assert.equal(compileExpression('(?:(?:(?:){1000}){1000}){1000}b')('aaa'), false);
});
