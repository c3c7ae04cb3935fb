/**
 * What the docker client (28.2, its classic builder) leaves out of the tar that it sends, recorded with a daemon that only listens:
 * the rules here must agree. Where exceptions have wildcards that client does not look into folders that are left out,
 * BuildKit's does, and so do these: such cases stand at the end.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { IgnoreRules, parseIgnoreFile } from './ignore-rules.ts';

const FILES =
  'a b d/a d/b d/e/f d/e/g.log x.log d/keep.log src/a.c src/b.h src/lib/c.c foo foobar dir/foo dir/xfoo [x] a^b é node_modules/m/index.js src/node_modules/m/i.js .git/HEAD .env d/.env docs/README.md docs/x.md bar/baz/q #hash ab axb t/a/b/c'.split(
    ' ',
  );

/** An ignore file, and which of the files above it leaves out; `all` of them, all `but` some. */
const CASES: readonly (readonly [text: string, how: 'only' | 'all but', files: string])[] = [
  ['', 'only', ''],
  ['*', 'all but', ''],
  ['*\n!src', 'all but', 'src/a.c src/b.h src/lib/c.c src/node_modules/m/i.js'],
  ['*\n!src/**', 'all but', 'src/a.c src/b.h src/lib/c.c src/node_modules/m/i.js'],
  ['*.log', 'only', 'x.log'],
  ['**/*.log\n!d/keep.log', 'only', 'd/e/g.log x.log'],
  ['d', 'only', 'd/a d/b d/e/f d/e/g.log d/keep.log d/.env'],
  ['/d/', 'only', 'd/a d/b d/e/f d/e/g.log d/keep.log d/.env'],
  ['d/*', 'only', 'd/a d/b d/e/f d/e/g.log d/keep.log d/.env'],
  ['d/**', 'only', 'd/a d/b d/e/f d/e/g.log d/keep.log d/.env'],
  ['!d\nd', 'only', 'd/a d/b d/e/f d/e/g.log d/keep.log d/.env'],
  ['d\n!d/e', 'only', 'd/a d/b d/keep.log d/.env'],
  ['d\n!d/e/f', 'only', 'd/a d/b d/e/g.log d/keep.log d/.env'],
  ['d/e\n!d', 'only', 'd/e/f d/e/g.log'],
  ['**/node_modules', 'only', 'node_modules/m/index.js src/node_modules/m/i.js'],
  ['node_modules', 'only', 'node_modules/m/index.js'],
  ['**foo', 'only', 'foo dir/foo dir/xfoo'],
  ['foo**', 'only', 'foo foobar'],
  ['**/foo', 'only', 'foo dir/foo'],
  ['fo?', 'only', 'foo'],
  ['[a-c]', 'only', 'a b'],
  ['[^a]*', 'all but', 'a a^b ab axb'],
  ['\\[x\\]', 'only', '[x]'],
  ['a^b', 'only', 'a^b'],
  ['^a*', 'only', 'a a^b ab axb'],
  ['é', 'only', 'é'],
  ['?', 'only', 'a b d/a d/b d/e/f d/e/g.log d/keep.log é d/.env t/a/b/c'],
  ['.*', 'only', '.git/HEAD .env'],
  ['**/.env', 'only', '.env d/.env'],
  ['# c\n#hash', 'only', ''],
  ['\\#hash', 'only', '#hash'],
  ['  b  \r\nfoo\r', 'only', 'b foo'],
  ['\uFEFFb', 'only', 'b'],
  ['sp ace', 'only', ''],
  ['./a\n../b\nd/../foo', 'only', 'a foo'],
  ['docs/*.md\n!docs/README.md', 'only', 'docs/x.md'],
  ['*/b', 'only', 'd/b'],
  ['*/*/f', 'only', 'd/e/f'],
  ['a**b', 'only', 'ab'],
  ['d/e/../a', 'only', 'd/a'],
  ['/', 'only', ''],
  ['.', 'only', ''],
  ['!*.c', 'only', ''],
  ['bar/baz', 'only', 'bar/baz/q'],
  ['**/baz/**', 'only', 'bar/baz/q'],
  ['t/**/c', 'only', 't/a/b/c'],
  ['t/*/b\n!t/a/b/c', 'only', ''],
  ['src\n!src/*.h\n!src/lib', 'only', 'src/a.c src/node_modules/m/i.js'],
  ['*\n!d/*\nd/b', 'all but', 'd/a d/e/f d/e/g.log d/keep.log d/.env'],
  ['**\n!**/*.c', 'all but', 'src/a.c src/lib/c.c'],
  ['*\n!**/a', 'all but', 'a d/a t/a/b/c'],
  ['d\n!**/a', 'only', 'd/b d/e/f d/e/g.log d/keep.log d/.env'],
];

/** As a walk that enters only what it must sees them. */
function leftOut(rules: IgnoreRules): string[] {
  const isEntered = (path: string): boolean =>
    path
      .split('/')
      .slice(0, -1)
      .map((_, index, parts) => parts.slice(0, index + 1).join('/'))
      .every((folder) => !rules.excludes(folder) || rules.mayIncludeBelow(folder));
  return FILES.filter((path) => !isEntered(path) || rules.excludes(path));
}

test("the docker client's own choice", () => {
  for (const [text, how, files] of CASES) {
    const named = files.split(' ');
    const expected = FILES.filter((file) => named.includes(file) === (how === 'only'));
    assert.deepEqual(leftOut(new IgnoreRules(parseIgnoreFile(text))), expected, JSON.stringify(text));
  }
});
