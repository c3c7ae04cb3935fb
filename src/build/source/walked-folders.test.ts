/** What one walk has seen, the next one takes: tested by folders that change in between, which nobody looks at again. */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { IgnoreRules } from '../../base/ignore/ignore-rules.ts';
import { selectMatches } from '../copy/selection.ts';
import { newestFileSec } from './newest-file.ts';
import type { SourceTree } from './source-tree.ts';
import { WalkedFolders } from './walked-folders.ts';

const path = mkdtempSync(join(tmpdir(), 'mydock-walked-'));
after(() => rmSync(path, { recursive: true }));
const { signal } = new AbortController();

function file(name: string, seconds: number): void {
  writeFileSync(join(path, name), '');
  utimesSync(join(path, name), seconds, seconds);
}

test('folders that a copy has listed are not listed again, others are', async () => {
  mkdirSync(join(path, 'copied/below'), { recursive: true });
  mkdirSync(join(path, 'other'));
  file('copied/below/a', 1000);
  file('copied/ignored', 9000);
  const tree: SourceTree = {
    ...{ path, title: 'context', times: 'uniform', live: true, walked: new WalkedFolders() },
    ignore: new IgnoreRules(['copied/ignored']),
    release: () => Promise.resolve(),
  };
  await selectMatches(tree, ['copied'], { parents: false, excludes: ['below/a'], signal });
  file('copied/below/b', 5000);
  file('other/c', 2000);
  assert.equal(await newestFileSec(tree, signal), 2000);
  assert.equal(await newestFileSec({ ...tree, walked: new WalkedFolders() }, signal), 5000);
  rmSync(join(path, 'other/c'));
  assert.equal(await newestFileSec(tree, signal), 1000);
});

test('a walk waits for the others, until the last of them has ended', async () => {
  const walked = new WalkedFolders();
  await walked.idle();
  const [first, second] = [walked.begin(), walked.begin()];
  let isIdle = false;
  const idle = walked.idle().then(() => {
    isIdle = true;
  });
  first();
  await new Promise(setImmediate);
  assert.equal(isIdle, false);
  second();
  await idle;
});
