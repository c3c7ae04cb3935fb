/** Mounting and unmounting root filesystems. */
import assert from 'node:assert/strict';
import { closeSync, openSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { addon } from '../../../native/addon.ts';
import { asOwner } from '../mapped-mounts.ts';
import { type SuiteDriver, tarOf, withFixture } from './fixture.ts';

const MNT_DETACH = 2;

export function mountTests(driver: SuiteDriver): void {
  test(
    'from scratch, read-only and writable',
    withFixture(driver, async (fixture) => {
      const empty = await fixture.mount([]);
      assert.deepEqual(readdirSync(empty), []);
      assert.throws(() => writeFileSync(join(empty, 'x'), ''), { code: 'EROFS' });
      const writable = fixture.writable();
      const target = await fixture.mount([], writable);
      writeFileSync(join(target, 'x'), 'x');
      assert.deepEqual(readdirSync(writable.upper), ['x']);
      await fixture.unmount(target);
      await fixture.unmount(target);
      assert.deepEqual(readdirSync(target), []);
      await assert.rejects(fixture.snapshotter.mount({ layers: [], target, upper: writable.upper }), {
        kind: 'InvalidParameter',
      });
    }),
  );

  test(
    'a mount that is in use is detached',
    withFixture(driver, async (fixture) => {
      const target = await fixture.mount([
        await fixture.add(tarOf({ name: 'f', type: 'file', content: 'f' })),
      ]);
      const fd = openSync(join(target, 'f'), 'r');
      try {
        await fixture.unmount(target);
        assert.deepEqual(readdirSync(target), []);
        assert.equal(readFileSync(fd, 'utf8'), 'f');
      } finally {
        closeSync(fd);
      }
    }),
  );

  test(
    '300 layers',
    withFixture(driver, async (fixture) => {
      const tars = Array.from({ length: 300 }, (_, i) =>
        tarOf(
          { name: `file-${i}`, type: 'file', content: `${i}` },
          { name: 'top', type: 'file', content: `${i}` },
          { name: `.wh.file-${i - 2}`, type: 'file' },
        ),
      );
      const layers = await Promise.all(tars.map((tar) => fixture.add(tar)));
      const target = await fixture.mount(layers, fixture.writable());
      assert.deepEqual(readdirSync(target).sort(), ['file-298', 'file-299', 'top']);
      assert.equal(readFileSync(join(target, 'top'), 'utf8'), '299');
      assert.equal(readdirSync(await fixture.mount(layers)).length, 3);
    }),
  );

  test(
    'with the owners of a user namespace, and as they are on the disk',
    withFixture(driver, async (fixture) => {
      const userNamespace = fixture.path('user-namespace');
      await addon().createUserNamespace(userNamespace, '0 300000 65536\n', '0 400000 65536\n');
      try {
        const owners = { userNamespace, uid: 300_000, gid: 400_000 };
        const layers = [
          await fixture.add(
            tarOf(
              { name: 'f', type: 'file', content: 'f', uid: 33, gid: 34 },
              { name: 'gone', type: 'file', content: 'x' },
              { name: 'suid', type: 'file', content: 'x', mode: 0o4755 },
            ),
          ),
          await fixture.add(tarOf({ name: 'g', type: 'file', content: 'g', uid: 70_000 })),
        ];
        const owner = (path: string) => [statSync(path).uid, statSync(path).gid];
        const readOnly = fixture.newDirectory();
        await fixture.snapshotter.mount({ layers, target: readOnly, owners });
        assert.deepEqual(owner(join(readOnly, 'f')), [300_033, 400_034]);
        assert.deepEqual(owner(join(readOnly, 'g')), [65_534, 400_000], 'an ID without a place is nobody');
        assert.throws(() => writeFileSync(join(readOnly, 'x'), ''), { code: 'EROFS' });
        const { upper, work } = fixture.writable();
        const target = fixture.newDirectory();
        await fixture.snapshotter.mount({ layers, upper, work, target, owners });
        const plain = await fixture.mount(layers);
        assert.deepEqual(owner(join(target, 'f')), [300_033, 400_034]);
        assert.deepEqual(owner(target), [300_000, 400_000]);
        assert.deepEqual(owner(join(plain, 'f')), [33, 34]);
        asOwner(owners, () => {
          writeFileSync(join(target, 'made'), '');
          rmSync(join(target, 'gone'));
          writeFileSync(join(target, 'f'), 'changed');
        });
        assert.throws(() => writeFileSync(join(target, 'x'), ''), { code: 'EOVERFLOW' });
        assert.deepEqual(owner(join(upper, 'made')), [0, 0]);
        assert.deepEqual(owner(join(upper, 'f')), [33, 34]);
        assert.equal(statSync(join(target, 'suid')).mode & 0o7777, 0o4755);
        assert.deepEqual(readdirSync(target).sort(), ['f', 'g', 'made', 'suid']);
        assert.equal(readFileSync(join(plain, 'f'), 'utf8'), 'f');
        await fixture.unmount(target);
        await fixture.unmount(readOnly);
        const [committed] = [await fixture.snapshotter.commit(upper)];
        const again = await fixture.mount([...layers, committed.diffId]);
        assert.deepEqual(readdirSync(again).sort(), ['f', 'g', 'made', 'suid']);
        assert.deepEqual(owner(join(again, 'f')), [33, 34]);
      } finally {
        addon().unmount(userNamespace, MNT_DETACH);
      }
    }),
  );
}
