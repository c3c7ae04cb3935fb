import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { removeTree } from './remove-tree.ts';
import { retryRemoval } from './retry-removal.ts';

test('what cannot be removed now is removed once it can be', { timeout: 60_000 }, async (context) => {
  const root = mkdtempSync(join(tmpdir(), 'retry-removal-'));
  const tree = join(root, 'tree');
  const file = join(tree, 'file');
  mkdirSync(tree);
  writeFileSync(file, 'x');
  try {
    if (spawnSync('chattr', ['+i', file]).status !== 0) return context.skip('no immutable files here');
    try {
      await assert.rejects(removeTree(tree));
      retryRemoval(tree);
      // Over the first try.
      await sleep(700);
      assert.ok(existsSync(file));
    } finally {
      spawnSync('chattr', ['-i', file]);
    }
    while (existsSync(tree)) await sleep(20);
  } finally {
    rmSync(root, { recursive: true, force: true });
  }
});
