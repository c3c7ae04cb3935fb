/** Clones and snapshots where the file system can share content: btrfs, on a loop device. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { Daemon } from '../harness.ts';

test('on btrfs a clone shares what it holds', async (context) => {
  const folder = mkdtempSync(join(tmpdir(), 'reflink-'));
  context.after(() => rmSync(folder, { recursive: true }));
  const [image, place] = [join(folder, 'btrfs.img'), join(folder, 'btrfs')];
  writeFileSync(image, '');
  truncateSync(image, 256 << 20);
  mkdirSync(place);
  try {
    execFileSync('mkfs.btrfs', ['-q', image]);
    execFileSync('mount', ['-o', 'loop', image, place], { stdio: 'pipe' });
  } catch (error) {
    context.skip(`btrfs cannot be used here: ${String(error)}`);
    return;
  }
  const other = await Daemon.start(['--data-root', join(place, 'data')]).catch((error: unknown) => {
    execFileSync('umount', [place]);
    throw error;
  });
  try {
    await other.ok('volume', 'create', 'big');
    writeFileSync(join(place, 'data/volumes/big/_data/x'), Buffer.alloc(60 << 20, 'content '));
    const used = () => {
      execFileSync('sync', ['-f', place]);
      const out = execFileSync('btrfs', ['filesystem', 'df', '--raw', place], { encoding: 'utf8' });
      return Number(/^Data.*used=(\d+)/m.exec(out)?.[1]);
    };
    const before = used();
    assert.ok(before >= 60 << 20);
    await other.ok('volume', 'clone', 'big', 'again');
    await other.ok('volume', 'snapshot', 'create', 'big', 'kept');
    assert.ok(used() - before < 1 << 20, `${used() - before} bytes more for a clone and a snapshot`);
  } finally {
    await other.close();
    execFileSync('umount', [place]);
  }
});
