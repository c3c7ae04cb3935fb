/** Loading: every layout that engines write, in any order of entries, and archives that mean harm. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import { digestHex, digestOf } from '../digest.ts';
import { byteString } from '../layers/byte-string.ts';
import { TarWriter } from '../layers/tar-writer.ts';
import { OCI_MANIFEST } from '../media-types.ts';
import {
  ArchiveBench,
  type ArchiveEntry,
  archiveOf,
  blobEntries,
  blobName,
  indexEntry,
} from '../testing/archive-bench.ts';
import { type TestImage, testImage, testIndex, testLayer } from '../testing/image-builder.ts';
import { archiveInput } from './archive-input.ts';
import { MAX_ENTRIES, Spool } from './spool.ts';

const plain = await testLayer('plain', { compression: 'none' });
const zipped = await testLayer('zipped');
const large = await testLayer('large', { sizeBytes: 300_000, compression: 'none' });
const classic = testImage([plain, large]);
const modern = testImage([zipped, large], { mediaType: OCI_MANIFEST, config: { author: 'modern' } });

/** As Docker 20.10 writes: one directory a layer. */
function dockerEntries(image: TestImage, repoTags: string[] | null, extra: object = {}): ArchiveEntry[] {
  const config = `${digestHex(image.configDigest)}.json`;
  const directory = (i: number): string => digestHex(digestOf(`${image.configDigest} ${i}`));
  const item = {
    Config: config,
    RepoTags: repoTags,
    Layers: image.layers.map((_, i) => `${directory(i)}/layer.tar`),
  };
  return [
    ...image.layers.flatMap(({ tar }, i) => [
      { name: `${directory(i)}/`, type: 'directory' as const },
      { name: `${directory(i)}/VERSION`, content: '1.0' },
      { name: `${directory(i)}/json`, content: '{}' },
      { name: `${directory(i)}/layer.tar`, content: tar },
    ]),
    { name: config, content: image.config },
    { name: 'manifest.json', content: JSON.stringify([{ ...item, ...extra }]) },
  ];
}

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

describe('hostile archives', () => {
  const config = { name: 'c.json', content: classic.config };
  const one = { name: '1.tar', content: plain.tar };
  const two = { name: '2.tar', content: large.tar };
  const list = (item: object): ArchiveEntry => ({
    name: 'manifest.json',
    content: JSON.stringify([{ Config: 'c.json', RepoTags: ['x:1'], Layers: ['1.tar', '2.tar'], ...item }]),
  });
  const lying = testImage([{ ...plain, diffId: zipped.diffId }]);
  const badBlob = testImage([zipped], { firstLayer: { size: 5 } });
  const deep = Array.from({ length: 6 }).reduce<{
    entries: ArchiveEntry[];
    top: ReturnType<typeof testIndex>;
  }>(
    ({ entries, top }) => {
      const next = testIndex([], [{ mediaType: top.mediaType, digest: top.digest, size: top.bytes.length }]);
      return { entries: [...entries, { name: blobName(next.digest), content: next.bytes }], top: next };
    },
    (() => {
      const top = testIndex([modern]);
      return { entries: [{ name: blobName(top.digest), content: top.bytes }, ...blobEntries(modern)], top };
    })(),
  );
  const cases: [what: string, entries: ArchiveEntry[], message: RegExp][] = [
    ['no image archive', [one], /neither manifest.json nor index.json/],
    ['a name that leads out', [{ name: '../manifest.json' }], /"..\/manifest.json" leads out/],
    ['an absolute name', [{ name: '/etc/passwd', content: 'x' }], /"\/etc\/passwd" leads out/],
    ['a link out', [{ name: 'a/l', type: 'symlink', link: '../../etc/shadow' }], /link "a\/l" .*leads out/],
    ['an absolute link', [{ name: 'l', type: 'symlink', link: '/etc/shadow' }], /leads out/],
    ['a hard link out', [{ name: 'l', type: 'hardlink', link: '../x' }], /leads out/],
    ['a device', [{ name: 'sda', type: 'block' }], /"sda" is a block/],
    [
      'links in a ring',
      [
        config,
        list({ Layers: ['l', 'l'] }),
        { name: 'l', type: 'symlink', link: 'm' },
        { name: 'm', type: 'symlink', link: 'l' },
      ],
      /too many links/,
    ],
    ['one name twice', [config, one, { ...one, content: 'other' }], /"1.tar" is there twice/],
    [
      'a link over a file',
      [one, { name: '1.tar', type: 'symlink', link: '2.tar' }],
      /"1.tar" is there twice/,
    ],
    [
      'a lie about a digest',
      [{ name: blobName(plain.digest), content: 'other' }],
      /blobs\/sha256\/.* has digest/,
    ],
    ['no configuration', [one, two, list({})], /file c.json is missing/],
    ['no layer', [config, one, list({})], /file 2.tar is missing/],
    [
      'a layer too few',
      [config, one, list({ Layers: ['1.tar'] })],
      /layers length mismatch: expected 1, got 2/,
    ],
    [
      'layers exchanged',
      [config, one, two, list({ Layers: ['2.tar', '1.tar'] })],
      /invalid diffID for layer 0: expected/,
    ],
    [
      'a compressed layer that is another',
      [
        { name: 'c.json', content: lying.config },
        { name: '1.tar', content: gzipSync(plain.tar) },
        list({ Layers: ['1.tar'] }),
      ],
      /layer has diffID sha256:.*, the image says/,
    ],
      /./,
    ],
    ['a path out in manifest.json', [config, one, two, list({ Config: '../../etc/passwd' })], /leads out/],
    ['a bad name', [config, one, two, list(RepoTags: ['UPPER:1'] )], /must be lowercase/],
    ['a name without a tag', [config, one, two, list(RepoTags: ['x'] )], /invalid tag "x"/],
    ['null', [name: 'manifest.json', content: 'null' ], /manifest cannot be null/],
    ['no JSON', [name: 'manifest.json', content: '[{' ], /manifest.json is not valid JSON/],
    ['wrong types', [name: 'manifest.json', content: '[{"Config":1}]' ], /"Config": expected a string/],
    [
      'a huge manifest.json',
      [name: 'manifest.json', content: Buffer.alloc((8 << 20) + 1, ' ') ],
      /more than the 8388608/,
    ],
    ['a configuration that is none', [...config, content: '{}' , one, two, list()], /invalid rootfs/],
    [
      'another system',
      [name: 'c.json', content: testImage([plain], os: 'windows' ).config ,
        one,
        list(Layers: ['1.tar'] ),
      ],
      /cannot load windows image on linux/,
    ],
    ['a lie about a size', [...blobEntries(badBlob), indexEntry(of: badBlob )], /its manifest says 5/],
    ['no blob of the index', [indexEntry(of: modern )], /blobs\/sha256\/.* is missing/],
    ['indexes without end', [...deep.entries, indexEntry(of: deep.top )], /nested more than 4 deep/],
    ['an index that is a manifest', [name: 'index.json', content: modern.manifest ], /not an image index/],
    [
      'a bad name in the index',
      [
        ...blobEntries(modern),
        indexEntry(of: modern, annotations: 'io.containerd.image.name': 'a b' ),
      ],
      /invalid reference format/,
    ],
    [
      'old: a parent that is missing',
      [name: 'repositories', content: JSON.stringify(y: 'a'.repeat(64) ) ,name: `${'a'.repeat(64)}/json`, content: JSON.stringify(parent: 'b'.repeat(64) ) ,name: `${'a'.repeat(64)}/layer.tar`, content: plain.tar ,
      ],
      /b64\/json is missing/,
    ],
    [
      'old: its own parent',
      [name: 'repositories', content: JSON.stringify(y: 'a'.repeat(64) ) ,name: `${'a'.repeat(64)}/json`, content: JSON.stringify(parent: 'a'.repeat(64) ) ,name: `${'a'.repeat(64)}/layer.tar`, content: plain.tar ,
      ],
      /more than 1024 parents/,
    ],
    [
      'old: an ID that is a path',
      [name: 'repositories', content: JSON.stringify(y: '../../etc' ) ],
      /no valid image ID/,
    ],
  ];
  for (const [what, entries, message] of cases) {
    test(`${what} is refused by name, and nothing is left`, async () => {
      using bench = new ArchiveBench();
      await assert.rejects(bench.load(archiveOf(...entries)), { kind: 'InvalidParameter', message });
      assert.deepEqual(bench.leftovers(), []);
    });
  }

  test('a layer that is here already is checked all the same', async () => {
    using bench = new ArchiveBench();
    await bench.load(archiveOf(...dockerEntries(classic, ['x:1'])));
    const other = { name: '1.tar', content: gzipSync(zipped.tar) };
    await assert.rejects(bench.load(archiveOf(config, other, two, list({ RepoTags: ['y:1'] }))), {
      kind: 'InvalidParameter',
      message: /invalid diffID for layer 0: expected/,
    });
    assert.equal(bench.images.tryResolve('y:1'), undefined);
    assert.equal(bench.images.resolve('x:1').id, classic.configDigest);
  });

  test('what is cut off, at any place', async () => {
    const archive = archiveOf(...dockerEntries(classic, ['x:1']));
    for (const bytes of [archive, gzipSync(archive)]) {
      for (const share of [0, 0.001, 0.3, 0.7, 0.97]) {
        using bench = new ArchiveBench();
        await assert.rejects(bench.load(bytes.subarray(0, Math.floor(bytes.length * share))), {
          kind: 'InvalidParameter',
        });
        assert.deepEqual(bench.leftovers(), []);
      }
    }
  });

  test('entries without number', async () => {
    using bench = new ArchiveBench();
    const spool = new Spool(bench.directory);
    let block: Buffer = Buffer.alloc(0);
    const tar = new TarWriter((bytes) => {
      block = Buffer.concat([block, bytes]);
    });
    for (let i = 0; i < 500; i += 1) tar.entry({ name: byteString('tiny'), type: 'directory' });
    const flood = async (): Promise<void> => {
      for (let i = 0; i <= MAX_ENTRIES / 500; i += 1) await spool.write(block);
    };
    await assert.rejects(flood(), { kind: 'InvalidParameter', message: /more than 100000 entries/ });
  });

  test('what expands beyond reason', async () => {
    const bomb = zstdCompressSync(Buffer.alloc(4 << 20));
    const read = async (maxExpansion: number): Promise<number> => {
      let length = 0;
      const limits = { freeBytes: 1 << 20, maxExpansion };
      for await (const chunk of archiveInput(
        (async function* () {
          yield bomb;
        })(),
        limits,
      ))
        length += chunk.length;
      return length;
    };
    await assert.rejects(read(100), { kind: 'InvalidParameter', message: /expands to more than 100 times/ });
    assert.equal(await read(1_000_000), 4 << 20);
  });

  test('given up while it is under way, it leaves nothing', async () => {
    for (const at of ['spooling', 'adding'] as const) {
      using bench = new ArchiveBench();
      bench.snapshotter.keepsTars = false;
      const abort = new AbortController();
      bench.snapshotter.gate = async () => {
        if (at === 'adding') abort.abort(new Error('gone'));
      };
      if (at === 'spooling') setTimeout(() => abort.abort(new Error('gone')), 0);
      const archive = archiveOf(...dockerEntries(classic, ['x:1']));
      await assert.rejects(bench.load(archive, { pieceBytes: 300, signal: abort.signal }), {
        message: 'gone',
      });
      assert.deepEqual(bench.leftovers(), []);
    }
  });
});
