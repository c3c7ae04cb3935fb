/** Copies of many files: in runs, in the order of their names, what is put on them later in their place, and a limit. */
import assert from 'node:assert/strict';
import { linkSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { CopyFixture } from './copy-fixture.ts';
import { type Match, selectMatches } from './selection.ts';

let fixture: CopyFixture;
beforeEach(() => {
  fixture = new CopyFixture();
});
afterEach(() => fixture.remove());

function put(folder: string, names: readonly string[], content: string): void {
  mkdirSync(join(fixture.context, folder), { recursive: true });
  for (const name of names) writeFileSync(join(fixture.context, folder, name), content, { mode: 0o644 });
}

const entry = (name: string, content: string): string => `file n/${name} 644 0:0 = ${content}`;
const folder = (name: string): string => `directory ${name} 755 0:0`;

test('more than fit into a run, with a folder and a link among them', async () => {
  const names = Array.from({ length: 2000 }, (_, i) => `f${String(i).padStart(4, '0')}`);
  put('d', names, 'x');
  put('d/f1000-folder', ['a'], 'a');
  symlinkSync('f0000', join(fixture.context, 'd/f1500-link'));
  const expected = [
    ...names.slice(0, 1001).map((name) => entry(name, 'x')),
    folder('n/f1000-folder'),
    entry('f1000-folder/a', 'a'),
    ...names.slice(1001, 1501).map((name) => entry(name, 'x')),
    'symlink n/f1500-link 777 0:0 -> f0000',
    ...names.slice(1501).map((name) => entry(name, 'x')),
  ];
  assert.deepEqual(await fixture.copy(['d'], '/n'), [folder('n'), ...expected]);
});

test('folders upon each other: of each name the last, once', async () => {
  put('one', ['a', 'b', 'c', 'e'], '1');
  put('two', ['b', 'd', 'e'], '2');
  put('single', ['c', 'e'], '3');
  const lines = await fixture.copy(['one', 'two', 'single/c', 'single/e'], '/n/');
  const contents = { a: '1', b: '2', c: '3', d: '2', e: '3' };
  assert.deepEqual(lines, [
    folder('n'),
    ...Object.entries(contents).map(([name, text]) => entry(name, text)),
  ]);
  // A file first, a folder with the same name in it afterwards.
  const other = await fixture.copy(['single/e', 'two'], '/n/');
  assert.deepEqual(other, [folder('n'), ...['b', 'd', 'e'].map((name) => entry(name, '2'))]);
});

test('a file never takes the place of a folder, nor a folder that of a file', async () => {
  put('one', ['x'], '1');
  put('two/x', ['y'], '2');
  await assert.rejects(fixture.copy(['one', 'two'], '/n/'), /cannot copy to non-directory: \/n\/x/);
  await assert.rejects(fixture.copy(['two', 'one'], '/n/'), /cannot replace to directory \/n\/x with file/);
  mkdirSync(join(fixture.root, 'n/x'), { recursive: true });
  await assert.rejects(fixture.copy(['one'], '/n/'), /cannot replace to directory \/n\/x with file/);
});

test('further names of a file are links to the first that is copied', async () => {
  put('d', ['a', 'c'], 'x');
  linkSync(join(fixture.context, 'd/a'), join(fixture.context, 'd/b'));
  linkSync(join(fixture.context, 'd/a'), join(fixture.context, 'd/z'));
  put('over', ['a'], 'new');
  assert.deepEqual(await fixture.copy(['d', 'over'], '/n/'), [
    folder('n'),
    entry('a', 'new'),
    entry('b', 'x'),
    entry('c', 'x'),
    'hardlink n/z 644 0:0 -> n/b',
  ]);
});

test('names that layers reserve are refused, wherever they stand', async () => {
  put('d', ['a', '.wh.b', 'c'], 'x');
  await assert.rejects(fixture.copy(['d'], '/n'), /\/n\/\.wh\.b cannot be in a layer/);
});

test('more names than the limit are refused, whatever they are', async () => {
  put('d', ['a', 'b'], 'x');
  put('d/e', ['c'], 'x');
  const { signal } = new AbortController();
  const select = (patterns: string[], entriesMax: number): Promise<Match[]> =>
    selectMatches(fixture.tree(), patterns, { parents: false, excludes: [], signal, entriesMax });
  assert.equal((await select(['d'], 4)).length, 1);
  await assert.rejects(
    select(['d'], 3),
    /build context: more than 3 files and folders at once cannot be copied/,
  );
  await assert.rejects(select(['d/?'], 2), /more than 2 files and folders/);
});
