import assert from 'node:assert/strict';
import { test } from 'node:test';
import { mountsBelow, readMountTable } from './mount-table.ts';

const line = (mountPoint: string, root = '/'): string =>
  `36 35 98:0 ${root} ${mountPoint} rw,noatime master:1 - ext4 /dev/root rw,errors=continue`;

test('mounts on a folder and below it, and no others', () => {
  const table = [
    line('/'),
    line('/data/volumes/a'),
    line('/data/volumes/a/_data'),
    line('/data/volumes/ab/_data'),
    line('/elsewhere', '/data/volumes/a'),
    line('/data/with\\040blank\\134/x'),
    '',
  ].join('\n');
  const found = (folder: string): string[] => mountsBelow(folder, table).map(({ mountPoint }) => mountPoint);
  assert.deepEqual(found('/data/volumes/a'), ['/data/volumes/a', '/data/volumes/a/_data']);
  assert.deepEqual(found('/data/volumes/a/_data'), ['/data/volumes/a/_data']);
  assert.deepEqual(found('/data/with blank\\'), ['/data/with blank\\/x']);
  assert.deepEqual(found('/data/volumes/c'), []);
});

test('the mounts of this machine', () => {
  const all = readMountTable().map(({ mountPoint }) => mountPoint);
  const below = mountsBelow('/proc').map(({ mountPoint }) => mountPoint);
  assert.deepEqual(
    below,
    all.filter((mountPoint) => mountPoint === '/proc' || mountPoint.startsWith('/proc/')),
  );
  assert.ok(below.includes('/proc'));
});
