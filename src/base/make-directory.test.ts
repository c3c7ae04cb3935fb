import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { makeDirectory, makeDirectoryAsync } from './make-directory.ts';

test('directories are made with those above them, and the first of them is told', () => {
  const folder = mkdtempSync(join(tmpdir(), 'mydock-directory-'));
  try {
    assert.equal(makeDirectory(join(folder, 'a/b/c'), 0o700), join(folder, 'a'));
    assert.equal(makeDirectory(join(folder, 'a/b/c'), 0o700), undefined);
    assert.equal(statSync(join(folder, 'a/b/c')).mode & 0o777, 0o700);
    writeFileSync(join(folder, 'file'), '');
    assert.throws(() => makeDirectory(join(folder, 'file/below'), 0o700), { code: 'ENOTDIR' });
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('the same without waiting in the process', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'mydock-directory-'));
  try {
    await makeDirectoryAsync(join(folder, 'a/b/c'), 0o700);
    await makeDirectoryAsync(join(folder, 'a/b/c'), 0o700);
    assert.equal(statSync(join(folder, 'a/b/c')).mode & 0o777, 0o700);
    writeFileSync(join(folder, 'file'), '');
    await assert.rejects(makeDirectoryAsync(join(folder, 'file'), 0o700), { code: 'EEXIST' });
    symlinkSync('nowhere', join(folder, 'dangling'));
    await assert.rejects(makeDirectoryAsync(join(folder, 'dangling'), 0o700), { code: 'EEXIST' });
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('what cannot be made is told with its own reason', async () => {
  // Nobody can make a folder in /proc, which the kernel says with ENOENT, nor in /sys, where root may not.
  assert.throws(() => makeDirectory('/proc/none/below', 0o700), { code: 'ENOENT' });
  await assert.rejects(makeDirectoryAsync('/proc/none/below', 0o700), { code: 'ENOENT' });
  assert.throws(() => makeDirectory('/sys/none/below', 0o700), { code: /^(EPERM|EROFS|EACCES)$/ });
});
