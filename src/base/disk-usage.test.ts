import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { linkSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { diskUsage } from './disk-usage.ts';

test('a folder takes what du says: sparse files, hard links, links and folders', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'disk-usage-'));
  try {
    mkdirSync(join(folder, 'a/b'), { recursive: true });
    for (let n = 0; n < 40; n++) writeFileSync(join(folder, `a/b/${n}`), Buffer.alloc(n * 500));
    writeFileSync(join(folder, 'big'), Buffer.alloc(1_000_000));
    linkSync(join(folder, 'big'), join(folder, 'a/again'));
    symlinkSync('/usr', join(folder, 'a/link'));
    writeFileSync(join(folder, 'sparse'), '');
    truncateSync(join(folder, 'sparse'), 1e9);
    const said = Number(execFileSync('du', ['-s', '--block-size=1', folder]).toString().split('\t')[0]);
    assert.equal(await diskUsage(folder), said);
    assert.ok((await diskUsage(folder, new Set([join(folder, 'a')]))) < said);
    assert.equal(await diskUsage(join(folder, 'missing')), 0);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
