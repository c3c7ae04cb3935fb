import assert from 'node:assert/strict';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { containerPaths, removedDirectory } from './paths.ts';
import { discardHome, sweepDiscarded } from './removed-homes.ts';

const dataRoot = mkdtempSync(join(tmpdir(), 'removed-homes-'));
after(() => rmSync(dataRoot, { recursive: true, force: true }));

function home(id: string): ReturnType<typeof containerPaths> {
  const paths = containerPaths(dataRoot, '/nowhere', id);
  mkdirSync(join(paths.upper, 'etc'), { recursive: true });
  writeFileSync(join(paths.upper, 'etc/hosts'), 'x');
  return paths;
}

test('a removed container’s folder is gone at once, and its files soon', { timeout: 60_000 }, async () => {
  // More than wait at a time: the rest is removed on the spot.
  const all = Array.from({ length: 70 }, (_, number) => home(`id-${number}`));
  for (const paths of all) {
    discardHome(dataRoot, paths);
    assert.ok(!existsSync(paths.home));
  }
  assert.equal(readdirSync(removedDirectory(dataRoot)).length, 64);
  while (readdirSync(removedDirectory(dataRoot)).length > 0) await sleep(20);
});

test('one that is not there is no error; what an earlier daemon has left is removed', () => {
  discardHome(dataRoot, containerPaths(dataRoot, '/nowhere', 'missing'));
  mkdirSync(join(removedDirectory(dataRoot), 'old/upper'), { recursive: true });
  writeFileSync(join(removedDirectory(dataRoot), 'old/upper/file'), 'x');
  sweepDiscarded(dataRoot);
  assert.deepEqual(readdirSync(removedDirectory(dataRoot)), []);
});
