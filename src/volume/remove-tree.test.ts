import assert from 'node:assert/strict';
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
