import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { editBoundFile } from './edit-bound-file.ts';

const container = { id: 'x' };
let folder: string;
before(() => {
  folder = mkdtempSync(join(tmpdir(), 'edit-'));
});
after(() => rmSync(folder, { recursive: true }));

test('the file is changed in place, byte for byte', () => {
  const path = join(folder, 'hosts');
  writeFileSync(path, Buffer.from('one\xff\ntwo\nthree\n', 'latin1'));
  const { ino } = statSync(path);
  editBoundFile(container, path, (text) => text.replace('two\n', ''));
  assert.deepEqual(readFileSync(path), Buffer.from('one\xff\nthree\n', 'latin1'));
  editBoundFile(container, path, (text) => `${text}more\n`);
  assert.equal(readFileSync(path, 'latin1'), 'one\xff\nthree\nmore\n');
  assert.equal(statSync(path).ino, ino);
});

test('a file that was filled up, and what is none, are left alone', () => {
  const path = join(folder, 'large');
  writeFileSync(path, Buffer.alloc(2 * 1024 * 1024));
  const edited: string[] = [];
  const overwrite = (text: string): string => {
    edited.push(text);
    return '';
  };
  editBoundFile(container, path, overwrite);
  symlinkSync(join(folder, 'hosts'), join(folder, 'link'));
  editBoundFile(container, join(folder, 'link'), overwrite);
  editBoundFile(container, join(folder, 'missing'), overwrite);
  assert.deepEqual(edited, []);
  assert.equal(statSync(path).size, 2 * 1024 * 1024);
  assert.notEqual(readFileSync(join(folder, 'hosts')).length, 0);
});
