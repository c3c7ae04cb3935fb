import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { removeTree } from './remove-tree.ts';

for (const files of [3, 2000]) {
  test(`a tree of ${files} files goes, and nothing that its links lead to`, async (context) => {
    const base = mkdtempSync(join(tmpdir(), 'remove-'));
    context.after(() => rmSync(base, { recursive: true }));
    mkdirSync(join(base, 'kept'));
    writeFileSync(join(base, 'kept/x'), '');
    const tree = join(base, 'tree');
    mkdirSync(join(tree, 'a/b'), { recursive: true });
    mkdirSync(Buffer.concat([Buffer.from(`${tree}/`), Buffer.from([0xff])]));
    symlinkSync(join(base, 'kept'), join(tree, 'a/link'));
    for (let file = 0; file < files; file++) writeFileSync(join(tree, 'a/b', String(file)), '');
    await removeTree(tree);
    assert.ok(!existsSync(tree) && existsSync(join(base, 'kept/x')));
    await removeTree(tree);
    symlinkSync(join(base, 'kept'), tree);
    await removeTree(tree);
    assert.ok(!existsSync(tree) && existsSync(join(base, 'kept/x')));
  });
}

test('a tree that is deeper than any path', async (context) => {
  const base = mkdtempSync(join(tmpdir(), 'remove-'));
  context.after(() => rmSync(base, { recursive: true, force: true }));
  const script = 'mkdir tree && cd tree && for i in $(seq 30); do mkdir "$0" && cd -P "./$0" || exit 1; done';
  execFileSync('/bin/bash', ['-c', script, 'd'.repeat(200)], { cwd: base });
  await removeTree(join(base, 'tree'));
  assert.ok(!existsSync(join(base, 'tree')));
});
