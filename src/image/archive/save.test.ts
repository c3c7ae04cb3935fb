/** Saving: what stands in the archive, that it is the same each time, and that loading it gives the same images. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { test } from 'node:test';
import { digestOf } from '../digest.ts';
import { TarReader } from '../layers/tar/tar-reader.ts';
import type { Image } from '../store/image-store.ts';
import { ArchiveBench, blobName } from '../testing/archive-bench.ts';
import { type TestImage, type TestLayer, testImage, testIndex, testLayer } from '../testing/image-builder.ts';

const base = await testLayer('base', { sizeBytes: 200_000 });
const squeezed = await testLayer('squeezed', { compression: 'zstd' });
const made = await testLayer('made', { compression: 'none' });

/** As a pull leaves it. */
function addPulled(bench: ArchiveBench, image: TestImage, reference: string): Image {
  keepLayers(bench, image.layers);
  const index = testIndex([image]);
  return bench.images.add({
    configBytes: image.config,
    manifest: { bytes: image.manifest, digest: image.digest, mediaType: image.mediaType },
    index: { bytes: index.bytes, digest: index.digest, mediaType: index.mediaType },
    layers: image.layers.map(({ diffId, digest, mediaType }) => ({ diffId, blobDigest: digest, mediaType })),
    references: [reference],
    repoDigest: `${reference.replace(/:[^:]*$/, '')}@${index.digest}`,
  });
}

/** As a build leaves it with a driver that keeps tars. */
function addBuilt(bench: ArchiveBench, layers: TestLayer[], references: string[] = []): Image {
  for (const layer of layers) bench.snapshotter.stored.set(layer.diffId, layer.tar);
  return bench.images.add({
    configBytes: testImage(layers, { config: { author: 'built' } }).config,
    layers: layers.map(({ diffId }) => ({ diffId })),
    references,
  });
}

function keepLayers(bench: ArchiveBench, layers: TestLayer[]): void {
  for (const layer of layers) {
    bench.snapshotter.stored.set(layer.diffId, layer.tar);
    bench.content.put(layer.blob);
  }
}

function filesOf(archive: Buffer): Map<string, Buffer> {
  const files = new Map<string, Buffer>();
  let name = '';
  const reader = new TarReader({
    entry: (entry, body) => {
      assert.equal(entry.mtimeSec, 0);
      name = entry.name;
      if (entry.type === 'file') files.set(name, Buffer.from(body ?? ''));
    },
    data: (chunk) => files.set(name, Buffer.concat([files.get(name) ?? Buffer.alloc(0), chunk])),
    end: () => {},
  });
  reader.push(archive);
  reader.finish();
  return files;
}

test('one archive that is both; shared layers once; blobs are what their names say; the same bytes each time', async () => {
  using bench = new ArchiveBench();
  const pulled = addPulled(bench, testImage([base, squeezed]), 'pulled:1');
  const built = addBuilt(bench, [base, made], ['built:1', 'built:2']);
  const archive = await bench.save(['built', 'pulled:1']);
  assert.ok(archive.equals(await bench.save(['pulled:1', 'built:2', 'built:1'])));
  const files = filesOf(archive);
  assert.deepEqual([...files.keys()], [...files.keys()].sort());
  for (const [name, bytes] of files) {
    if (name.startsWith('blobs/')) assert.equal(name, blobName(digestOf(bytes)));
  }
  assert.ok(files.has(blobName(base.digest)) && !files.has(blobName(base.diffId)), 'the base is there once');
  assert.ok(files.has(blobName(made.diffId)));
  const parse = (name: string): unknown => JSON.parse(String(files.get(name)));
  assert.deepEqual(parse('oci-layout'), { imageLayoutVersion: '1.0.0' });
  assert.deepEqual(parse('repositories'), {
    built: { 1: made.diffId.slice(7), 2: made.diffId.slice(7) },
    pulled: { 1: squeezed.diffId.slice(7) },
  });
  const items = parse('manifest.json') as { Config: string; RepoTags: string[]; Layers: string[] }[];
  assert.deepEqual(
    items.map(({ Config, RepoTags, Layers }) => ({ Config, RepoTags, Layers })).sort(),
    [
      {
        Config: blobName(pulled.id),
        RepoTags: ['pulled:1'],
        Layers: [blobName(base.digest), blobName(squeezed.digest)],
      },
      {
        Config: blobName(built.id),
        RepoTags: ['built:1', 'built:2'],
        Layers: [blobName(base.digest), blobName(made.diffId)],
      },
    ].sort((left, right) => (left.Config < right.Config ? -1 : 1)),
  );
});

test('save and load keep every digest: IDs, manifests, indexes, names; saved again, the bytes are the same', async () => {
  for (const keepsTars of [true, false]) {
    using first = new ArchiveBench();
    using second = new ArchiveBench();
    second.snapshotter.keepsTars = keepsTars;
    const pulled = addPulled(first, testImage([base, squeezed]), 'localhost:5000/team/pulled:1');
    const built = addBuilt(first, [base, made], ['built:1']);
    const nameless = addBuilt(first, [made]);
    const names = ['localhost:5000/team/pulled', 'built:1', nameless.id];
    const archive = await first.save(names);
    await second.load(archive);
    for (const { id } of [pulled, built, nameless]) {
      const [before, after] = [first.images.get(id), second.images.get(id)];
      assert.deepEqual(after?.repoTags, before?.repoTags);
      assert.deepEqual(after?.repoDigests, before?.repoDigests);
      assert.deepEqual(after?.configBytes, before?.configBytes);
    }
    assert.deepEqual(second.images.manifest(pulled.id), first.images.manifest(pulled.id));
    assert.ok(archive.equals(await second.save(names)), `the bytes are the same (${keepsTars})`);
  }
});

test('what names mean: a tag, a repository, an ID, a digest', async () => {
  using bench = new ArchiveBench();
  const image = addPulled(bench, testImage([base]), 'name:1');
  bench.images.tag(image.id, 'name:2');
  bench.images.tag(image.id, 'other:1');
  const tags = async (...names: string[]): Promise<unknown> => {
    const files = filesOf(await bench.save(names));
    return (JSON.parse(String(files.get('manifest.json'))) as { RepoTags: unknown }[]).map(
      ({ RepoTags }) => RepoTags,
    );
  };
  assert.deepEqual(await tags('name:2'), [['name:2']]);
  assert.deepEqual(await tags('name'), [['name:1', 'name:2']]);
  assert.deepEqual(await tags('other', 'name:1'), [['name:1', 'other:1']]);
  assert.deepEqual(await tags(image.id), [null]);
  assert.deepEqual(await tags(image.id.slice(7, 19)), [null]);
  assert.deepEqual(await tags(image.repoDigests[0] ?? ''), [null]);
  assert.deepEqual(await tags(image.id, 'name:1'), [['name:1']]);
  await assert.rejects(bench.save(['name:1', 'none']), {
    kind: 'NotFound',
    message: 'No such image: none:latest',
  });
  await assert.rejects(bench.save(['name:1'], 'linux/s390x'), {
    kind: 'NotFound',
    message: /name:1 was found but does not provide the specified platform \(linux\/s390x\)/,
  });
});

test('an image that is removed meanwhile is saved to its end, and gone after it', async () => {
  using bench = new ArchiveBench();
  const image = addPulled(bench, testImage([base, squeezed]), 'name:1');
  const chunks: Buffer[] = [];
  let removed = false;
  await bench.archives.save({
    names: ['name:1'],
    begin: () => async (chunk) => {
      chunks.push(Buffer.from(chunk));
      if (removed) return;
      removed = true;
      await bench.images.remove('name:1', { force: true, noPrune: false, usedBy: () => [] });
      assert.equal(bench.images.get(image.id), undefined);
    },
    signal: AbortSignal.timeout(120_000),
  });
  assert.deepEqual(bench.content.list(), []);
  assert.deepEqual(bench.snapshotter.layers(), []);
  using other = new ArchiveBench();
  await other.load(Buffer.concat(chunks));
  assert.equal(other.images.resolve('name:1').id, image.id);
});

test('damage on the disk ends the archive with an error, and the hold with it', async () => {
  using bench = new ArchiveBench();
  addPulled(bench, testImage([base, squeezed]), 'name:1');
  const bytes = Buffer.from(base.blob);
  bytes[1000] = (bytes[1000] ?? 0) ^ 1;
  writeFileSync(bench.content.path(base.digest), bytes);
  await assert.rejects(bench.save(['name:1']), {
    kind: 'Internal',
    message: /is damaged in the content store/,
  });
  using other = new ArchiveBench();
  addBuilt(other, [made], ['built:1']);
  other.snapshotter.stored.set(made.diffId, Buffer.concat([made.tar, Buffer.alloc(512)]));
  await assert.rejects(other.save(['built:1']), { kind: 'Internal' });
  await bench.images.remove('name:1', { force: true, noPrune: false, usedBy: () => [] });
  assert.deepEqual(bench.content.list(), []);
});
