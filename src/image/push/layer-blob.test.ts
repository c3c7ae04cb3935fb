/** What a layer leaves the machine as: known blobs, compression once, damage, aborts. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync, truncateSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { gunzipSync } from 'node:zlib';
import { hashFile } from '../store/content-store.ts';
import { testImage, testLayer } from '../testing/image-builder.ts';
import { PullBench } from '../testing/pull-bench.ts';
import { LayerBlobs } from './layer-blob.ts';

/** No limit: it would begin with the file, which waits for the others of its folder. */
const { signal } = new AbortController();

function layerBlobs(bench: PullBench): LayerBlobs {
  return new LayerBlobs({
    imageStore: bench.images,
    contentStore: bench.content,
    snapshotter: bench.snapshotter,
  });
}

const blobFiles = (bench: PullBench): string[] => readdirSync(join(bench.directory, 'content/blobs/sha256'));

test('a layer without a blob is compressed once, for two callers and for later ones', async () => {
  using bench = new PullBench();
  const layer = await testLayer('made', { sizeBytes: 3_000_000 });
  bench.snapshotter.stored.set(layer.diffId, layer.tar);
  const image = bench.images.add({
    configBytes: testImage([layer]).config,
    layers: [{ diffId: layer.diffId }],
    references: ['made:1'],
  });
  const blobs = layerBlobs(bench);
  let reports = 0;
  const request = { diffId: layer.diffId, onProgress: () => (reports += 1), signal };
  const [first, second] = await Promise.all([blobs.layerBlob(request), blobs.layerBlob(request)]);
  assert.deepEqual(first, second);
  assert.ok(reports > 0);
  assert.ok(gunzipSync(readFileSync(first.path)).equals(layer.tar));
  assert.equal(await hashFile(first.path), first.digest);
  const seen = reports;
  assert.deepEqual(await layerBlobs(bench).layerBlob(request), first);
  assert.equal(reports, seen);
  assert.equal(blobFiles(bench).length, 1);
  // It stays with the image and goes with it.
  await bench.images.remove(image.id, { force: true, noPrune: false, usedBy: () => [] });
  await bench.content.close();
  assert.deepEqual(blobFiles(bench), []);
});

test('the blob that was pulled is the one that is given', async () => {
  using bench = new PullBench();
  const layer = await testLayer('pulled');
  const content = bench.content.put(layer.blob);
  bench.snapshotter.stored.set(layer.diffId, layer.tar);
  const { mediaType, diffId } = layer;
  bench.images.add({
    configBytes: testImage([layer]).config,
    layers: [{ diffId, blobDigest: content, mediaType }],
  });
  const blob = await layerBlobs(bench).layerBlob({ diffId, signal });
  assert.deepEqual([blob.digest, blob.mediaType], [layer.digest, mediaType]);
  // One that was cut short on the disk is made anew.
  truncateSync(blob.path, 10);
  const again = await layerBlobs(bench).layerBlob({ diffId, signal });
  assert.ok(gunzipSync(readFileSync(again.path)).equals(layer.tar));
});

test('a damaged tar and an abort leave nothing', async () => {
  using bench = new PullBench();
  const layer = await testLayer('broken', { sizeBytes: 3_000_000 });
  const { diffId } = layer;
  bench.snapshotter.stored.set(diffId, Buffer.concat([layer.tar, Buffer.alloc(512)]));
  await assert.rejects(layerBlobs(bench).layerBlob({ diffId, signal }), { kind: 'Internal' });
  bench.snapshotter.stored.set(diffId, layer.tar);
  const abort = new AbortController();
  const onProgress = (): void => abort.abort(new Error('given up'));
  await assert.rejects(layerBlobs(bench).layerBlob({ diffId, onProgress, signal: abort.signal }), /given up/);
  bench.snapshotter.stored.delete(diffId);
  await assert.rejects(layerBlobs(bench).layerBlob({ diffId, signal }), { kind: 'NotFound' });
  await new Promise((resolve) => setTimeout(resolve, 200));
  assert.deepEqual(blobFiles(bench), []);
});
