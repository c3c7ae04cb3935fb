/** The walk that hides what is ignored, in trees as a client may have them. */
import assert from 'node:assert/strict';
import { closeSync, constants, mkdirSync, mkdtempSync, openSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { hideIgnored } from './hidden-files.ts';

const folder = mkdtempSync(join(tmpdir(), 'mydock-hidden-'));
after(() => rmSync(folder, { recursive: true, force: true }));

const everything = { excludes: () => false, mayIncludeBelow: () => true };

async function hide(name: string, levels: number): Promise<boolean> {
  const tree = join(folder, name);
  const layer = join(folder, `${name}-layer`);
  mkdirSync(layer);
  mkdirSync(join(tree, 'd/'.repeat(levels)), { recursive: true });
  const fd = openSync(tree, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    return await hideIgnored(fd, '', everything, layer, new AbortController().signal);
  } finally {
    closeSync(fd);
  }
}

test('a tree is walked to a depth that its descriptors allow, and no deeper', async () => {
  assert.equal(await hide('deep', 200), false);
  const open = readdirSync('/proc/self/fd').length;
  await assert.rejects(hide('deeper', 201), {
    kind: 'InvalidParameter',
    message: /^a folder of a bind mount cannot be shown: "d\/d\/.*…" lies deeper than 200 folders$/,
  });
  assert.equal(readdirSync('/proc/self/fd').length, open);
});
