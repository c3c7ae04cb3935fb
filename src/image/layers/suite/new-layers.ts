/** Layers that are made here: committed upper directories, entries, tars without a known diffID. */
import assert from 'node:assert/strict';
import {
  lstatSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import { addon } from '../../../native/addon.ts';
import { type DiffID, digestOf } from '../../digest.ts';
import {
  assertSameTree,
  CAPABILITY,
  checkBlob,
  digestOfStream,
  noLeftovers,
  type SuiteDriver,
  sh,
  tarOf,
  withFixture,
} from './fixture.ts';
import { treeManifest } from './tree-manifest.ts';
import { referenceImage } from './trees.ts';

export function newLayerTests(driver: SuiteDriver): void {
  test(
    'commit of a container: the image looks as the container did, the same way twice',
    withFixture(driver, async (fixture) => {
      const layer = await fixture.add(referenceImage('--format=posix').tars[0]);
      const writable = fixture.writable();
      const target = await fixture.mount([layer], writable);
      sh(
        target,
        `
      rm -r opt/old; mkdir opt/old; printf fresh > opt/old/fresh
      rm etc/empty many/file-7; rm -r var; printf file > var
      printf more >> usr/bin/hello-again; ln usr/bin/hello-again usr/bin/third
      mv many/file-8 many/moved; chmod 0700 many; touch -d @1.5 etc/block
      mkfifo opt/fifo; ln -s $'\\xff' opt/link; truncate -s 5M opt/sparse
      python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind("opt/socket")'
    `,
      );
      addon().setXattr(join(target, 'usr/bin/third'), 'security.capability', CAPABILITY);
      const { upper } = writable;
      const committed = await fixture.snapshotter.commit(upper);
      const told: [DiffID, boolean][] = [];
      const onStored = (diffId: DiffID): void => {
        told.push([diffId, fixture.snapshotter.layer(diffId) !== undefined]);
      };
      // One that is there already, and one that is not.
      await fixture.snapshotter.commit(upper, undefined, { onStored });
      await fixture.snapshotter.remove(committed.diffId);
      await fixture.snapshotter.commit(upper, undefined, { onStored });
      assert.deepEqual(told, [
        [committed.diffId, true],
        [committed.diffId, true],
      ]);
      const other = await fixture.snapshotter.commit(upper, undefined, { compression: 'zstd' });
      assert.equal(other.diffId, committed.diffId);
      const again = await fixture.snapshotter.commit(upper);
      assert.deepEqual([again.blob?.digest, again.sizeBytes], [committed.blob?.digest, committed.sizeBytes]);
      rmSync(join(target, 'opt/socket'));
      addon().setTimes(join(target, 'opt'), 77, 0);
      const expected = treeManifest(target);
      const actual = treeManifest(await fixture.mount([layer, committed.diffId]));
      for (const manifest of [expected, actual]) {
        const opt = manifest.get('opt');
        if (opt !== undefined) opt['mtime'] = 'changed by removing the socket';
        /* The root belongs to the mount, not to the layer. */
        manifest.delete('.');
      }
      assertSameTree(actual, expected);
      assert.equal(await digestOfStream(fixture.snapshotter.exportTar(committed.diffId)), committed.diffId);
      await checkBlob(fixture, committed);
    }),
  );

  test(
    'create: entries with content of every kind',
    withFixture(driver, async (fixture) => {
      const path = fixture.path('source');
      writeFileSync(path, 'from a path');
      const chunks = async function* (): AsyncGenerator<Uint8Array> {
        for (let i = 0; i < 100; i++) yield Buffer.alloc(100_000, i);
      };
      const make = () =>
        fixture.snapshotter.create(async (layer) => {
          await layer.add({
            name: 'a/',
            type: 'directory',
            mode: 0o700,
            uid: 1,
            gid: 2,
            mtimeSec: 3,
            mtimeNsec: 4,
          });
          await layer.add({ name: 'a/bytes', type: 'file' }, Buffer.from('bytes'));
          await layer.add({ name: 'a/path', type: 'file', mode: 0o4755 }, { path });
          await layer.add({ name: 'a/fd', type: 'file' }, { fd: openSync(path, 'r') });
          await layer.add({ name: 'a/stream', type: 'file', size: 10_000_000 }, chunks());
          await layer.add({ name: 'a/large', type: 'file' }, Buffer.alloc(5_000_000, 'large'));
          await layer.add({ name: 'link', type: 'symlink', linkName: 'ä' });
          await layer.add({ name: '.wh.gone', type: 'file' });
          await layer.add({
            name: 'empty',
            type: 'file',
            xattrs: [{ name: 'user.x', value: Buffer.from([0]) }],
          });
        });
      const created = await make();
      assert.equal((await make()).diffId, created.diffId);
      const target = await fixture.mount([created.diffId]);
      assert.equal(readFileSync(join(target, 'a/path'), 'utf8'), 'from a path');
      assert.equal(readFileSync(join(target, 'a/fd'), 'utf8'), 'from a path');
      assert.equal(readFileSync(join(target, 'a/stream'))[9_999_999], 99);
      assert.equal(statSync(join(target, 'a'), { bigint: true }).mtimeNs, 3_000_000_004n);
      assert.equal(lstatSync(join(target, 'a/path')).mode & 0o7777, 0o4755);
      assert.equal(created.sizeBytes, 5 + 2 * 11 + 10_000_000 + 5_000_000);
      await checkBlob(fixture, created);
    }),
  );

  test(
    'create: what goes wrong is said, and nothing is left',
    withFixture(driver, async (fixture) => {
      const { snapshotter } = fixture;
      const stuck = new Error('the build failed');
      await assert.rejects(
        snapshotter.create(async (layer) => {
          await layer.add({ name: 'x', type: 'file' }, Buffer.alloc(10_000_000));
          throw stuck;
        }),
        stuck,
      );
      await assert.rejects(
        snapshotter.create((layer) => layer.add({ name: '../x', type: 'file' })),
        { kind: 'InvalidParameter', message: /"\.\.\/x".*outside/ },
      );
      await assert.rejects(
        snapshotter.create((layer) =>
          layer.add({ name: 'x', type: 'file' }, { path: fixture.path('missing') }),
        ),
        /ENOENT/,
      );
      await assert.rejects(
        snapshotter.create((layer) => layer.add({ name: 'x', type: 'file' }, { path: '/dev/zero' })),
        /no regular file/,
      );
      await assert.rejects(
        snapshotter.create((layer) => layer.add({ name: 'x', type: 'directory' }, Buffer.from('x'))),
        /is no file, but has content/,
      );
      const tooMany = snapshotter.create(async (layer) => {
        for (let i = 0; ; i++) await layer.add({ name: i === 5 ? '/../../' : `x${i}`, type: 'file' });
      });
      await assert.rejects(tooMany, { kind: 'InvalidParameter' });
      await noLeftovers(driver, fixture.root);
      assert.deepEqual(snapshotter.layers(), []);
    }),
  );

  test(
    'create closes the descriptors it was given, whatever happens',
    withFixture(driver, async (fixture) => {
      const path = fixture.path('source');
      writeFileSync(path, 'content');
      const given: number[] = [];
      const open = (): { fd: number } => {
        const fd = openSync(path, 'r');
        given.push(fd);
        return { fd };
      };
      const making = fixture.snapshotter.create(async (layer) => {
        for (let i = 0; i < 3000; i++) await layer.add({ name: `file-${i}`, type: 'file' }, open());
        await layer.add({ name: '../out', type: 'file' }, open());
        for (let i = 0; i < 3000; i++) await layer.add({ name: `more-${i}`, type: 'file' }, open());
      });
      await assert.rejects(making, { kind: 'InvalidParameter' });
      await assert.rejects(
        fixture.snapshotter.create((layer) => layer.add({ name: 'd', type: 'directory' }, open())),
        { kind: 'InvalidParameter' },
      );
      const stillOpen = (): number =>
        readdirSync('/proc/self/fd').filter((fd) => {
          try {
            return readlinkSync(`/proc/self/fd/${fd}`) === path;
          } catch {
            /* The descriptor of the listing itself is closed by now. */
            return false;
          }
        }).length;
      for (let i = 0; i < 1500 && stillOpen() > 0; i++)
        await new Promise((resolve) => setTimeout(resolve, 20));
      assert.equal(stillOpen(), 0, `of ${given.length} descriptors`);
    }),
  );

  test(
    'addTar: a file or a stream, compressed or not',
    withFixture(driver, async (fixture) => {
      const { snapshotter } = fixture;
      const tar = tarOf({ name: 'x', type: 'file', content: 'x'.repeat(2_000_000) });
      for (const bytes of [tar, gzipSync(tar), zstdCompressSync(tar)]) {
        const path = fixture.path('some.tar');
        writeFileSync(path, bytes);
        const pieces = async function* (): AsyncGenerator<Uint8Array> {
          for (let at = 0; at < bytes.length; at += 1000) yield bytes.subarray(at, at + 1000);
        };
        for (const source of [path, pieces()]) {
          const added = await snapshotter.addTar(source, { compression: 'none' });
          assert.equal(added.diffId, digestOf(tar));
          if (added.blob === undefined) continue;
          assert.equal(added.blob.digest, digestOf(tar));
          assert.ok(readFileSync(added.blob.path).equals(tar));
        }
      }
      assert.equal(snapshotter.layers().length, 1);
    }),
  );

  test(
    'commit refuses names that would be read as whiteouts',
    withFixture(driver, async (fixture) => {
      const upper = fixture.newDirectory();
      writeFileSync(join(upper, '.wh.file'), '');
      await assert.rejects(fixture.snapshotter.commit(upper), {
        kind: 'InvalidParameter',
        message: /"\.wh\.file"/,
      });
      await noLeftovers(driver, fixture.root);
    }),
  );
}
