/** What is left of folders and downloads where something goes wrong between two builds, or cannot be removed. */
import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { KeptFolders } from './kept-folders.ts';
import { WorkFolders } from './work-folders.ts';

let directory: string;
before(() => {
  directory = mkdtempSync(join(tmpdir(), 'mydock-kept-'));
});
after(() => rmSync(directory, { recursive: true }));

test('a folder that cannot be removed is given back all the same', async () => {
  const work = new WorkFolders(directory);
  const kept = new KeptFolders({ directory: join(directory, 'kept'), type: 'source.local', work });
  const signal = AbortSignal.timeout(10_000);
  const first = await kept.take(['words'], 'a folder', signal);
  writeFileSync(join(first.path, 'file'), 'broken');
  const next = kept.take(['words'], 'a folder', signal);
  rmSync(work.directory, { recursive: true });
  await assert.rejects(first.drop(), { code: 'ENOENT' });
  new WorkFolders(directory);
  await (await next).drop();
  assert.deepEqual(readdirSync(join(directory, 'kept')), []);
});

test('a tree of one file that cannot be written leaves no folder', async () => {
  const work = new WorkFolders(directory);
  assert.throws(() => work.fileTree('no/folder', Buffer.from('x'), 'title'), { code: 'ENOENT' });
  const left = (): string[] => readdirSync(work.directory);
  const { promise, resolve } = Promise.withResolvers<void>();
  const look = setInterval(() => left().length === 0 && resolve(), 5);
  const limit = setTimeout(resolve, 10_000);
  await promise;
  clearInterval(look);
  clearTimeout(limit);
  assert.deepEqual(left(), []);
});
