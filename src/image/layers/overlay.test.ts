/** The overlay driver passes the shared suite, and keeps its own promises about what is on disk. */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { digestHex } from '../digest.ts';
import { OverlaySnapshotter } from './overlay.ts';
import { snapshotterSuite } from './snapshotter-suite.ts';
import { tarOf } from './suite/fixture.ts';

snapshotterSuite({
  open: (root) => new OverlaySnapshotter(root, { lasting: false }),
  leftovers: (root) => readdirSync(root).filter((name) => !/^(?:[0-9a-f]{64}|empty)$/.test(name)),
});

const directory = mkdtempSync(join(tmpdir(), 'mydock-overlay-'));
after(() => rmSync(directory, { recursive: true, force: true }));

test('a layer that a power cut may have torn is dropped, one that was flushed is kept', async () => {
  const root = join(directory, 'store');
  const first = new OverlaySnapshotter(root);
  const tars = ['flushed', 'torn', 'same boot'].map((name) => tarOf({ name, type: 'file', content: name }));
  const layers = [];
  for (const tar of tars) {
    const path = join(directory, 'tar');
    writeFileSync(path, tar);
    layers.push((await first.addTar(path)).diffId);
  }
  await first.close();
  const [flushed, torn, sameBoot] = layers;
  assert.ok(flushed && torn && sameBoot);
  const file = (layer: typeof flushed, name: string): string => join(root, digestHex(layer), name);
  for (const layer of [torn, sameBoot]) rmSync(file(layer, 'synced'));
  for (const layer of [flushed, torn]) {
    const info = readFileSync(file(layer, 'info.json'), 'utf8');
    writeFileSync(file(layer, 'info.json'), info.replace(/"bootId":"[^"]*"/, '"bootId":"an earlier one"'));
  }
  mkdirSync(join(root, 'f'.repeat(64)));
  const unswept = new OverlaySnapshotter(root, { lasting: false });
  assert.equal(unswept.layer(torn), undefined);
  await unswept.close();
  const second = new OverlaySnapshotter(root);
  await second.sweep();
  assert.deepEqual(second.layers().sort(), [flushed, sameBoot].sort());
  await second.close();
  const kept = [digestHex(flushed), digestHex(sameBoot), 'empty'];
  assert.deepEqual(readdirSync(root).sort(), kept.sort());
  assert.ok(readdirSync(join(root, digestHex(sameBoot))).includes('synced'));
});

test('a torn layer that was not swept yet is replaced', async () => {
  const root = join(directory, 'unswept');
  const tar = join(directory, 'tar');
  writeFileSync(tar, tarOf({ name: 'whole', type: 'file', content: 'whole' }));
  const first = new OverlaySnapshotter(root, { lasting: false });
  const { diffId } = await first.addTar(tar, { compression: 'none' });
  await first.close();
  rmSync(join(root, digestHex(diffId), 'fs', 'whole'));
  rmSync(join(root, digestHex(diffId), 'info.json'));
  const second = new OverlaySnapshotter(root, { lasting: false });
  assert.equal(second.layer(diffId), undefined);
  await second.add({ blobPath: tar, compression: 'none', diffId });
  assert.equal(readFileSync(join(root, digestHex(diffId), 'fs', 'whole'), 'utf8'), 'whole');
  assert.deepEqual(second.layers(), [diffId]);
  await second.close();
});
