/** Broken archives, aborts, restarts: a clear error, nothing left behind, and the next run works. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { closeSync, openSync, statSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import { digestOf, parseDiffID } from '../../digest.ts';
import { gnuTar, noLeftovers, type SuiteDriver, sh, tarOf, withFixture } from './fixture.ts';

/** A small generator of repeatable noise (mulberry32). */
function noise(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

export function failureTests(driver: SuiteDriver): void {
  const big = tarOf(
    ...Array.from({ length: 400 }, (_, i) => ({
      name: `d${i % 7}/f${i}`,
      type: 'file' as const,
      content: 'x'.repeat(50_000),
    })),
  );

  test(
    'mutated archives: a layer or one clear error, and nothing beside it',
    withFixture(driver, async (fixture) => {
      const tree = fixture.newDirectory();
      sh(
        tree,
        `mkdir -p a/b; printf x > a/b/c; ln a/b/c a/l; ln -s b a/s; truncate -s 1M a/sparse; : > .wh.gone
      printf y > "$(printf 'n%.0s' {1..150})"; mkfifo a/p`,
      );
      const seeds = ['--format=posix', '--format=gnu'].map((format) => gnuTar(tree, format, '--sparse'));
      let refused = 0;
      for (let round = 0; round < 150; round++) {
        const random = noise(round);
        const tar = Buffer.from(seeds[round % seeds.length] ?? Buffer.alloc(0));
        for (let i = 0; i < 1 + random() * 4; i++) mutate(tar, random);
        const end = random() < 0.2 ? Math.floor(random() * tar.length) : tar.length;
        try {
          await fixture.snapshotter.remove(await fixture.add(tar.subarray(0, end)));
        } catch (error) {
          refused++;
          assert.ok(
            error instanceof Error && 'kind' in error && error.kind === 'InvalidParameter',
            `${round}: ${error}`,
          );
          assert.match(error.message, /^tar .*at offset \d+: ./, `${round}`);
        }
      }
      assert.ok(refused > 20, `${refused} of 150 were refused`);
      await noLeftovers(driver, fixture.root);
      assert.deepEqual(fixture.snapshotter.layers(), []);
    }),
  );

  test(
    'broken compression and wrong digests',
    withFixture(driver, async (fixture) => {
      const blobPath = fixture.path('blob');
      const diffId = parseDiffID(digestOf(big));
      const gzip = gzipSync(big);
      for (const [bytes, compression, message] of [
        [gzip.subarray(0, gzip.length / 2), 'gzip', /invalid gzip data: unexpected EOF/],
        [Buffer.from('no gzip at all'), 'gzip', /invalid gzip data: incorrect header check/],
        [zstdCompressSync(big).subarray(0, 200), 'zstd', /invalid zstd data: unexpected EOF/],
        [
          gzipSync(tarOf({ name: 'other', type: 'file' })),
          'detect',
          /layer sha256:.*: its uncompressed content is sha256:/,
        ],
        [big.subarray(0, big.length - 512), 'none', /its uncompressed content is/],
      ] as const) {
        writeFileSync(blobPath, bytes);
        await assert.rejects(fixture.snapshotter.add({ blobPath, compression, diffId }), {
          kind: 'InvalidParameter',
          message,
        });
      }
      await assert.rejects(
        fixture.snapshotter.add({ blobPath: fixture.path('no'), compression: 'none', diffId }),
        /ENOENT/,
      );
      await noLeftovers(driver, fixture.root);
    }),
  );

  test(
    'calls for one layer share a run, and each can leave it',
    withFixture(driver, async (fixture) => {
      const blobPath = fixture.path('blob');
      writeFileSync(blobPath, gzipSync(big));
      const source = { blobPath, compression: 'detect' as const, diffId: parseDiffID(digestOf(big)) };
      const progress: number[] = [];
      const abort = new AbortController();
      const leaving = fixture.snapshotter.add(source, abort.signal);
      const staying = fixture.snapshotter.add({ ...source, onProgress: (bytes) => progress.push(bytes) });
      abort.abort(new Error('the client went away'));
      await assert.rejects(leaving, /the client went away/);
      assert.equal((await staying).sizeBytes, 400 * 50_000);
      assert.equal(progress.at(-1), statSync(blobPath).size);
      assert.deepEqual(await fixture.snapshotter.add(source), await staying);
      await noLeftovers(driver, fixture.root);
    }),
  );

  test(
    'an abort at any moment leaves nothing, and the next run works',
    withFixture(driver, async (fixture) => {
      const blobPath = fixture.path('blob');
      writeFileSync(blobPath, gzipSync(big));
      const source = { blobPath, compression: 'gzip' as const, diffId: parseDiffID(digestOf(big)) };
      for (const delayMs of [0, 1, 5, 15, 30]) {
        const run = fixture.snapshotter.add(source, AbortSignal.timeout(delayMs));
        await run.then(
          () => fixture.snapshotter.remove(source.diffId),
          (error: unknown) => assert.equal((error as Error).name, 'TimeoutError'),
        );
      }
      await fixture.snapshotter.add(source);
      assert.equal(fixture.snapshotter.layers().length, 1);
      await noLeftovers(driver, fixture.root);
    }),
  );

  test(
    'a layer that cannot be removed is there as before, and goes once it can be',
    withFixture(driver, async (fixture) => {
      const layer = await fixture.add(big);
      const folder = join(fixture.root, layer.slice('sha256:'.length));
      // Where the file system knows no immutable folders there is nothing to try.
      if (spawnSync('chattr', ['+i', folder]).status !== 0) return;
      try {
        await assert.rejects(fixture.snapshotter.remove(layer), { code: 'EPERM' });
        assert.deepEqual(fixture.snapshotter.layers(), [layer]);
        assert.notEqual(fixture.snapshotter.layer(layer), undefined);
      } finally {
        spawnSync('chattr', ['-i', folder]);
      }
      await fixture.snapshotter.remove(layer);
      assert.deepEqual(fixture.snapshotter.layers(), []);
      await noLeftovers(driver, fixture.root);
    }),
  );

  test(
    'a restart finds whole layers and sweeps the rest',
    withFixture(driver, async (fixture) => {
      const layer = await fixture.add(big, 'zstd');
      const abandoned = fixture.snapshotter.create(async (writer) => {
        await writer.add({ name: 'x', type: 'file' }, Buffer.from('x'));
        await new Promise((resolve) => setTimeout(resolve, 100));
      });
      const failed = assert.rejects(abandoned, { kind: 'Internal' });
      await fixture.snapshotter.close();
      await failed;
      const fd = openSync(join(fixture.root, '.tmp-leftover'), 'w');
      writeSync(fd, 'x');
      closeSync(fd);
      const next = driver.open(fixture.root);
      try {
        await next.sweep();
        assert.deepEqual(next.layers(), [layer]);
        await noLeftovers(driver, fixture.root);
      } finally {
        await next.close();
      }
    }),
  );
}

/** Breaks an archive in one of several ways, most of them with a right checksum. */
function mutate(tar: Buffer, random: () => number): void {
  const block = Math.floor((random() * tar.length) / 512) * 512;
  const at = block + Math.floor(random() * 512);
  const way = Math.floor(random() * 4);
  if (way === 0) tar[at] = Math.floor(random() * 256);
  else if (way === 1) tar.fill(Math.floor(random() * 256), at, Math.min(at + 20, tar.length));
  else if (way === 2) tar.copyWithin(block, Math.floor((random() * tar.length) / 512) * 512, tar.length);
  else tar[block + 156] = '01234567xgLKSDV\0'.charCodeAt(Math.floor(random() * 16));
  if (random() < 0.7 && block + 512 <= tar.length) {
    tar.write('        ', block + 148, 'latin1');
    let sum = 0;
    for (const byte of tar.subarray(block, block + 512)) sum += byte;
    tar.write(`${sum.toString(8).padStart(6, '0')}\0 `, block + 148, 'latin1');
  }
}
