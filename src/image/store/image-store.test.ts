import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { type DiffID, digestOf, type ImageID, parseImageID } from '../digest.ts';
import { type TestLayer, testImage, testLayer } from '../testing/image-builder.ts';
import { PullBench } from '../testing/pull-bench.ts';
import type { Image, ImageUser } from './image-store.ts';

const NO_FORCE = { force: false, noPrune: false, usedBy: () => [] };
const CONTAINER = 'c0ffee'.padEnd(64, '0');

/** Stores an image of the given layers, as a load or build does. */
function addImage(
  bench: PullBench,
  layers: TestLayer[],
  options: { references?: string[]; author?: string; parent?: ImageID; repoDigest?: string } = {},
): Image {
  const { author, ...rest } = options;
  const built = testImage(layers, { config: { author: author ?? '' } });
  for (const layer of layers) {
    bench.snapshotter.stored.set(layer.diffId, layer.tar);
    bench.content.put(layer.blob);
  }
  return bench.images.add({
    configBytes: built.config,
    layers: layers.map(({ diffId, digest, mediaType }) => ({ diffId, blobDigest: digest, mediaType })),
    ...rest,
  });
}

const usedBy = (running: boolean) => (): ImageUser[] => [{ containerId: CONTAINER, running }];

test('images are found by name, ID and unambiguous prefix', async () => {
  using bench = new PullBench();
  const layer = await testLayer('x');
  const images = Array.from({ length: 20 }, (_, i) => addImage(bench, [layer], { author: `a${i}` }));
  const first = addImage(bench, [layer], { references: ['ubuntu', 'localhost:5000/x:1'], author: 'named' });
  assert.equal(first.createdAt, '2024-05-06T07:08:09.123456789Z');
  assert.equal(first.sizeBytes, layer.tar.length);
  assert.deepEqual(first.repoTags, ['ubuntu:latest', 'localhost:5000/x:1']);
  for (const name of [
    'ubuntu',
    'ubuntu:latest',
    'docker.io/library/ubuntu',
    'localhost:5000/x:1',
    first.id,
    first.id.slice(7),
    first.id.slice(0, 19),
    first.id.slice(7, 19),
  ]) {
    assert.equal(bench.images.resolve(name).id, first.id, name);
  }
  assert.equal(bench.images.list().length, 21);
  // 21 images and 16 digits: two share the first one.
  const digits = [...images, first].map(({ id }) => id[7] ?? '');
  const shared = digits.find((digit, i) => digits.indexOf(digit) !== i) ?? '';
  assert.throws(() => bench.images.resolve(shared), { kind: 'InvalidParameter', message: /ambiguous/ });
});

test('what is not there is reported in Docker’s words', () => {
  using bench = new PullBench();
  const hex = 'ab'.repeat(32);
  const cases: [string, string][] = [
    ['foo', 'No such image: foo:latest'],
    ['localhost:5000/foo:1', 'No such image: localhost:5000/foo:1'],
    ['abcdef', 'No such image: abcdef:latest'],
    [hex, `No such image: sha256:${hex}`],
    [`sha256:${hex}`, `No such image: sha256:${hex}`],
  ];
  for (const [name, message] of cases) {
    assert.throws(() => bench.images.resolve(name), { kind: 'NotFound', message });
    assert.equal(bench.images.tryResolve(name), undefined);
  }
  assert.throws(() => bench.images.resolve('Foo'), {
    kind: 'InvalidParameter',
    message: 'invalid reference format: repository name (library/Foo) must be lowercase',
  });
});

test('a tag moves, and names that cannot be tags are refused', async () => {
  using bench = new PullBench();
  const layer = await testLayer('x');
  const [a, b] = [addImage(bench, [layer], { author: 'a' }), addImage(bench, [layer], { author: 'b' })];
  bench.images.tag(a.id, 'app');
  bench.images.tag(b.id, 'app:latest');
  assert.deepEqual(bench.images.get(a.id)?.repoTags, []);
  assert.deepEqual(bench.images.get(b.id)?.repoTags, ['app:latest']);
  const refused = (name: string, message: string): void =>
    assert.throws(() => bench.images.tag(a.id, name), { kind: 'InvalidParameter', message });
  refused(`app@${a.id}`, 'refusing to create a tag with a digest reference');
  refused('sha256:x', 'refusing to create an ambiguous tag using digest algorithm as name');
  refused('App', 'invalid reference format: repository name (library/App) must be lowercase');
  assert.throws(() => bench.images.tag(parseImageID(digestOf('none')), 'x'), { kind: 'NotFound' });
});

test('an image whose layers do not fit or are missing is not stored', async () => {
  using bench = new PullBench();
  const [one, two] = [await testLayer('1'), await testLayer('2')];
  const built = testImage([one, two]);
  const add = (layers: TestLayer[]) => () =>
    bench.images.add({ configBytes: built.config, layers, references: ['x'] });
  bench.snapshotter.stored.set(one.diffId, one.tar);
  assert.throws(add([two, one]), { kind: 'InvalidParameter', message: /don't match/ });
  assert.throws(add([one]), { kind: 'InvalidParameter' });
  assert.throws(add([one, two]), { kind: 'Internal', message: /is not in the fake store/ });
  assert.deepEqual(bench.images.list(), []);
});

test('by name: the tag goes first, the image, its layers and blobs with the last one', async () => {
  using bench = new PullBench();
  const [base, top] = [await testLayer('base'), await testLayer('top')];
  const keep = addImage(bench, [base], { references: ['base'] });
  const image = addImage(bench, [base, top], {
    references: ['app:1', 'app:2'],
    repoDigest: `app@${keep.id}`,
  });
  assert.deepEqual(await bench.images.remove('app:1', NO_FORCE), [{ Untagged: 'app:1' }]);
  const removed = await bench.images.remove('app:2', NO_FORCE);
  assert.deepEqual(removed.slice(0, 3), [
    { Untagged: 'app:2' },
    { Untagged: `app@${keep.id}` },
    { Deleted: image.id },
  ]);
  // Of the two chain IDs only the upper one is gone: the base's lives on in the other image.
  assert.equal(removed.length, 4);
  assert.deepEqual(bench.snapshotter.layers(), [base.diffId]);
  assert.deepEqual([bench.content.has(base.digest), bench.content.has(top.digest)], [true, false]);
  assert.deepEqual(bench.images.layerBlobs(top.diffId), []);
});

test('by ID: all names of one repository go, several repositories need force', async () => {
  using bench = new PullBench();
  const layer = await testLayer('x');
  const image = addImage(bench, [layer], { references: ['a', 'b'] });
  const short = image.id.slice(7, 19);
  await assert.rejects(bench.images.remove(short, NO_FORCE), {
    kind: 'Conflict',
    message: `conflict: unable to delete ${short} (must be forced) - image is referenced in multiple repositories`,
  });
  const removed = await bench.images.remove(short, { ...NO_FORCE, force: true });
  assert.deepEqual(removed.slice(0, 3), [
    { Untagged: 'a:latest' },
    { Untagged: 'b:latest' },
    { Deleted: image.id },
  ]);
  assert.deepEqual(bench.snapshotter.layers(), []);
});

test('containers keep their image: stopped ones give way to force, running ones do not', async () => {
  using bench = new PullBench();
  const layer = await testLayer('x');
  const image = addImage(bench, [layer], { references: ['app'] });
  const [short, container] = [image.id.slice(7, 19), CONTAINER.slice(0, 12)];
  const rejects = (name: string, force: boolean, running: boolean, message: string): Promise<void> =>
    assert.rejects(bench.images.remove(name, { force, noPrune: false, usedBy: usedBy(running) }), {
      kind: 'Conflict',
      message,
    });
  await rejects(
    'app',
    false,
    false,
    `conflict: unable to remove repository reference "app" (must force) - container ${container} is using its referenced image ${short}`,
  );
  await rejects(
    short,
    false,
    false,
    `conflict: unable to delete ${short} (must be forced) - image is being used by stopped container ${container}`,
  );
  await rejects(
    short,
    true,
    true,
    `conflict: unable to delete ${short} (cannot be forced) - image is being used by running container ${container}`,
  );
  assert.deepEqual(bench.images.get(image.id)?.repoTags, ['app:latest']);
  // By name and force a running container's image only loses its name.
  const untagged = await bench.images.remove('app', { force: true, noPrune: false, usedBy: usedBy(true) });
  assert.deepEqual(untagged, [{ Untagged: 'app:latest' }]);
  assert.ok(bench.images.get(image.id) !== undefined);
});

test('an image with several tags loses one although a container uses it', async () => {
  using bench = new PullBench();
  addImage(bench, [await testLayer('x')], { references: ['app:1', 'app:2'] });
  const removed = await bench.images.remove('app:1', { force: false, noPrune: false, usedBy: usedBy(true) });
  assert.deepEqual(removed, [{ Untagged: 'app:1' }]);
});

test('children hold their parents; parents without names go with the last child', async () => {
  using bench = new PullBench();
  const layer = await testLayer('x');
  const grand = addImage(bench, [layer], { author: 'grand', references: ['grand'] });
  const parent = addImage(bench, [layer], { author: 'parent', parent: grand.id });
  const child = addImage(bench, [layer], { author: 'child', parent: parent.id, references: ['child'] });
  await assert.rejects(bench.images.remove(parent.id, { ...NO_FORCE, force: true }), {
    message: `conflict: unable to delete ${parent.id.slice(7, 19)} (cannot be forced) - image has dependent child images`,
  });
  const removed = await bench.images.remove('child', NO_FORCE);
  assert.deepEqual(
    removed.flatMap(({ Deleted }) => Deleted ?? []),
    [child.id, parent.id],
  );
  assert.ok(bench.images.get(grand.id) !== undefined);
  assert.deepEqual(bench.snapshotter.layers(), [layer.diffId]);
});

test('an image whose parent was removed while it was made has none', async () => {
  using bench = new PullBench();
  const layer = await testLayer('x');
  const parent = addImage(bench, [layer], { author: 'parent', references: ['parent'] });
  await bench.images.remove('parent', NO_FORCE);
  const child = addImage(bench, [layer], { author: 'child', parent: parent.id });
  assert.equal(child.parent, undefined);
});

test('layers that a container needs outlive their image, until it is gone', async () => {
  using bench = new PullBench();
  const layer = await testLayer('x');
  addImage(bench, [layer], { references: ['app'] });
  let needed: DiffID[] = [layer.diffId];
  bench.images.setLayerUsers(() => needed);
  await bench.images.remove('app', { force: true, noPrune: false, usedBy: usedBy(false) });
  assert.deepEqual(bench.images.list(), []);
  assert.deepEqual(bench.snapshotter.layers(), [layer.diffId]);
  needed = [];
  await bench.images.collectLayers([layer.diffId]);
  assert.deepEqual(bench.snapshotter.layers(), []);
});

test('the users of layers are asked only for what no image has: removing one of many containers asks none of them', async () => {
  using bench = new PullBench();
  const [kept, free] = [await testLayer('kept'), await testLayer('free')];
  addImage(bench, [kept], { references: ['app'] });
  bench.snapshotter.stored.set(free.diffId, free.tar);
  let asked = 0;
  bench.images.setLayerUsers(() => {
    asked += 1;
    return [];
  });
  await bench.images.collectLayers([kept.diffId]);
  assert.equal(asked, 0);
  assert.deepEqual(bench.snapshotter.layers().sort(), [kept.diffId, free.diffId].sort());
  await bench.images.collectLayers([kept.diffId, free.diffId]);
  assert.equal(asked, 1);
  assert.deepEqual(bench.snapshotter.layers(), [kept.diffId]);
  bench.snapshotter.stored.set(free.diffId, free.tar);
  bench.images.setLayerUsers(function* () {
    yield free.diffId;
    assert.fail('the answer is known');
  });
  await bench.images.collectLayers([free.diffId]);
  assert.deepEqual(bench.snapshotter.layers().sort(), [kept.diffId, free.diffId].sort());
});

test('a hold keeps layers and blobs; what was to go meanwhile goes when it ends', async () => {
  using bench = new PullBench();
  const layer = await testLayer('x');
  addImage(bench, [layer], { references: ['app'] });
  const hold = await bench.images.hold({ layers: [layer.diffId], blobs: [layer.digest] });
  await bench.images.remove('app', NO_FORCE);
  assert.deepEqual([bench.snapshotter.layers(), bench.content.has(layer.digest)], [[layer.diffId], true]);
  await hold.release();
  await hold.release();
  assert.deepEqual([bench.snapshotter.layers(), bench.content.has(layer.digest)], [[], false]);
});

test('a layer that is being made stays from the moment on when it is there, whoever else lets go of it', async () => {
  using bench = new PullBench();
  const layer = await testLayer('x');
  const other = addImage(bench, [layer], { references: ['other'] });
  const hold = bench.images.holdNew();
  hold.onStored(layer.diffId);
  await bench.images.remove('other', NO_FORCE);
  assert.equal(bench.images.get(other.id), undefined);
  assert.deepEqual(bench.snapshotter.layers(), [layer.diffId]);
  await hold.release();
  await hold.release();
  assert.deepEqual(bench.snapshotter.layers(), []);
});

test('an image whose files cannot be removed is gone all the same, and its files go once they can', async () => {
  using bench = new PullBench();
  const layers = [await testLayer('first'), await testLayer('second')];
  addImage(bench, layers, { references: ['app'] });
  const remove = bench.snapshotter.remove.bind(bench.snapshotter);
  const removeBlob = bench.content.remove.bind(bench.content);
  const refuse = (): never => {
    throw Object.assign(new Error('EROFS: read-only file system'), { code: 'EROFS' });
  };
  bench.snapshotter.remove = async () => refuse();
  bench.content.remove = refuse;
  const removed = await bench.images.remove('app', NO_FORCE);
  assert.deepEqual(removed[0], { Untagged: 'app:latest' });
  assert.deepEqual(bench.images.list(), []);
  assert.deepEqual(
    bench.snapshotter.layers(),
    layers.map(({ diffId }) => diffId),
  );
  bench.snapshotter.remove = remove;
  bench.content.remove = removeBlob;
  const prune = {
    danglingOnly: true,
    matches: () => true,
    usedBy: () => [],
    signal: AbortSignal.timeout(60_000),
  };
  const { freedBytes } = await bench.images.prune(prune);
  assert.ok(freedBytes > 0, 'a prune has the room that earlier removals owe');
  assert.deepEqual(bench.snapshotter.layers(), []);
  assert.deepEqual(bench.content.list(), []);
});

test('what could not be removed is tried again by itself, and stays where somebody needs it by then', {
  timeout: 60_000,
}, async () => {
  using bench = new PullBench();
  const [wanted, unwanted] = [await testLayer('wanted'), await testLayer('unwanted')];
  addImage(bench, [wanted, unwanted], { references: ['app'] });
  const remove = bench.snapshotter.remove.bind(bench.snapshotter);
  bench.snapshotter.remove = () => Promise.reject(new Error('EROFS: read-only file system'));
  await bench.images.remove('app', NO_FORCE);
  bench.snapshotter.remove = remove;
  addImage(bench, [wanted], { references: ['other'] });
  while (bench.snapshotter.stored.has(unwanted.diffId)) await sleep(10);
  assert.deepEqual(bench.snapshotter.layers(), [wanted.diffId]);
});

test('a sweep removes layers without an image, and unpacks again what the driver lost', async () => {
  using bench = new PullBench();
  const [used, stray] = [await testLayer('used'), await testLayer('stray')];
  addImage(bench, [used], { references: ['app'] });
  bench.snapshotter.stored.clear();
  bench.snapshotter.stored.set(stray.diffId, stray.tar);
  bench.content.put(stray.blob);
  await bench.images.sweep();
  assert.deepEqual(bench.snapshotter.layers(), [used.diffId]);
  assert.deepEqual(bench.snapshotter.stored.get(used.diffId), used.tar);
  assert.ok(bench.content.has(stray.digest), 'a blob that a pull may resume with stays for a day');
});

test('a sweep ends a removal that a crash has cut short, before or after the layer went', async () => {
  using bench = new PullBench();
  const [first, second] = [await testLayer('first'), await testLayer('second')];
  addImage(bench, [first], { references: ['first'] });
  addImage(bench, [second], { references: ['second'] });
  // As `remove` does first, in one transaction.
  for (const { id } of bench.images.list()) bench.database.prepare('DELETE FROM images WHERE id = ?').run(id);
  bench.snapshotter.stored.delete(second.diffId);
  bench.content.remove(second.digest);
  await bench.images.sweep();
  assert.deepEqual(bench.snapshotter.layers(), []);
  assert.ok(!bench.content.has(first.digest), 'what an image kept goes with it');
  assert.deepEqual([bench.images.layerBlobs(first.diffId), bench.images.layerBlobs(second.diffId)], [[], []]);
});
