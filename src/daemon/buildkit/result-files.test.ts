import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { readResultFile, readResultFolder, statResultFile } from './result-files.ts';

describe('files of a result', () => {
  let folder: string;
  let root: string;

  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'result-files-'));
    root = join(folder, 'root');
    mkdirSync(join(root, 'deep'), { recursive: true });
    writeFileSync(join(folder, 'outside'), 'secret');
    writeFileSync(join(root, 'inside'), '0123456789');
    writeFileSync(join(root, 'outside'), 'of the result');
    writeFileSync(join(root, 'large'), '');
    truncateSync(join(root, 'large'), 20 << 20);
    symlinkSync('/inside', join(root, 'absolute'));
    symlinkSync('../../outside', join(root, 'deep/up'));
    symlinkSync('loop', join(root, 'loop'));
    execFileSync('mkfifo', [join(root, 'fifo')]);
  });
  after(() => rmSync(folder, { recursive: true }));

  const read = (path: string, offset = 0, length = 0): string =>
    readResultFile(root, path, offset, length).toString();

  test('are read whole and in ranges, through links that stay inside', () => {
    assert.equal(read('inside'), '0123456789');
    assert.equal(read('/inside', 3, 4), '3456');
    assert.equal(read('inside', 8, 100), '89');
    assert.equal(read('inside', 100), '');
    assert.equal(read('absolute'), '0123456789');
    assert.equal(read('deep/up'), 'of the result');
    assert.equal(read('../../outside'), 'of the result');
    assert.equal(readResultFile(root, 'large', 19 << 20, 0).length, 1 << 20);
  });

  test('what cannot be read is refused by name, and a FIFO keeps nobody waiting', () => {
    assert.throws(() => read('none'), { code: 'NotFound', message: /none/ });
    assert.throws(() => read('inside/x'), { code: 'InvalidArgument' });
    assert.throws(() => read('loop'), { code: 'InvalidArgument', message: /symbolic links/ });
    assert.throws(() => read('fifo'), { code: 'InvalidArgument', message: /not a regular file/ });
    assert.throws(() => read('deep'), { code: 'InvalidArgument', message: /not a regular file/ });
    assert.throws(() => read('large'), { code: 'ResourceExhausted' });
    assert.throws(() => read('in\0side'), { code: 'InvalidArgument' });
    assert.throws(() => readResultFolder(root, 'inside', ''), { code: 'InvalidArgument' });
  });

  test('are listed and described as they are', () => {
    const names = (pattern: string): string[] =>
      readResultFolder(root, '/', pattern).map(({ path }) => String(path));
    assert.deepEqual(names(''), ['absolute', 'deep', 'fifo', 'inside', 'large', 'loop', 'outside']);
    assert.deepEqual(names('*side'), ['inside', 'outside']);
    const [link] = readResultFolder(root, 'deep', '');
    assert.equal(String(link?.linkname), '../../outside');
    assert.equal(Number(link?.mode) & 0x08000000, 0x08000000);
    const followed = statResultFile(root, 'absolute');
    assert.equal(followed.size, 10n);
    assert.equal(Number(followed.mode) & ~0o777, 0);
    assert.equal(Number(statResultFile(root, '').mode) >>> 31, 1);
    assert.throws(() => statResultFile(root, 'none'), { code: 'NotFound' });
  });
});
