/** Archives that mean harm, lie, or are broken: each is refused by name, and nothing of it stays. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import { byteString } from '../layers/tar/byte-string.ts';
import { TarWriter } from '../layers/tar/tar-writer.ts';
import { OCI_MANIFEST } from '../media-types.ts';
import {
  ArchiveBench,
  type ArchiveEntry,
  archiveOf,
  blobEntries,
  blobName,
  dockerEntries,
  indexEntry,
} from '../testing/archive-bench.ts';
import { testImage, testIndex, testLayer } from '../testing/image-builder.ts';
import { archiveInput } from './archive-input.ts';
import { MAX_ENTRIES, Spool } from './spool.ts';

const plain = await testLayer('plain', { compression: 'none' });
const zipped = await testLayer('zipped');
const large = await testLayer('large', { sizeBytes: 300_000, compression: 'none' });
const classic = testImage([plain, large]);
const modern = testImage([zipped, large], { mediaType: OCI_MANIFEST, config: { author: 'modern' } });

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
      // Both are wrong, and read at the same time.
      /invalid diffID for layer [01]: expected/,
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
    ['a path out in manifest.json', [config, one, two, list({ Config: '../../etc/passwd' })], /leads out/],
    ['a bad name', [config, one, two, list({ RepoTags: ['UPPER:1'] })], /must be lowercase/],
    ['a name without a tag', [config, one, two, list({ RepoTags: ['x'] })], /invalid tag "x"/],
    ['null', [{ name: 'manifest.json', content: 'null' }], /manifest cannot be null/],
    ['no JSON', [{ name: 'manifest.json', content: '[{' }], /manifest.json is not valid JSON/],
    ['wrong types', [{ name: 'manifest.json', content: '[{"Config":1}]' }], /"Config": expected a string/],
    [
      'a huge manifest.json',
      [{ name: 'manifest.json', content: Buffer.alloc((8 << 20) + 1, ' ') }],
      /more than the 8388608/,
    ],
    ['a configuration that is none', [{ ...config, content: '{}' }, one, two, list({})], /invalid rootfs/],
    [
      'another system',
      [
        { name: 'c.json', content: testImage([plain], { config: { os: 'windows' } }).config },
        one,
        list({ Layers: ['1.tar'] }),
      ],
      /cannot load windows image on linux/,
    ],
    ['a lie about a size', [...blobEntries(badBlob), indexEntry({ of: badBlob })], /its manifest says 5/],
    ['no blob of the index', [indexEntry({ of: modern })], /blobs\/sha256\/.* is missing/],
    ['indexes without end', [...deep.entries, indexEntry({ of: deep.top })], /nested more than 4 deep/],
    ['an index that is a manifest', [{ name: 'index.json', content: modern.manifest }], /not an image index/],
    [
      'a bad name in the index',
      [
        ...blobEntries(modern),
        indexEntry({ of: modern, annotations: { 'io.containerd.image.name': 'a b' } }),
      ],
      /invalid reference format/,
    ],
    [
      'old: a parent that is missing',
      [
        { name: 'repositories', content: JSON.stringify({ x: { y: 'a'.repeat(64) } }) },
        { name: `${'a'.repeat(64)}/json`, content: JSON.stringify({ parent: 'b'.repeat(64) }) },
        { name: `${'a'.repeat(64)}/layer.tar`, content: plain.tar },
      ],
      /b{64}\/json is missing/,
    ],
    [
      'old: its own parent',
      [
        { name: 'repositories', content: JSON.stringify({ x: { y: 'a'.repeat(64) } }) },
        { name: `${'a'.repeat(64)}/json`, content: JSON.stringify({ parent: 'a'.repeat(64) }) },
        { name: `${'a'.repeat(64)}/layer.tar`, content: plain.tar },
      ],
      /more than 1024 parents/,
    ],
    [
      'old: an ID that is a path',
      [{ name: 'repositories', content: JSON.stringify({ x: { y: '../../etc' } }) }],
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
