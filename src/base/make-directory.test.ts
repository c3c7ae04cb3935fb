import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { makeDirectory } from './make-directory.ts';

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

test('what cannot be made is told with its own reason', () => {
  // Nobody can make a folder in /proc, which the kernel says with ENOENT, nor in /sys, where root may not.
  assert.throws(() => makeDirectory('/proc/none/below', 0o700), { code: 'ENOENT' });
  assert.throws(() => makeDirectory('/sys/none/below', 0o700), { code: /^(EPERM|EROFS|EACCES)$/ });
});
