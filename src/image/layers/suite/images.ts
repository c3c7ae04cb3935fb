/** Images of two layers, in all of GNU tar's formats, against the same stacked by GNU tar and mount(8). */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import type { DiffID } from '../../digest.ts';
import { assertSameTree, digestOfStream, Fixture, gnuTar, type SuiteDriver, sh } from './fixture.ts';
import { treeManifest } from './tree-manifest.ts';
import { referenceImage } from './trees.ts';

export function imageTests(driver: SuiteDriver): void {
  let fixture: Fixture;
  before(() => {
    fixture = new Fixture(driver);
  });
  after(() => fixture.close());

  for (const [name, compression, options] of [
    ['PAX, gzip', 'gzip', ['--format=posix']],
    ['PAX, zstd, sparse', 'zstd', ['--format=posix', '--sparse']],
    ['GNU, uncompressed', 'none', ['--format=gnu']],
    ['GNU, sparse', 'gzip', ['--format=gnu', '--sparse']],
    ['old GNU, incremental header fields', 'none', ['--format=oldgnu', '--atime-preserve']],
  ] as const) {
    test(`two layers: ${name}`, async () => {
      const { tars, base, both } = referenceImage(...options);
      const layers = await Promise.all(tars.map((tar) => fixture.add(tar, compression)));
      const target = await fixture.mount(layers);
      assertSameTree(treeManifest(target), both);
      await fixture.unmount(target);
      const one = await fixture.mount(layers.slice(0, 1));
      assertSameTree(treeManifest(one), base);
      await fixture.unmount(one);
      for (const layer of layers) await fixture.snapshotter.remove(layer);
    });
  }

  test('an exported tar is the same layer', async () => {
    const { tars } = referenceImage('--format=posix');
    const layers = await Promise.all(tars.map((tar) => fixture.add(tar)));
    const again: DiffID[] = [];
    for (const layer of layers) {
      const { diffId, blob } = await fixture.snapshotter.addTar(fixture.snapshotter.exportTar(layer));
      again.push(diffId);
      if (blob !== undefined) rmSync(blob.path);
      assert.equal(
        await digestOfStream(fixture.snapshotter.exportTar(diffId)),
        diffId,
        'exports are deterministic',
      );
    }
    assertSameTree(treeManifest(await fixture.mount(again)), treeManifest(await fixture.mount(layers)));
  });

  test('holes stay holes', async () => {
    const tree = fixture.newDirectory();
    const stored = (): number =>
      Number(execFileSync('du', ['-s', '-B1', fixture.root]).toString().split('\t')[0]);
    sh(tree, 'truncate -s 20G huge; printf end | dd of=huge bs=1 seek=21474836000 conv=notrunc status=none');
    for (const options of [
      ['--format=posix', '--sparse'],
      ['--format=gnu', '--sparse'],
    ]) {
      const before = stored();
      const layer = await fixture.add(gnuTar(tree, ...options));
      const huge = join(await fixture.mount([layer]), 'huge');
      const stat = statSync(huge);
      assert.equal(stat.size, 20 * 2 ** 30);
      /* On the disk, and not in st_blocks: not all file systems tell that of their files. */
      const takenBytes = stored() - before;
      assert.ok(takenBytes < 1024 * 1024, `the layer takes ${takenBytes} bytes`);
      assert.equal(execFileSync('tail', ['-c', '480', huge]).subarray(0, 3).toString(), 'end');
    }
  });
}
