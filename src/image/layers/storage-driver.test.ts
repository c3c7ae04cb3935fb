/** Which driver a data root gets, and what becomes of its layers when that changes. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { type DiffID, digestHex } from '../digest.ts';
import { probeErofs } from './erofs/probe.ts';
import type { Snapshotter } from './snapshotter.ts';
import { openSnapshotter } from './storage-driver.ts';
import { digestOfStream, tarOf } from './suite/fixture.ts';

const scratch = mkdtempSync(join(tmpdir(), 'mydock-driver-'));
after(() => rmSync(scratch, { recursive: true }));
const probe = probeErofs(scratch);
const skip = 'refused' in probe ? probe.refused : false;

async function withDriver<T>(
  dataRoot: string,
  driver: string,
  body: (snapshotter: Snapshotter) => Promise<T>,
): Promise<T> {
  const snapshotter = openSnapshotter({ dataRoot, execRoot: `${dataRoot}-run`, driver });
  try {
    await snapshotter.sweep();
    return await body(snapshotter);
  } finally {
    await snapshotter.close();
  }
}

const reason = (snapshotter: Snapshotter): string =>
  snapshotter.status().find(([name]) => name === 'Reason')?.[1] ?? '';

async function addLayer(snapshotter: Snapshotter): Promise<DiffID> {
  /* Not a whole number of blocks: what stands behind the archive's end belongs to the layer. */
  const tar = Buffer.concat([
    tarOf({ name: 'file', type: 'file', content: 'content' }),
    Buffer.from('behind'),
  ]);
  const pieces = async function* (): AsyncGenerator<Uint8Array> {
    yield tar;
  };
  const { diffId, blob } = await snapshotter.addTar(pieces());
  if (blob !== undefined) rmSync(blob.path);
  return diffId;
}

test('a new data root gets erofs, and keeps it', { skip }, async () => {
  const dataRoot = join(scratch, 'new');
  const abandoned = join(dataRoot, 'layers', '.tmp-probe-abandoned');
  mkdirSync(join(abandoned, 'target'), { recursive: true });
  execFileSync('mount', ['-t', 'tmpfs', 'test', join(abandoned, 'target')]);
  const layer = await withDriver(dataRoot, '', async (snapshotter) => {
    assert.equal(snapshotter.driver, 'erofs');
    assert.equal(reason(snapshotter), 'the kernel can mount layers as they are');
    assert.deepEqual(readdirSync(join(dataRoot, 'layers')).sort(), ['driver', 'erofs'], 'no probe is left');
    return await addLayer(snapshotter);
  });
  await withDriver(dataRoot, '', async (snapshotter) => {
    assert.equal(reason(snapshotter), 'this data root has layers of it');
    assert.deepEqual(snapshotter.layers(), [layer]);
  });
});

test('a data root keeps overlay while it has layers of it', async () => {
  const dataRoot = join(scratch, 'overlay');
  mkdirSync(dataRoot);
  const layer = await withDriver(dataRoot, 'overlay2', async (snapshotter) => {
    assert.equal(snapshotter.driver, 'overlay');
    assert.equal(reason(snapshotter), 'asked for by --storage-driver');
    return await addLayer(snapshotter);
  });
  await withDriver(dataRoot, '', async (snapshotter) => {
    assert.equal(snapshotter.driver, 'overlay');
    await snapshotter.remove(layer);
  });
  await withDriver(dataRoot, '', async (snapshotter) => {
    assert.equal(snapshotter.driver, skip === false ? 'erofs' : 'overlay');
  });
});

test('unknown drivers are refused by name', () => {
  assert.throws(() => openSnapshotter({ dataRoot: scratch, execRoot: scratch, driver: 'btrfs' }), {
    kind: 'InvalidParameter',
    message: '--storage-driver "btrfs" is not available: use erofs or overlay',
  });
});

test('an explicit erofs that cannot work is refused with the reason, the default falls back', {
  skip,
}, async () => {
  /* Upper directories cannot lie on an overlay over an overlay: the kernel stacks two. */
  const [one, two] = [join(scratch, 'stack-1'), join(scratch, 'stack-2')];
  for (const path of [one, two])
    for (const part of ['l', 'u', 'w', 'm']) mkdirSync(join(path, part), { recursive: true });
  const stack = (lower: string, base: string, target: string): string => {
    const options = `lowerdir=${lower},upperdir=${base}/u,workdir=${base}/w`;
    execFileSync('mount', ['-t', 'overlay', 'test', '-o', options, target]);
    return target;
  };
  const first = stack(join(one, 'l'), one, join(one, 'm'));
  const second = stack(first, two, join(two, 'm'));
  try {
    const options = { dataRoot: second, execRoot: join(scratch, 'stack-run') };
    assert.throws(() => openSnapshotter({ ...options, driver: 'erofs' }), {
      kind: 'InvalidParameter',
      message: /^--storage-driver "erofs" does not work here: file-backed: .+; loop devices: .+/,
    });
    const fallback = openSnapshotter({ ...options, driver: '' });
    assert.equal(fallback.driver, 'overlay');
    assert.match(reason(fallback), /^erofs does not work here: file-backed: /);
    await fallback.close();
  } finally {
    for (const path of [second, first]) execFileSync('umount', [path]);
  }
});

test('layers without a blob are taken over from the other driver, and removed from both', {
  skip,
}, async () => {
  const dataRoot = join(scratch, 'switch');
  mkdirSync(dataRoot);
  const layer = await withDriver(dataRoot, 'erofs', addLayer);
  const paths = ['erofs', 'overlay'].map((driver) => join(dataRoot, 'layers', driver, digestHex(layer)));
  await withDriver(dataRoot, 'overlay', async (snapshotter) => {
    assert.equal(snapshotter.layer(layer), undefined);
    assert.equal(await snapshotter.restore?.(layer), true);
    assert.equal(snapshotter.layer(layer)?.sizeBytes, 7);
    assert.equal(await snapshotter.restore?.(`${layer.slice(0, -4)}0000` as DiffID), false);
  });
  assert.deepEqual(paths.map(existsSync), [true, true]);
  await withDriver(dataRoot, 'erofs', async (snapshotter) => {
    assert.equal(await digestOfStream(snapshotter.exportTar(layer)), layer);
    const target = join(scratch, 'switch-target');
    mkdirSync(target);
    await snapshotter.mount({ layers: [layer], target });
    assert.equal(readFileSync(join(target, 'file'), 'utf8'), 'content');
    await snapshotter.unmount(target);
    await snapshotter.remove(layer);
  });
  assert.deepEqual(paths.map(existsSync), [false, false]);
});
