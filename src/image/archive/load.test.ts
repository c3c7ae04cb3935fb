/** Loading: every layout that engines write, in any order of entries. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import { digestHex } from '../digest.ts';
import { OCI_MANIFEST } from '../media-types.ts';
import {
  ArchiveBench,
  archiveOf,
  blobEntries,
  blobName,
  dockerEntries,
  indexEntry,
} from '../testing/archive-bench.ts';
import { type TestImage, testImage, testIndex, testLayer } from '../testing/image-builder.ts';

const plain = await testLayer('plain', { compression: 'none' });
const zipped = await testLayer('zipped');
const large = await testLayer('large', { sizeBytes: 300_000, compression: 'none' });
const classic = testImage([plain, large]);
const modern = testImage([zipped, large], { mediaType: OCI_MANIFEST, config: { author: 'modern' } });

describe('layouts', () => {
  test("Docker's, with names, from a plain, gzip and zstd stream, in pieces of any size", async () => {
    const archive = archiveOf(...dockerEntries(classic, ['busybox:1', 'localhost:5000/x:y']));
    for (const [bytes, pieceBytes] of [
      [archive, 50],
      [archive, 1 << 20],
      [gzipSync(archive), 777],
      [zstdCompressSync(archive), 100],
    ] as const) {
      using bench = new ArchiveBench();
      const { images, lines, progress } = await bench.load(bytes, { pieceBytes });
      assert.deepEqual(
        images.map(({ id }) => id),
        [classic.configDigest],
      );
      assert.deepEqual(lines, ['Loaded image: busybox:1', 'Loaded image: localhost:5000/x:y']);
      assert.deepEqual(bench.images.resolve('busybox:1').diffIds, [plain.diffId, large.diffId]);
      assert.ok(
        progress.some(({ id, status }) => status === 'Loading layer' && id === large.diffId.slice(7, 19)),
      );
      // Tars that the driver keeps are not kept a second time.
      assert.deepEqual(bench.content.list(), []);
    }
  });

  test('a driver that keeps no tars gets the layer as a blob that lasts', async () => {
    using bench = new ArchiveBench();
    bench.snapshotter.keepsTars = false;
    await bench.load(archiveOf(...dockerEntries(classic, ['busybox:1'])));
    assert.deepEqual(bench.content.list().sort(), [plain.digest, large.digest].sort());
    assert.equal(bench.images.layerBlobs(large.diffId)[0]?.verified, true);
  });

  test('manifest.json first, links in place of layers, paths with ./, no names', async () => {
    using bench = new ArchiveBench();
    const entries = dockerEntries(testImage([plain, plain]), null).reverse();
    const [target, link] = entries.filter(({ name }) => name.endsWith('/layer.tar'));
    assert.ok(target !== undefined && link !== undefined);
    const linked = entries.map((entry) =>
      entry === link ? { name: link.name, type: 'symlink' as const, link: `../${target.name}` } : entry,
    );
    const dotted = linked.map((entry) => ({ ...entry, name: `./${entry.name}` }));
    const { lines } = await bench.load(archiveOf(...dotted));
    assert.deepEqual(lines, [`Loaded image ID: ${testImage([plain, plain]).configDigest}`]);
  });

  test('compressed layers keep their blob, and their manifest where there is one', async () => {
    using bench = new ArchiveBench();
    const layout = [
      { name: 'oci-layout', content: '{"imageLayoutVersion":"1.0.0"}' },
      ...blobEntries(modern),
    ];
    const named = { 'org.opencontainers.image.ref.name': 'docker.io/library/modern:2' };
    await bench.load(archiveOf(indexEntry({ of: modern, annotations: named }), ...layout));
    const image = bench.images.resolve('modern:2');
    assert.equal(image.id, modern.configDigest);
    assert.deepEqual(bench.images.manifest(image.id)?.bytes, modern.manifest);
    assert.deepEqual(image.repoDigests, []);
    assert.ok(bench.content.has(zipped.digest));
    assert.equal(bench.images.layerBlobs(zipped.diffId)[0]?.digest, zipped.digest);
  });

  test('a tag alone names nothing; the full name and the sources do', async () => {
    using bench = new ArchiveBench();
    const tagOnly = { 'org.opencontainers.image.ref.name': '1.36' };
    const bare = await bench.load(
      archiveOf(...blobEntries(modern), indexEntry({ of: modern, annotations: tagOnly })),
    );
    assert.deepEqual(bare.lines, [`Loaded image ID: ${modern.configDigest}`]);
    const full = {
      ...tagOnly,
      'io.containerd.image.name': 'docker.io/library/full:1.36',
      'containerd.io/distribution.source.docker.io': 'library/full',
    };
    const named = await bench.load(
      archiveOf(...blobEntries(modern), indexEntry({ of: modern, annotations: full })),
    );
    assert.deepEqual(named.lines, ['Loaded image: full:1.36']);
    assert.deepEqual(bench.images.resolve('full:1.36').repoDigests, [`full@${modern.digest}`]);
    assert.equal(named.progress.length, 0, 'layers that are here are not stored again');
  });

  test('of several platforms the asked one, or what fits; nested indexes; attestations are passed over', async () => {
    const arm = testImage([plain], {
      platform: { os: 'linux', architecture: 'arm64' },
      mediaType: OCI_MANIFEST,
    });
    const host = testImage([plain], {
      platform: { os: 'linux', architecture: process.arch === 'arm64' ? 'arm64' : 'amd64' },
      mediaType: OCI_MANIFEST,
      config: { author: 'host' },
    });
    const attestation = testImage([plain], { mediaType: OCI_MANIFEST, config: { author: 'attestation' } });
    const unknown = { os: 'unknown', architecture: 'unknown' };
    const inner = testIndex([{ ...attestation, platform: unknown }, arm, host]);
    const outer = testIndex(
      [],
      [{ mediaType: inner.mediaType, digest: inner.digest, size: inner.bytes.length }],
    );
    const entries = [
      ...[arm, host, attestation].flatMap(blobEntries),
      { name: blobName(inner.digest), content: inner.bytes },
      { name: blobName(outer.digest), content: outer.bytes },
      indexEntry({ of: outer, annotations: { 'io.containerd.image.name': 'docker.io/library/many:1' } }),
    ].filter((entry, i, all) => all.findIndex(({ name }) => name === entry.name) === i);
    for (const [platform, expected] of [
      [undefined, host],
      ['linux/arm64', process.arch === 'arm64' ? undefined : arm],
    ] as const) {
      using bench = new ArchiveBench();
      if (expected === undefined) continue;
      await bench.load(archiveOf(...entries), platform === undefined ? {} : { platform });
      assert.equal(bench.images.resolve('many:1').id, expected.configDigest);
    }
    using bench = new ArchiveBench();
    await assert.rejects(bench.load(archiveOf(...entries), { platform: 'linux/s390x' }), {
      kind: 'NotFound',
      message: /no image for the specified platform \(linux\/s390x\)/,
    });
    assert.deepEqual(bench.leftovers(), []);
  });

  test('both halves: names of both, the manifest of the OCI half; one without layers (Docker 25) is left alone', async () => {
    const items = [
      {
        Config: blobName(modern.configDigest),
        RepoTags: ['both:docker', 'both:oci'],
        Layers: modern.layers.map(({ digest }) => blobName(digest)),
      },
    ];
    const names = { 'io.containerd.image.name': 'docker.io/library/both:oci' };
    const manifest = { name: 'manifest.json', content: JSON.stringify(items) };
    using whole = new ArchiveBench();
    await whole.load(
      archiveOf(...blobEntries(modern), indexEntry({ of: modern, annotations: names }), manifest),
    );
    assert.deepEqual(whole.images.resolve('both:docker').repoTags, ['both:docker', 'both:oci']);
    assert.ok(whole.images.manifest(whole.images.resolve('both:oci').id));

    using without = new ArchiveBench();
    const hollow = testImage([zipped, large], {
      mediaType: OCI_MANIFEST,
      config: { author: 'modern' },
      manifest: { layers: [] },
    });
    const entries = [...blobEntries(hollow), indexEntry({ of: hollow, annotations: names }), manifest];
    await without.load(archiveOf(...entries));
    assert.equal(without.images.resolve('both:docker').id, modern.configDigest);
    assert.equal(without.images.manifest(without.images.resolve('both:docker').id), undefined);
  });

  test('what Docker wrote before 1.10', async () => {
    using bench = new ArchiveBench();
    const [base, top] = ['a'.repeat(64), 'b'.repeat(64)];
    const json = (id: string, parent?: string): string =>
      JSON.stringify({
        id,
        ...(parent === undefined ? {} : { parent }),
        created: '2014-01-01T00:00:00Z',
        architecture: 'amd64',
        os: 'linux',
        container_config: { Cmd: ['/bin/sh', '-c', `step ${id[0]}`] },
        config: { Cmd: ['sh'] },
      });
    const { lines } = await bench.load(
      archiveOf(
        { name: 'repositories', content: JSON.stringify({ old: { latest: top, '1': top } }) },
        { name: `${top}/VERSION`, content: '1.0' },
        { name: `${top}/json`, content: json(top, base) },
        { name: `${top}/layer.tar`, content: large.tar },
        { name: `${base}/json`, content: json(base) },
        { name: `${base}/layer.tar`, content: plain.tar },
      ),
    );
    assert.deepEqual(lines.sort(), ['Loaded image: old:1', 'Loaded image: old:latest']);
    const image = bench.images.resolve('old');
    assert.deepEqual(image.diffIds, [plain.diffId, large.diffId]);
    assert.deepEqual(
      image.config.history.map(({ created_by }) => created_by),
      ['/bin/sh -c step a', '/bin/sh -c step b'],
    );
    assert.deepEqual(image.config.config.Cmd, ['sh']);
  });

  test('several images share layers; a name that moves is told; parents are kept where they can be true', async () => {
    using bench = new ArchiveBench();
    const parent = testImage([plain], { config: { history: [{ created_by: 'one' }] } });
    const child = testImage([plain, zipped], {
      config: { history: [{ created_by: 'one' }, { created_by: 'two' }] },
    });
    const file = (image: TestImage): string => `${digestHex(image.configDigest)}.json`;
    const items = [
      {
        Config: file(child),
        RepoTags: ['child:1'],
        Layers: ['1.tar', '2.tar.gz'],
        Parent: parent.configDigest,
      },
      { Config: file(parent), RepoTags: null, Layers: ['1.tar'] },
    ];
    const archive = archiveOf(
      { name: 'manifest.json', content: JSON.stringify(items) },
      { name: file(child), content: child.config },
      { name: file(parent), content: parent.config },
      { name: '1.tar', content: plain.tar },
      { name: '2.tar.gz', content: zipped.blob },
    );
    await bench.load(archiveOf(...dockerEntries(classic, ['child:1'])));
    const { lines } = await bench.load(archive);
    assert.deepEqual(lines, [
      `Loaded image ID: ${parent.configDigest}`,
      `The image child:1 already exists, renaming the old one with ID ${classic.configDigest} to empty string`,
      'Loaded image: child:1',
    ]);
    assert.equal(bench.images.resolve('child:1').parent, parent.configDigest);
    await bench.load(archive);
    assert.equal(bench.images.list().length, 3);
  });
});
