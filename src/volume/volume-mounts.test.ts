import assert from 'node:assert/strict';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, beforeEach, test } from 'node:test';
import { openDatabase } from '../base/database.ts';
import { addon } from '../native/addon.ts';
import { removeTree } from './remove-tree.ts';
import { mountPointsBelow } from './volume-mounts.ts';
import { VolumeStore } from './volume-store.ts';
import { VOLUME_MIGRATIONS } from './volume-table.ts';

const MNT_DETACH = 2;
const base = mkdtempSync(join(tmpdir(), 'mydock-volume-mounts-'));
let turn = 0;
let root = '';
let store: VolumeStore;

function newStore(): VolumeStore {
  const database = openDatabase(join(root, 'db'), [VOLUME_MIGRATIONS]);
  return new VolumeStore({ database, root: join(root, 'volumes') });
}

beforeEach(() => {
  root = join(base, String(turn++));
  mkdirSync(join(root, 'device'), { recursive: true });
  writeFileSync(join(root, 'device/file'), 'of the device');
  store = newStore();
});
afterEach(() => {
  for (const point of mountPointsBelow(root).toReversed()) addon().unmount(point, MNT_DETACH);
});
after(() => rmSync(base, { recursive: true, force: true }));

function makeBind(name: string, o = 'bind', device = join(root, 'device')): void {
  store.create({ Name: name, DriverOpts: { type: 'none', o, device } });
}

test('a device is mounted from the first user to the last', async () => {
  makeBind('bound');
  const content = () => readdirSync(store.path('bound'));
  assert.deepEqual(store.get('bound').Options, { type: 'none', o: 'bind', device: join(root, 'device') });
  assert.deepEqual(store.get('bound').Status, { Mount: { Mounted: false, FileSystem: '' } });
  await Promise.all([store.mount('bound', 'c1'), store.mount('bound', 'c2'), store.mount('bound', 'c1')]);
  assert.deepEqual(content(), ['file']);
  assert.equal(mountPointsBelow(root).length, 1);
  assert.equal(store.get('bound').Status?.Mount?.Mounted, true);
  await store.release(['bound'], 'c1');
  assert.deepEqual(content(), ['file']);
  await store.release(['bound'], 'c1');
  await store.release(['bound'], 'stranger');
  assert.deepEqual(content(), ['file']);
  await store.release(['bound'], 'c2');
  assert.deepEqual(content(), []);
});

test('a later daemon counts the users again, and unmounts what nobody uses', async () => {
  makeBind('used');
  makeBind('unused');
  await store.mount('used', 'c1');
  await store.mount('unused', 'c2');
  store = newStore();
  store.adopt(['used'], 'c1');
  await store.unmountUnused();
  assert.deepEqual(
    ['used', 'unused'].map((name) => readdirSync(store.path(name))),
    [['file'], []],
  );
  await store.release(['used'], 'c1');
  assert.deepEqual(readdirSync(store.path('used')), []);
});

test('what is mounted in a tree that is removed stays, and ends the removal', async () => {
  const place = join(root, 'tree/sub/deep');
  mkdirSync(place, { recursive: true });
  addon().mount(join(root, 'device'), place, '', 0x1000, '');
  await assert.rejects(removeTree(join(root, 'tree')), { code: 'EXDEV' });
  assert.deepEqual(readdirSync(join(root, 'device')), ['file']);
  addon().unmount(place, MNT_DETACH);
  await removeTree(join(root, 'tree'));
  assert.ok(!existsSync(join(root, 'tree')));
});

test('removing a volume never removes what was mounted on it', async () => {
  makeBind('bound');
  await store.mount('bound', 'c1');
  await assert.rejects(store.remove('bound'), {
    kind: 'Conflict',
    message: 'remove bound: volume has active mounts',
  });
  // As after a crash: mounted, and nobody knows for whom.
  store = newStore();
  await store.remove('bound');
  assert.ok(existsSync(join(root, 'device/file')));
  assert.ok(!existsSync(join(root, 'volumes/bound')));

  store.create({ Name: 'plain' });
  mkdirSync(join(store.path('plain'), 'below'));
  addon().mount(join(root, 'device'), join(store.path('plain'), 'below'), '', 0x1000, '');
  await assert.rejects(store.remove('plain'), {
    kind: 'Conflict',
    message: /is mounted in the volume at .*: unmount it first$/,
  });
  assert.ok(existsSync(join(root, 'device/file')));
});

test('a read-only bind and a limited tmpfs', async () => {
  makeBind('frozen', 'bind,ro');
  await store.mount('frozen', 'c1');
  assert.throws(() => writeFileSync(join(store.path('frozen'), 'x'), ''), { code: 'EROFS' });
  store.create({ Name: 'memory', DriverOpts: { type: 'tmpfs', device: 'tmpfs', o: 'mode=700', size: '1m' } });
  await store.mount('memory', 'c1');
  const path = store.path('memory');
  assert.throws(() => writeFileSync(join(path, 'big'), Buffer.alloc(2 << 20)), { code: 'ENOSPC' });
  await store.release(['frozen', 'memory'], 'c1');
});

test('what cannot be mounted says volume, device and reason, without passwords', async () => {
  makeBind('missing', 'bind', '/nowhere/at/all');
  const path = store.path('missing');
  await assert.rejects(store.mount('missing', 'c1'), (error: Error) => {
    assert.equal(error.message, `error while mounting volume '${path}'`);
    assert.ok(error.cause instanceof Error);
    assert.equal(
      error.cause.message,
      `failed to mount local volume: mount /nowhere/at/all:${path}, flags: 0x1000: no such file or directory`,
    );
    return true;
  });
  store.create({
    Name: 'share',
    DriverOpts: { type: 'cifs', device: '//127.0.0.1/x', o: 'username=u,password=secret,vers=3' },
  });
  await assert.rejects(store.mount('share', 'c1'), (error: Error) => {
    assert.ok(error.cause instanceof Error);
    assert.match(error.cause.message, /data: username=u,password=\*{8},vers=3/);
    assert.doesNotMatch(error.cause.message, /secret/);
    return true;
  });
  assert.deepEqual(mountPointsBelow(root), []);
  // One failure is not remembered.
  mkdirSync(join(root, 'later'));
  makeBind('late', 'bind', join(root, 'later'));
  rmSync(join(root, 'later'), { recursive: true });
  await assert.rejects(store.mount('late', 'c1'));
  mkdirSync(join(root, 'later'));
  await store.mount('late', 'c1');
  await store.release(['late'], 'c1');
});

test('names of servers are looked up for the kernel, which takes addresses', async () => {
  const options: [o: string, device: string, shown: RegExp][] = [
    ['addr=localhost,vers=4', ':/export', /mount :\/export:.*, data: addr=(127\.0\.0\.1|::1),vers=4: /],
    ['vers=4', 'localhost:/export', /mount localhost:\/export:.*, data: vers=4,addr=(127\.0\.0\.1|::1): /],
    ['addr=127.0.0.1', ':/export', /, data: addr=127\.0\.0\.1: /],
  ];
  for (const [index, [o, device, shown]] of options.entries()) {
    store.create({ Name: `nfs${index}`, DriverOpts: { type: 'nfs', o, device } });
    await assert.rejects(store.mount(`nfs${index}`, 'c1'), (error: Error) => {
      assert.match(String((error.cause as Error).message), shown);
      return true;
    });
  }
});
