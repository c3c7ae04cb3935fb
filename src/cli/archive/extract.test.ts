import assert from 'node:assert/strict';
import {
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { type Header, pack } from 'tar-stream';
import { extractArchive } from './extract.ts';
import { packBytes } from './file-entry.ts';
import { packTree } from './pack-tree.ts';

let folder = '';
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'mydock-extract-'));
  mkdirSync(join(folder, 'to'));
  writeFileSync(join(folder, 'secret'), 'old');
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

type Entry = Partial<Header> & { name: string; content?: string };

function archive(entries: readonly Entry[]): AsyncIterable<Uint8Array> {
  const made = pack();
  for (const { content, ...header } of entries) made.entry(header, content ?? '');
  made.finalize();
  return packBytes(made);
}

function extract(entries: readonly Entry[], options = {}): Promise<void> {
  const all = { rootName: 'x', newName: 'x', keepOwners: false, ...options };
  return extractArchive(archive(entries), join(folder, 'to'), all);
}

test('no archive writes outside of the folder or through a link', async () => {
  const outside = join(folder, 'secret');
  const hostile: Entry[][] = [
    [{ name: '../secret', content: 'new' }],
    [{ name: 'x/../../secret', content: 'new' }],
    [{ name: outside, content: 'new' }],
    [{ name: 'other', content: 'not asked for' }],
    [
      { name: 'x/', type: 'directory' },
      { name: 'x/out', type: 'symlink', linkname: folder },
      { name: 'x/out/secret', content: 'new' },
    ],
    [
      { name: 'x', type: 'symlink', linkname: folder },
      { name: 'x/', type: 'directory', mode: 0o777 },
    ],
    [{ name: 'x', type: 'link', linkname: '../secret' }],
    [{ name: 'x', type: 'link', linkname: outside }],
    [
      { name: 'x/', type: 'directory' },
      { name: 'x/l', type: 'symlink', linkname: outside },
      { name: 'x/h', type: 'link', linkname: 'x/l' },
    ],
  ];
  for (const entries of hostile) {
    await assert.rejects(extract(entries), { name: 'CliError' }, JSON.stringify(entries));
    rmSync(join(folder, 'to'), { recursive: true });
    mkdirSync(join(folder, 'to'));
  }
  assert.equal(readFileSync(outside, 'utf8'), 'old');
});

test('a link in the place of a file is replaced, not followed', async () => {
  symlinkSync(join(folder, 'secret'), join(folder, 'to/x'));
  await extract([{ name: 'x', content: 'new' }]);
  assert.equal(readFileSync(join(folder, 'secret'), 'utf8'), 'old');
  assert.equal(readFileSync(join(folder, 'to/x'), 'utf8'), 'new');
  await extract([
    { name: 'x', type: 'symlink', linkname: join(folder, 'secret') },
    { name: 'x', content: 'again' },
  ]);
  assert.equal(readFileSync(join(folder, 'secret'), 'utf8'), 'old');
});

test('files and folders do not replace each other', async () => {
  mkdirSync(join(folder, 'to/x'));
  await assert.rejects(extract([{ name: 'x', content: '' }]), /cannot overwrite directory/);
  rmSync(join(folder, 'to/x'), { recursive: true });
  writeFileSync(join(folder, 'to/x'), '');
  await assert.rejects(extract([{ name: 'x/', type: 'directory' }]), /cannot overwrite non-directory/);
});

test('set-user-ID bits come only with their owner', async () => {
  const entry = { name: 'x', mode: 0o4755, uid: 1000, gid: 1001, content: '' };
  await extract([entry]);
  assert.equal(lstatSync(join(folder, 'to/x')).mode & 0o7777, 0o755);
  if (process.getuid?.() !== 0) return;
  await extract([entry], { keepOwners: true });
  const { mode, uid, gid } = lstatSync(join(folder, 'to/x'));
  assert.deepEqual([mode & 0o7777, uid, gid], [0o4755, 1000, 1001]);
});

test('a tree arrives as it was packed, under its new name', async () => {
  const from = join(folder, 'from');
  mkdirSync(join(from, 'sub'), { recursive: true });
  writeFileSync(join(from, 'sub/file'), 'x'.repeat(300_000), { mode: 0o640 });
  symlinkSync('sub/file', join(from, 'link'));
  const options = { rootName: 'x', newName: 'y', keepOwners: false };
  await extractArchive(packTree(from, 'x'), join(folder, 'to'), options);
  assert.equal(readFileSync(join(folder, 'to/y/sub/file'), 'utf8').length, 300_000);
  assert.equal(lstatSync(join(folder, 'to/y/sub/file')).mode & 0o777, 0o640);
  assert.equal(readlinkSync(join(folder, 'to/y/link')), 'sub/file');
  await extractArchive(packTree(`${from}/.`, '.'), join(folder, 'to'), {
    ...options,
    rootName: '.',
    newName: '.',
  });
  assert.equal(readlinkSync(join(folder, 'to/link')), 'sub/file');
});

test('a folder without write permission is filled all the same', async () => {
  await extract([
    { name: 'x/', type: 'directory', mode: 0o555, mtime: new Date(5000) },
    { name: 'x/f', content: 'f' },
  ]);
  const { mode, mtimeMs } = lstatSync(join(folder, 'to/x'));
  assert.deepEqual([mode & 0o777, mtimeMs], [0o555, 5000]);
});

test('an archive that is cut is an error', async () => {
  const whole: Uint8Array[] = [];
  for await (const chunk of archive([{ name: 'x', content: 'y'.repeat(2000) }])) whole.push(chunk);
  async function* cut() {
    yield Buffer.concat(whole).subarray(0, 1000);
  }
  const options = { rootName: 'x', newName: 'x', keepOwners: false };
  await assert.rejects(extractArchive(cut(), join(folder, 'to'), options));
});
