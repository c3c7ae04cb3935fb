import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { containerPaths, removedDirectory } from './paths.ts';
import { discardHome, removeDiscarded, stuckHomes, sweepDiscarded } from './removed-homes.ts';

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

test('one that is not there is no error; what an earlier daemon has left is removed', {
  timeout: 60_000,
}, async () => {
  discardHome(dataRoot, containerPaths(dataRoot, '/nowhere', 'missing'));
  mkdirSync(join(removedDirectory(dataRoot), 'old/upper'), { recursive: true });
  writeFileSync(join(removedDirectory(dataRoot), 'old/upper/file'), 'x');
  sweepDiscarded(dataRoot);
  while (readdirSync(removedDirectory(dataRoot)).length > 0) await sleep(20);
});

test('a file that cannot be removed stops neither a daemon’s start nor the removal of others', {
  timeout: 60_000,
}, async (context) => {
  const directory = removedDirectory(dataRoot);
  const stubborn = join(directory, 'a', 'file');
  for (const name of ['a', 'b']) {
    mkdirSync(join(directory, name));
    writeFileSync(join(directory, name, 'file'), 'x');
  }
  if (spawnSync('chattr', ['+i', stubborn]).status !== 0) return context.skip('no immutable files here');
  try {
    sweepDiscarded(dataRoot);
    while (existsSync(join(directory, 'b'))) await sleep(20);
    assert.ok(existsSync(stubborn));
    // The two are removed one after the other.
    while (stuckHomes(dataRoot).length === 0) await sleep(20);
    const [left] = stuckHomes(dataRoot);
    assert.equal(left?.path, join(directory, 'a'));
    assert.match(left?.reason ?? '', /not permitted|EPERM/i);
    assert.deepEqual(stuckHomes('/elsewhere'), []);
    await assert.rejects(removeDiscarded(left?.path ?? ''));
  } finally {
    spawnSync('chattr', ['-i', stubborn]);
  }
  // It is tried again by itself, and that may be a while from now.
  await removeDiscarded(join(directory, 'a'));
  assert.ok(!existsSync(stubborn));
  assert.deepEqual(stuckHomes(dataRoot), []);
});

test('one that cannot be removed for a moment is removed a moment later, and nobody is told', {
  timeout: 60_000,
}, async (context) => {
  const directory = removedDirectory(dataRoot);
  const file = join(directory, 'passing', 'file');
  const other = join(directory, 'other');
  for (const path of [dirname(file), other]) mkdirSync(path);
  writeFileSync(file, 'x');
  if (spawnSync('chattr', ['+i', file]).status !== 0) return context.skip('no immutable files here');
  try {
    sweepDiscarded(dataRoot);
    // They are removed one after the other.
    while (existsSync(other)) await sleep(5);
    assert.ok(existsSync(file));
  } finally {
    spawnSync('chattr', ['-i', file]);
  }
  while (existsSync(dirname(file))) {
    assert.deepEqual(stuckHomes(dataRoot), []);
    await sleep(20);
  }
});
