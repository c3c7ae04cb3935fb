/** Archives that ADD unpacks, and layers as the drivers store them, over real mounts. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
  existsSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import type { DiffID } from '../../image/digest.ts';
import { tarOf } from '../../image/layers/suite/fixture.ts';
import { SourcesFixture } from '../source/testing/sources-fixture.ts';
import type { CopyRequest } from './copy-step.ts';
import { FileDigests } from './file-digests.ts';
import { prepareCopy } from './prepare-copy.ts';

const EPOCH = 1_000_000;

for (const driver of ['erofs', 'overlay'] as const) {
  describe(`ADD, ${driver}`, () => {
    const fixture = new SourcesFixture(driver);
    const fileDigests = new FileDigests(':memory:');
    let count = 0;
    after(async () => {
      fileDigests.close();
      await fixture.close();
    });
    const folder = (): string => {
      const path = fixture.path(`folder-${count++}`);
      mkdirSync(path, { mode: 0o755 });
      return path;
    };

    async function add(
      files: Readonly<Record<string, Buffer>>,
      change: Partial<CopyRequest>,
      parent = folder(),
    ) {
      const context = folder();
      for (const [name, content] of Object.entries(files))
        writeFileSync(join(context, name), content, { mode: 0o644 });
      const tree = {
        path: context,
        title: 'build context',
        times: 'uniform',
        live: true,
        release: async () => undefined,
      } as const;
      const request: CopyRequest = {
        instruction: 'ADD',
        sources: [{ kind: 'tree', tree, patterns: Object.keys(files) }],
        destination: '/d/',
        workingDir: '/',
        chown: '',
        chmod: '',
        link: false,
        parents: false,
        excludes: [],
        unpack: true,
        epochSeconds: EPOCH,
        ...change,
      };
      const { snapshotter, sources } = fixture;
      const openArchive = (path: string, title: string, signal: AbortSignal) =>
        sources.layers.openArchive(path, title, signal);
      const signal = new AbortController().signal;
      const copy = prepareCopy(request, { snapshotter, fileDigests, openArchive, signal });
      return await copy.write({ path: parent }, { onStored: () => undefined });
    }

    async function mounted(diffId: DiffID, look: (root: string) => void): Promise<void> {
      const target = folder();
      await fixture.snapshotter.mount({ layers: [diffId], target });
      try {
        look(target);
      } finally {
        await fixture.snapshotter.unmount(target);
      }
    }

    const tar = tarOf(
      { name: 's/', type: 'directory', mode: 0o750, uid: 3, gid: 4, mtimeSec: 77 },
      { name: 's/f', type: 'file', content: 'content', mode: 0o4640, uid: 5, gid: 6, mtimeSec: 88 },
      { name: 's/hard', type: 'hardlink', linkName: 's/f' },
      { name: 's/link', type: 'symlink', linkName: 'f' },
      { name: 'implied/x', type: 'file', content: 'x' },
    );

    test('folders in folders, four hundred deep', async () => {
      const names = Array.from({ length: 400 }, (_, depth) => 'd/'.repeat(depth + 1));
      const deep = tarOf(...names.map((name) => ({ name, type: 'directory' as const, mode: 0o755 })), {
        name: `${names.at(-1)}f`,
        type: 'file',
        content: 'at the bottom',
      });
      const layer = await add({ 'a.tar': gzipSync(deep) }, {});
      assert.ok(layer);
      await mounted(layer.diffId, (root) => {
        assert.equal(readFileSync(join(root, 'd', names.at(-1) ?? '', 'f'), 'utf8'), 'at the bottom');
      });
    });

    test('tars of all kinds are unpacked, with their owners, modes and times', async () => {
      const kinds = [tar, gzipSync(tar), zstdCompressSync(tar)];
      for (const program of ['bzip2', 'xz']) {
        if (existsSync(`/usr/bin/${program}`) || existsSync(`/bin/${program}`)) {
          kinds.push(execFileSync(program, ['-c'], { input: tar }));
        }
      }
      const before = fixture.snapshotter.layers();
      const ids = new Set<DiffID>();
      for (const packed of kinds) {
        const layer = await add({ 'a.tar': packed }, {});
        assert.ok(layer);
        ids.add(layer.diffId);
      }
      const [diffId] = ids;
      assert.ok(diffId);
      assert.equal(ids.size, 1, 'however it was compressed, the layer is the same');
      await mounted(diffId, (root) => {
        const file = statSync(join(root, 'd/s/f'));
        assert.deepEqual([file.mode & 0o7777, file.uid, file.gid, file.mtimeMs], [0o4640, 5, 6, 88_000]);
        assert.equal(statSync(join(root, 'd/s/hard')).ino, file.ino);
        assert.equal(readFileSync(join(root, 'd/s/link'), 'utf8'), 'content');
        const directory = statSync(join(root, 'd/s'));
        assert.deepEqual([directory.mode & 0o7777, directory.uid, directory.mtimeMs], [0o750, 3, 77_000]);
        assert.equal(statSync(join(root, 'd')).mtimeMs, EPOCH * 1000);
      });
      assert.deepEqual(fixture.trees(), []);
      assert.deepEqual(fixture.snapshotter.layers(), [...before, diffId], 'nothing is left of the archives');
    });

    test('--chown holds for all of it; without unpacking it is a file', async () => {
      const owned = await add({ 'a.tar': tar }, { chown: '9:9' });
      assert.ok(owned);
      await mounted(owned.diffId, (root) => {
        for (const name of ['d', 'd/s', 'd/s/f', 'd/s/link'])
          assert.equal(lstatSync(join(root, name)).uid, 9, name);
      });
      const plain = await add({ 'a.tar': tar }, { unpack: false });
      assert.ok(plain);
      await mounted(plain.diffId, (root) => assert.deepEqual(readFileSync(join(root, 'd/a.tar')), tar));
    });

    test('what only looks like an archive is a file', async () => {
      const files = {
        broken: gzipSync(tar).subarray(0, 40),
        text: gzipSync('no tar'),
        zeros: Buffer.alloc(2048),
      };
      const layer = await add(files, {});
      assert.ok(layer);
      await mounted(layer.diffId, (root) => {
        for (const [name, content] of Object.entries(files)) {
          assert.deepEqual(readFileSync(join(root, 'd', name)), content, name);
        }
      });
    });

    test('links of the parent stay, and lead where its files go; folders that are only implied change nothing', async () => {
      const parent = folder();
      mkdirSync(join(parent, 'd/implied'), { recursive: true, mode: 0o700 });
      mkdirSync(join(parent, 'd/usr'), { mode: 0o711 });
      symlinkSync('usr', join(parent, 'd/s'));
      const layer = await add({ 'a.tar': tar }, {}, parent);
      assert.ok(layer);
      await mounted(layer.diffId, (root) => {
        assert.equal(readFileSync(join(root, 'd/usr/f'), 'utf8'), 'content');
        assert.equal(existsSync(join(root, 'd/s')), false);
        assert.equal(statSync(join(root, 'd/usr')).mode & 0o777, 0o711);
        assert.equal(statSync(join(root, 'd/implied')).mode & 0o777, 0o700);
      });
    });

    test('hostile archives are refused and leave nothing', async () => {
      const before = fixture.snapshotter.layers();
      for (const [name, error] of [
        ['../out', /outside/],
        ['.wh.x', /reserved/],
      ] as const) {
        const hostile = tarOf({ name, type: 'file', content: 'x' });
        await assert.rejects(add({ 'a.tar': hostile }, {}), error);
      }
      assert.deepEqual([fixture.trees(), fixture.snapshotter.layers()], [[], before]);
    });
  });
}
