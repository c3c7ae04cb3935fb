import assert from 'node:assert/strict';
import {
  chmodSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { S_IFCHR } from '../image/layers/native-archive.ts';
import { addon } from '../native/addon.ts';
import { emptyBaseMountPoints, makeBaseMountPoints } from './base-mount-points.ts';
import { compareTrees } from './changes.ts';

let folder: string;
before(() => {
  folder = mkdtempSync(join(tmpdir(), 'changes-'));
});
after(() => rmSync(folder, { recursive: true, force: true }));

let count = 0;

/** An upper and a lower directory; names ending in a slash are folders, `!name` is a whiteout, `=name/` opaque. */
function trees(upper: readonly string[], lower: readonly string[]): { upper: string; lower: string } {
  const base = join(folder, String(count++));
  const made = { upper: join(base, 'upper'), lower: join(base, 'lower') };
  for (const [root, names] of [
    [made.upper, upper],
    [made.lower, lower],
  ] as const) {
    mkdirSync(root, { recursive: true });
    for (const name of names) make(root, name);
    for (const name of names) if (name.endsWith('/')) utimesSync(join(root, name.replace('=', '')), 1, 1);
  }
  return made;
}

function make(root: string, name: string): void {
  const path = join(root, name.replace(/[!=]/, ''));
  mkdirSync(join(path, '..'), { recursive: true });
  if (name.includes('!')) addon().mknod(path, S_IFCHR | 0o600, 0, 0);
  else if (name.endsWith('/')) mkdirSync(path, { recursive: true });
  else writeFileSync(path, name);
  if (name.includes('=')) addon().setXattr(path, 'trusted.overlay.opaque', Buffer.from('y'));
}

async function changes(upper: readonly string[], lower: readonly string[]): Promise<string[]> {
  const made = trees(upper, lower);
  const found = await compareTrees(made.upper, made.lower);
  return found.map(({ Path, Kind }) => `${'CAD'[Kind]} ${Path}`);
}

test('new, changed and vanished names, with the folders that hold them', async () => {
  assert.deepEqual(await changes(['a/', 'a/new'], ['a/', 'a/old']), ['C /a', 'A /a/new']);
  assert.deepEqual(await changes(['a/', 'a/b/', 'a/b/f'], ['a/', 'a/b/', 'a/b/f']), [
    'C /a',
    'C /a/b',
    'C /a/b/f',
  ]);
  assert.deepEqual(await changes(['a/', 'a/!old'], ['a/', 'a/old']), ['C /a', 'D /a/old']);
  assert.deepEqual(await changes(['n/', 'n/m/', 'n/m/f'], []), ['A /n', 'A /n/m', 'A /n/m/f']);
});

test('a whiteout of what the image does not have is nothing', async () => {
  assert.deepEqual(await changes(['!made-and-removed'], []), []);
});

test('a folder that was only looked into is unchanged; another mode or owner changes it', async () => {
  assert.deepEqual(await changes(['a/'], ['a/']), []);
  const { upper, lower } = trees(['a/'], ['a/']);
  chmodSync(join(upper, 'a'), 0o700);
  assert.deepEqual(await compareTrees(upper, lower), [{ Path: '/a', Kind: 0 }]);
});

test('an opaque folder hides what the image has in it', async () => {
  assert.deepEqual(await changes(['=d/', 'd/kept', 'd/new'], ['d/', 'd/kept', 'd/gone']), [
    'C /d',
    'D /d/gone',
    'C /d/kept',
    'A /d/new',
  ]);
});

test('a folder in the place of a file, links, names that are not UTF-8', async () => {
  assert.deepEqual(await changes(['x/', 'x/f'], ['x']), ['C /x', 'A /x/f']);
  const { upper, lower } = trees(['f'], []);
  symlinkSync('/etc', join(upper, 'l'));
  linkSync(join(upper, 'f'), join(upper, 'h'));
  assert.deepEqual(
    (await compareTrees(upper, lower)).map(({ Path }) => Path),
    ['/f', '/h', '/l'],
  );
});

test('mount points of every container are no change while they are empty', async () => {
  const { upper, lower } = trees([], ['etc/', 'dev/']);
  await makeBaseMountPoints(upper);
  const empty = emptyBaseMountPoints(upper, lower);
  assert.deepEqual(empty, ['/etc/hostname', '/etc/hosts', '/etc/resolv.conf', '/proc', '/sys']);
  utimesSync(join(upper, 'etc'), 1, 1);
  utimesSync(join(upper, 'dev'), 1, 1);
  assert.deepEqual(await compareTrees(upper, lower, empty), []);
  writeFileSync(join(upper, 'etc/hosts'), 'written');
  assert.deepEqual(emptyBaseMountPoints(upper, lower), [
    '/etc/hostname',
    '/etc/resolv.conf',
    '/proc',
    '/sys',
  ]);
});
