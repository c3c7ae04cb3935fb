/** Mounting and unmounting root filesystems. */
import assert from 'node:assert/strict';
import { closeSync, openSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { type SuiteDriver, tarOf, withFixture } from './fixture.ts';

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
}
