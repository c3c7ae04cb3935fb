import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ImageID } from '../digest.ts';
import { type TestLayer, testImage, testLayer } from '../testing/image-builder.ts';
import { PullBench } from '../testing/pull-bench.ts';
import type { ListedImage } from './image-list.ts';
import { type PrunedStore, pruneImages } from './image-prune.ts';
import type { Image, PruneOptions } from './image-store.ts';

const OPTIONS: PruneOptions = {
  danglingOnly: true,
  matches: () => true,
  usedBy: () => [],
  signal: new AbortController().signal,
};

let count = 0;
function addImage(
  bench: PullBench,
  layers: TestLayer[],
  options: { references?: string[]; parent?: ImageID; repoDigest?: string } = {},
): Image {
  for (const layer of layers) {
    bench.snapshotter.stored.set(layer.diffId, layer.tar);
    bench.content.put(layer.blob);
  }
  return bench.images.add({
    configBytes: testImage(layers, { config: { author: `author ${count++}` } }).config,
    layers: layers.map(({ diffId, digest, mediaType }) => ({ diffId, blobDigest: digest, mediaType })),
    ...options,
  });
}

const usedBy = (...ids: ImageID[]): PruneOptions['usedBy'] => {
  return (id) => (ids.includes(id) ? [{ containerId: 'c', running: false }] : []);
};

test('images without a name go; the bytes are those of what only they had', async () => {
  using bench = new PullBench();
  const [shared, own] = [await testLayer('shared'), await testLayer('own')];
  const named = addImage(bench, [shared], { references: ['named'] });
  const dangling = addImage(bench, [shared, own]);
  const { removed, freedBytes } = await bench.images.prune(OPTIONS);
  assert.deepEqual(removed.map(({ Deleted }) => Deleted)[0], dangling.id);
  assert.equal(freedBytes, own.tar.length + own.blob.length);
  assert.deepEqual(
    bench.images.list().map(({ id }) => id),
    [named.id],
  );
  assert.deepEqual(await bench.images.prune(OPTIONS), { removed: [], freedBytes: 0 });
});

test('a digest is no tag; parents of what stays are left', async () => {
  using bench = new PullBench();
  const layer = await testLayer('x');
  const digested = addImage(bench, [layer], { repoDigest: `x@sha256:${'e'.repeat(64)}` });
  const parent = addImage(bench, [layer]);
  const child = addImage(bench, [layer], { parent: parent.id, references: ['child'] });
  const { removed } = await bench.images.prune(OPTIONS);
  assert.deepEqual(removed, [{ Untagged: `x@sha256:${'e'.repeat(64)}` }, { Deleted: digested.id }]);
  assert.deepEqual(new Set(bench.images.list().map(({ id }) => id)), new Set([parent.id, child.id]));
});

test('all: what a container was made from keeps every name, all else goes', async () => {
  using bench = new PullBench();
  const layer = await testLayer('x');
  const used = addImage(bench, [layer], { references: ['used:1', 'used:2', 'other'] });
  const parent = addImage(bench, [layer]);
  addImage(bench, [layer], {
    parent: parent.id,
    references: ['gone:1', 'gone:2', 'elsewhere/gone'],
    repoDigest: `gone@sha256:${'e'.repeat(64)}`,
  });
  const all = { ...OPTIONS, danglingOnly: false, usedBy: usedBy(used.id) };
  const { removed, freedBytes } = await bench.images.prune(all);
  assert.deepEqual(
    removed.flatMap(({ Untagged }) => Untagged ?? []),
    ['elsewhere/gone:latest', 'gone:1', 'gone:2', `gone@sha256:${'e'.repeat(64)}`],
  );
  assert.deepEqual(
    bench.images.list().map(({ repoTags }) => repoTags),
    [['other:latest', 'used:1', 'used:2']],
  );
  assert.equal(freedBytes, 0);
});

test('others get their turn between images', async () => {
  const image = { repoTags: [], repoDigests: [] } as unknown as ListedImage;
  const count = 5;
  let turns = 0;
  let pruning = true;
  const other = (): void => {
    turns += 1;
    if (pruning) setImmediate(other);
  };
  setImmediate(other);
  const store: PrunedStore = {
    list: () => Array.from({ length: count }, () => image),
    has: () => true,
    children: () => [],
    isOfTaggedIndex: () => false,
    removal: () => {
      const end = performance.now() + 11;
      while (performance.now() < end);
      return Promise.resolve({ items: [], images: [], freedBytes: 1 });
    },
  };
  const { freedBytes } = await pruneImages(store, OPTIONS);
  pruning = false;
  assert.equal(freedBytes, count);
  assert.ok(turns >= count - 1, `${turns} turns`);
});

test('filters, abortion, and one prune at a time', async () => {
  using bench = new PullBench();
  const keep = addImage(bench, [await testLayer('keep')]);
  addImage(bench, [await testLayer('go')]);
  const aborted = await bench.images.prune({ ...OPTIONS, signal: AbortSignal.abort() });
  assert.deepEqual(aborted.removed, []);
  const first = bench.images.prune({ ...OPTIONS, matches: ({ id }) => id !== keep.id });
  await assert.rejects(bench.images.prune(OPTIONS), {
    kind: 'Conflict',
    message: 'a prune operation is already running',
  });
  assert.equal((await first).removed.length, 2);
  assert.deepEqual(
    bench.images.list().map(({ id }) => id),
    [keep.id],
  );
});
