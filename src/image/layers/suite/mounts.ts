/** Mounting and unmounting root filesystems. */
import assert from 'node:assert/strict';
import { closeSync, openSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { addon } from '../../../native/addon.ts';
import { asOwner } from '../mapped-mounts.ts';
import { type SuiteDriver, tarOf, withFixture } from './fixture.ts';

const MNT_DETACH = 2;

function mountOptions(target: string): string[] {
  const lines = readFileSync('/proc/self/mountinfo', 'utf8').split('\n');
  return (
    lines
      .find((line) => line.split(' ')[4] === target)
      ?.split(' ')
      .at(-1) ?? ''
  ).split(',');
}

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
    'a volatile mount can be made again over what it has written, also as a lasting one',
    withFixture(driver, async (fixture) => {
      const writable = fixture.writable();
      const layer = await fixture.add(tarOf({ name: 'f', type: 'file', content: 'f' }));
      for (const [round, isVolatile] of [true, true, false, true].entries()) {
        const target = await fixture.mount([layer], { ...writable, volatile: isVolatile });
        const options = mountOptions(target);
        // Later kernels show it as `fsync=volatile`.
        assert.equal(
          options.some((option) => option.endsWith('volatile')),
          isVolatile,
        );
        assert.equal(readdirSync(target).length, round + 1);
        writeFileSync(join(target, `written-${round}`), 'x');
        await fixture.unmount(target);
      }
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
    'layers and upper directories on top of an image, nothing merged',
    withFixture(driver, async (fixture) => {
      const file = (name: string, content: string) => ({ name, type: 'file' as const, content });
      const base = await fixture.add(
        tarOf(
          { name: 'd/', type: 'directory', mode: 0o750 },
          file('d/base', 'base'),
          file('d/gone', 'x'),
          file('d/late', 'x'),
          { name: 'o/', type: 'directory' },
          file('o/hidden', 'x'),
        ),
      );
      const step = await fixture.add(
        tarOf(
          file('d/step', 'step'),
          { name: 'd/.wh.gone', type: 'file' },
          { name: 'o/.wh..wh..opq', type: 'file' },
        ),
      );
      await fixture.snapshotter.prepare([base]);
      const first = fixture.writable();
      const target = fixture.newDirectory();
      await fixture.snapshotter.mount({ layers: [base], above: [step], target, ...first });
      assert.deepEqual(readdirSync(join(target, 'd')).sort(), ['base', 'late', 'step']);
      assert.deepEqual(readdirSync(join(target, 'o')), []);
      rmSync(join(target, 'd/late'));
      writeFileSync(join(target, 'd/base'), 'changed');
      await fixture.unmount(target);
      const above = [step, { upper: first.upper }];
      const second = fixture.writable();
      await fixture.snapshotter.mount({ layers: [base], above, target, ...second });
      assert.deepEqual(readdirSync(join(target, 'd')).sort(), ['base', 'step']);
      assert.equal(readFileSync(join(target, 'd/base'), 'utf8'), 'changed');
      writeFileSync(join(target, 'd/late'), 'again');
      await fixture.unmount(target);
      const { diffId } = await fixture.snapshotter.commit(first.upper);
      const mixed = [step, diffId, { upper: second.upper }];
      await fixture.snapshotter.mount({ layers: [base], above: mixed, target });
      assert.deepEqual(readdirSync(join(target, 'd')).sort(), ['base', 'late', 'step']);
      assert.throws(() => writeFileSync(join(target, 'x'), ''), { code: 'EROFS' });
      await fixture.unmount(target);
      const emptied = await fixture.add(tarOf({ name: '.wh..wh..opq', type: 'file' }, file('only', 'x')));
      await fixture.snapshotter.mount({ layers: [base], above: [step, emptied], target });
      assert.deepEqual(readdirSync(target), ['only'], 'an opaque root hides all below it');
      await fixture.unmount(target);
      await fixture.snapshotter.mount({ layers: [], above: [base, step, { upper: first.upper }], target });
      assert.deepEqual(readdirSync(join(target, 'd')).sort(), ['base', 'step']);
      await fixture.unmount(target);
    }),
  );

  test(
    'many layers on top of an image',
    withFixture(driver, async (fixture) => {
      const layers = await Promise.all(
        Array.from({ length: 120 }, (_, i) =>
          fixture.add(
            tarOf(
              { name: `file-${i}`, type: 'file', content: `${i}` },
              { name: `.wh.file-${i - 1}`, type: 'file' },
            ),
          ),
        ),
      );
      const [base, ...above] = layers;
      assert.ok(base !== undefined);
      await fixture.snapshotter.prepare([base]);
      const target = fixture.newDirectory();
      await fixture.snapshotter.mount({ layers: [base], above, target, ...fixture.writable() });
      assert.deepEqual(readdirSync(target), ['file-119']);
      await fixture.unmount(target);
    }),
  );

  test(
    'with the owners of a user namespace, layer by layer',
    withFixture(driver, async (fixture) => {
      const userNamespace = fixture.path('user-namespace');
      await addon().createUserNamespace(userNamespace, '0 300000 65536\n', '0 400000 65536\n');
      try {
        const owners = { userNamespace, uid: 300_000, gid: 400_000 };
        const layers = await Promise.all(
          ['a', 'b'].map((name) => fixture.add(tarOf({ name, type: 'file', content: name, uid: 33 }))),
        );
        const owner = (path: string) => [statSync(path).uid, statSync(path).gid];
        const { upper, work } = fixture.writable();
        const target = fixture.newDirectory();
        await fixture.snapshotter.mount({ layers: [], above: layers, upper, work, target, owners });
        asOwner(owners, () => writeFileSync(join(target, 'made'), ''));
        await fixture.unmount(target);
        assert.deepEqual(owner(join(upper, 'made')), [0, 0]);
        const above = [...layers, { upper }];
        await fixture.snapshotter.mount({ layers: [], above, target, owners, ...fixture.writable() });
        assert.deepEqual(
          ['a', 'b', 'made'].map((name) => owner(join(target, name))[0]),
          [300_033, 300_033, 300_000],
        );
        await fixture.unmount(target);
      } finally {
        addon().unmount(userNamespace, MNT_DETACH);
      }
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
