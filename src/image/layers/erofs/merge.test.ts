import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { tarOf } from '../suite/fixture.ts';
import { type ByteString, byteString, EMPTY } from '../tar/byte-string.ts';
import { IndexReader } from './index-reader.ts';
import { mergeIndexes } from './merge.ts';
import { buildIndex, describeIndex, readContent } from './suite/build-index.ts';
import { TarIndexer } from './tar-index.ts';

type Entries = Parameters<typeof tarOf>;

const indexOf = (...entries: Entries) => buildIndex(tarOf(...entries)).index;

/** The paths of the merged image, base first. */
function merged(...layers: Entries[]): string[] {
  const { index } = mergeIndexes(layers.map((entries) => indexOf(...entries)));
  return [...describeIndex(index).keys()].filter((path) => path !== '');
}

const file = (name: string, content = ''): Entries[number] => ({ name, type: 'file', content });
const directory = (name: string, rest: Partial<Entries[number]> = {}): Entries[number] => ({
  name,
  type: 'directory',
  ...rest,
});

describe('merging layers', () => {
  it('resolves whiteouts, opaque directories and changes of type', () => {
    const base = [
      directory('d'),
      file('d/low'),
      file('d/sub/deep'),
      file('f'),
      { name: 'l', type: 'symlink', linkName: 'd' },
    ] as Entries;
    assert.deepEqual(merged(base), ['d', 'd/low', 'd/sub', 'd/sub/deep', 'f', 'l']);
    assert.deepEqual(merged(base, [file('.wh.f'), file('d/.wh.low'), file('.wh.absent')]), [
      'd',
      'd/sub',
      'd/sub/deep',
      'l',
    ]);
    assert.deepEqual(merged(base, [file('d/.wh..wh..opq'), file('d/new')]), ['d', 'd/new', 'f', 'l']);
    assert.deepEqual(merged(base, [file('d', 'now a file')]), ['d', 'f', 'l']);
    assert.deepEqual(merged(base, [file('d')], [directory('d')]), ['d', 'f', 'l']);
    assert.deepEqual(merged(base, [file('.wh.d')], [file('d/new')]), ['d', 'd/new', 'f', 'l']);
    assert.deepEqual(merged(base, [directory('f'), file('f/inside')]), [
      'd',
      'd/low',
      'd/sub',
      'd/sub/deep',
      'f',
      'f/inside',
      'l',
    ]);
    assert.deepEqual(merged(base, [directory('l'), file('l/inside')]), [
      'd',
      'd/low',
      'd/sub',
      'd/sub/deep',
      'f',
      'l',
      'l/inside',
    ]);
    assert.deepEqual(merged(base, [file('.wh..wh..opq'), file('only')], [file('more')]), ['more', 'only']);
    assert.deepEqual(merged(base, [file('.wh.d'), directory('d'), file('d/x')]), ['d', 'd/x', 'f', 'l']);
  });

  it('has no marks in the result', () => {
    const layers = [
      indexOf(directory('d'), file('d/a'), directory('e')),
      indexOf(file('d/.wh..wh..opq'), file('d/b'), file('.wh.e'), file('implied/x')),
    ];
    const reader = new IndexReader(mergeIndexes(layers).index);
    for (const { path, inode } of reader.walk()) {
      assert.ok(!reader.isWhiteout(inode) && !reader.isOpaque(inode) && !reader.isImplied(inode), path);
    }
  });

  it('takes attributes from the topmost layer that says something about a directory', () => {
    const attributes = (path: string, ...layers: Entries[]) =>
      describeIndex(mergeIndexes(layers.map((entries) => indexOf(...entries))).index).get(byteString(path));
    const given = directory('d', {
      mode: 0o700,
      uid: 5,
      mtimeSec: 9,
      xattrs: [{ name: 'user.a' as ByteString, value: Buffer.from('b') }],
    });
    const plain = 'directory 755 0:0 0.0 2 links';
    const kept = 'directory 700 5:0 9.0 2 links user.a=62';
    assert.equal(attributes('d', [given], [file('d/x')]), kept);
    assert.equal(attributes('d', [given], [file('d/x')], [file('d/y')]), kept);
    assert.equal(
      attributes('d', [given], [directory('d', { mode: 0o711 })], [file('d/x')]),
      'directory 711 0:0 0.0 2 links',
    );
    assert.equal(
      attributes('d', [given], [file('d/.wh..wh..opq'), file('d/x')]),
      kept,
      'an opaque mark alone',
    );
    assert.equal(
      attributes('d', [given], [file('.wh.d'), file('d/x')]),
      plain,
      'a new directory in the same layer',
    );
    assert.equal(attributes('d', [given], [file('.wh.d')], [file('d/x')]), plain);
    assert.equal(attributes('d', [given], [file('d')], [file('d/x')]), plain);
    assert.equal(attributes('d', [file('d/x')]), plain);
    const root = directory('.', { mode: 0o1777, gid: 3 });
    assert.equal(attributes('', [root], [file('x')]), 'directory 1777 0:3 0.0 2 links');
    assert.equal(attributes('', [file('x')]), plain);
  });

  it('keeps hard links of a layer together, and counts them as the layer does', () => {
    const base = [
      file('a', 'x'),
      { name: 'b', type: 'hardlink', linkName: 'a' },
      { name: 'd/c', type: 'hardlink', linkName: 'a' },
    ] as Entries;
    const reader = new IndexReader(
      mergeIndexes([indexOf(...base), indexOf(file('.wh.b'), file('b2', 'y'))]).index,
    );
    const [a, c] = ['a', 'd/c'].map((path) => reader.lookup(byteString(path)));
    assert.ok(a !== undefined && c !== undefined);
    assert.deepEqual([a.nid, a.links], [c.nid, 3]);
    assert.equal(reader.lookup(byteString('b')), undefined);
  });

  it('points into the devices of every layer, in order, spill files included', () => {
    const plain = buildIndex(tarOf(file('plain', 'stored')));
    const pieces: [position: number, text: string][] = [];
    const indexer = new TarIndexer({ spill: (data, position) => pieces.push([position, data.toString()]) });
    const entry = {
      name: 'sparse',
      type: 'file',
      mode: 0o644,
      uid: 0,
      gid: 0,
      size: 9000,
      mtimeSec: 0,
    } as const;
    const rest = { mtimeNsec: 0, linkName: EMPTY, deviceMajor: 0, deviceMinor: 0, xattrs: [] };
    indexer.entry({ ...entry, ...rest, name: byteString(entry.name) }, undefined, 0);
    indexer.data(Buffer.from('end'), 8997);
    indexer.end();
    const sparse = indexer.finish().index;
    const { index, devices } = mergeIndexes([plain.index, sparse, plain.index]);
    assert.deepEqual(
      devices.map(({ layer, kind, blocks }) => [layer, kind, blocks]),
      [
        [0, 'tar', 2],
        [1, 'tar', 1],
        [1, 'spill', 24],
        [2, 'tar', 2],
      ],
    );
    const reader = new IndexReader(index);
    const at = (path: string) => reader.lookup(byteString(path)) ?? assert.fail(path);
    assert.deepEqual(reader.extents(at('sparse')), [{ device: 2, offset: 0, length: 9000 }]);
    const none = Buffer.alloc(0);
    assert.equal(readContent(reader, at('plain'), [none, none, none, plain.tar]).toString(), 'stored');
    assert.deepEqual(pieces, [[8997, 'end']]);
  });

  it('makes an empty root of nothing, and the same bytes of the same layers', () => {
    assert.deepEqual([...describeIndex(mergeIndexes([]).index)], [['', 'directory 755 0:0 0.0 2 links']]);
    const empty = buildIndex(Buffer.alloc(0)).index;
    assert.deepEqual([...describeIndex(mergeIndexes([empty, empty]).index).keys()], ['']);
    const layers = [indexOf(file('b'), file('a')), indexOf(file('d/x'), file('.wh.a'))];
    assert.ok(mergeIndexes(layers).index.equals(mergeIndexes(layers).index));
  });

  it('merges 300 layers that share a directory, and the same layer many times', () => {
    const layers = Array.from({ length: 300 }, (_, i) =>
      indexOf(file(`shared/${i}`), file('shared/last', `${i}`), file(`shared/.wh.${i - 2}`)),
    );
    const reader = new IndexReader(mergeIndexes(layers).index);
    const shared = reader.lookup(byteString('shared')) ?? assert.fail();
    assert.deepEqual(
      [...reader.list(shared)].map(({ name }) => name),
      ['298', '299', 'last'],
    );
    const again = mergeIndexes(Array.from({ length: 300 }, () => layers[0] ?? Buffer.alloc(0)));
    assert.equal(again.entryCount, 3);
  });

  it('says which index is damaged', () => {
    const index = indexOf(file('x'));
    const cut = index.subarray(0, 2048);
    assert.throws(() => mergeIndexes([index, cut]), {
      kind: 'Internal',
      message: 'index of layer 2 is damaged: cut off',
    });
    assert.throws(() => mergeIndexes([cut], ['layer sha256:1']), {
      kind: 'Internal',
      message: /^layer sha256:1 is damaged/,
    });
    assert.throws(() => mergeIndexes([Buffer.alloc(0)]), {
      kind: 'Internal',
      message: /no EROFS superblock/,
    });
  });
});
