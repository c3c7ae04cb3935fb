import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { describe, it } from 'node:test';
import { CAPABILITY, tarOf } from '../suite/fixture.ts';
import { type ByteString, byteString } from '../tar/byte-string.ts';
import type { TarEntry } from '../tar/tar-format.ts';
import { isIntact } from './index-check.ts';
import { IndexReader } from './index-reader.ts';
import { buildIndex, describeIndex, readContent } from './suite/build-index.ts';
import { TarIndexer } from './tar-index.ts';

/** An access control list of these tags and permissions. */
function acl(...entries: [tag: number, permissions: number, id?: number][]): Buffer {
  const list = Buffer.alloc(4 + entries.length * 8);
  list.writeUInt32LE(2, 0);
  for (const [i, [tag, permissions, id]] of entries.entries()) {
    list.writeUInt16LE(tag, 4 + i * 8);
    list.writeUInt16LE(permissions, 6 + i * 8);
    list.writeUInt32LE(id ?? 0xffff_ffff, 8 + i * 8);
  }
  return list;
}

const xattr = (name: string, value: string | Buffer) => ({
  name: byteString(name),
  value: Buffer.from(value),
});

function entryOf(fields: Omit<Partial<TarEntry>, 'name'> & { name: string }): TarEntry {
  const { name, ...rest } = fields;
  const plain = { type: 'file', mode: 0o644, uid: 0, gid: 0, size: 0, mtimeSec: 0, mtimeNsec: 0 } as const;
  const none = { linkName: '' as ByteString, deviceMajor: 0, deviceMinor: 0, xattrs: [] };
  return { ...plain, ...none, ...rest, name: byteString(name) };
}

const noSpill = () => assert.fail('nothing is sparse here');

describe('the index of a tar', () => {
  it('has every type with its attributes, and contents where the tar has them', () => {
    const tar = tarOf(
      { name: 'd/', type: 'directory', mode: 0o1755, uid: 7, gid: 4_000_000_000 },
      { name: 'd/file', type: 'file', content: 'content', mtimeSec: -5, mtimeNsec: 999_999_999 },
      { name: 'd/again', type: 'hardlink', linkName: 'd/file' },
      { name: 'link', type: 'symlink', linkName: 'd/file', mtimeSec: 2 ** 33 },
      { name: 'link-again', type: 'hardlink', linkName: 'link' },
      { name: 'null', type: 'character', deviceMajor: 4095, deviceMinor: 0xfffff },
      { name: 'pipe', type: 'fifo' },
      { name: 'sda', type: 'block', deviceMajor: 8, mode: 0o6660 },
    );
    const { index, sizeBytes, hasRootEntry, spillBytes } = buildIndex(tar);
    assert.deepEqual([sizeBytes, hasRootEntry, spillBytes], [7, false, 0]);
    assert.deepEqual(Object.fromEntries(describeIndex(index)), {
      '': 'directory 755 0:0 0.0 3 links',
      d: 'directory 1755 7:4000000000 0.0 2 links',
      'd/again': 'file 644 0:0 -5.999999999 2 links 7 bytes',
      'd/file': 'file 644 0:0 -5.999999999 2 links 7 bytes',
      link: 'symlink 777 0:0 8589934592.0 2 links to d/file',
      'link-again': 'symlink 777 0:0 8589934592.0 2 links to d/file',
      null: 'character 644 0:0 0.0 1 links 4095:1048575',
      pipe: 'fifo 644 0:0 0.0 1 links',
      sda: 'block 6660 0:0 0.0 1 links 8:0',
    });
    const reader = new IndexReader(index);
    const file = reader.lookup(byteString('link'));
    assert.ok(file !== undefined);
    assert.equal(readContent(reader, file, [tar]).toString(), 'content');
    assert.equal(file.nid, reader.lookup(byteString('d/again'))?.nid);
  });

  it('is the same however the tar comes in, and knows when a byte is changed', () => {
    const tar = tarOf(
      ...Array.from({ length: 50 }, (_, i) => ({ name: `d/${i * 7}`, type: 'file' as const, content: 'x' })),
    );
    const { index } = buildIndex(tar);
    for (const step of [1, 100, 512, 1000])
      assert.ok(buildIndex(tar, step).index.equals(index), `pieces of ${step}`);
    assert.ok(isIntact(index));
    for (const at of [0, 1024, 1028, 1100, 1300, 1600, index.length - 1]) {
      const changed = Buffer.from(index);
      changed[at] = (changed[at] ?? 0) ^ 4;
      assert.ok(!isIntact(changed), `byte ${at}`);
    }
  });

  it('keeps whiteouts and opaque marks, says which directories are implied, and drops foreign marks', () => {
    const { index, hasOpaqueRoot } = buildIndex(
      tarOf(
        { name: '.wh..wh..opq', type: 'file' },
        { name: 'implied/.wh.gone', type: 'file' },
        { name: 'opaque/.wh..wh..opq', type: 'file' },
        {
          name: 'given/',
          type: 'directory',
          xattrs: [xattr('trusted.overlay.opaque', 'y'), xattr('user.a', 'b')],
        },
      ),
    );
    assert.ok(hasOpaqueRoot);
    const reader = new IndexReader(index);
    const at = (path: string) => reader.lookup(byteString(path)) ?? assert.fail(path);
    assert.deepEqual(
      ['', 'implied', 'opaque', 'given'].map((path) => [
        reader.isImplied(at(path)),
        reader.isOpaque(at(path)),
      ]),
      [
        [true, true],
        [true, false],
        [true, true],
        [false, false],
      ],
    );
    assert.ok(reader.isWhiteout(at('implied/gone')));
    assert.deepEqual(
      reader.xattrs(at('given')).map(({ name, value }) => [name, Buffer.from(value).toString()]),
      [['user.a', 'b']],
    );
  });

  it('takes names of any bytes up to 255, and 100,000 of them in one directory, in any order', () => {
    const odd = ['\u00ff\u00fe', '!', '-', '...', '.a', '\n', 'n'.repeat(255), 'ü'];
    const many = Array.from({ length: 100_000 }, (_, i) => `many/${(i * 7919) % 100_000}`);
    const names = [...odd, ...many];
    const indexer = new TarIndexer({ spill: noSpill });
    for (const [i, name] of names.entries()) {
      indexer.entry(
        { ...entryOf({ name: '' }), name: name as ByteString },
        Buffer.alloc(0),
        i * 512,
        i * 512 + 512,
      );
    }
    const reader = new IndexReader(indexer.finish().index);
    assert.deepEqual(
      [...reader.list(reader.root)].map(({ name }) => name),
      [...odd, 'many'].sort(),
    );
    const directory = reader.lookup(byteString('many')) ?? assert.fail();
    assert.deepEqual(
      [...reader.list(directory)].map(({ name }) => `many/${name}`),
      many.toSorted(),
    );
    for (const name of names) assert.equal(reader.lookup(name as ByteString)?.type, 'file', name);
    assert.equal(reader.lookup(byteString('many/100000')), undefined);
    assert.equal(reader.lookup(byteString('many/'))?.nid, directory.nid);
  });

  it('points at files of more than 4 GB and of more than a terabyte', () => {
    const indexer = new TarIndexer({ spill: noSpill });
    const sizes = [5 * 2 ** 30 + 1, 2 ** 40 + 1];
    let offset = 0;
    for (const [i, size] of sizes.entries()) {
      indexer.entry(entryOf({ name: `big${i}`, size }), undefined, offset, offset + 512);
      indexer.end();
      offset += 512 + Math.ceil(size / 512) * 512;
    }
    const reader = new IndexReader(indexer.finish().index);
    let start = 0;
    for (const [i, size] of sizes.entries()) {
      const file = reader.lookup(byteString(`big${i}`)) ?? assert.fail();
      assert.deepEqual(reader.extents(file), [{ device: 0, offset: start + 512, length: size }]);
      start += 512 + Math.ceil(size / 512) * 512;
    }
    assert.deepEqual(reader.deviceBytes, [start]);
    assert.throws(
      () =>
        new TarIndexer({ spill: noSpill }).entry(entryOf({ name: 'x', size: 2 ** 41 }), undefined, 0, 512),
      { kind: 'InvalidParameter', message: /"x" at offset 0: layer of more than 2 TB/ },
    );
  });

  it('spills sparse files, apart, with their holes, and refuses one of more than 2 TB', () => {
    const written: [position: number, text: string][] = [];
    const indexer = new TarIndexer({ spill: (data, position) => written.push([position, data.toString()]) });
    indexer.entry(entryOf({ name: 'first', size: 10_000 }), undefined, 0, undefined);
    indexer.data(Buffer.from('middle'), 5000);
    indexer.end();
    indexer.entry(entryOf({ name: 'plain', size: 3 }), Buffer.from('abc'), 1024, 1536);
    indexer.entry(entryOf({ name: 'second', size: 6 }), Buffer.from('sparse'), 4096, undefined);
    const { index, spillBytes } = indexer.finish();
    assert.deepEqual(
      [written, spillBytes],
      [
        [
          [5000, 'middle'],
          [12_288, 'sparse'],
        ],
        16_384,
      ],
    );
    const reader = new IndexReader(index);
    const extents = ['first', 'plain', 'second'].map((name) =>
      reader.extents(reader.lookup(byteString(name)) ?? assert.fail()),
    );
    assert.deepEqual(extents, [
      [{ device: 1, offset: 0, length: 10_000 }],
      [{ device: 0, offset: 1536, length: 3 }],
      [{ device: 1, offset: 12_288, length: 6 }],
    ]);
    assert.throws(
      () =>
        new TarIndexer({ spill: noSpill }).entry(
          entryOf({ name: 'x', size: 2 ** 41 }),
          undefined,
          0,
          undefined,
        ),
      /sparse file of 2199023255552 bytes is too large/,
    );
  });
});

describe('attributes in an index', () => {
  const modeAndXattrs = (
    xattrs: ReturnType<typeof xattr>[],
    type: 'file' | 'directory' | 'symlink' = 'file',
  ) => {
    const link = type === 'symlink' ? { linkName: 'to' } : {};
    return (
      describeIndex(buildIndex(tarOf({ name: 'x', type, mode: 0o640, xattrs, ...link })).index).get(
        'x' as ByteString,
      ) ?? ''
    );
  };

  it('keeps capabilities, long and empty values, and what links may have', () => {
    const long = Buffer.alloc(65_535, 0xab);
    assert.match(
      modeAndXattrs([xattr('security.capability', CAPABILITY)]),
      /security.capability=0100000200200000/,
    );
    assert.ok(
      modeAndXattrs([xattr('user.long', long), xattr('user.empty', '')]).includes(
        `user.empty= user.long=${long.toString('hex')}`,
      ),
    );
    assert.match(
      modeAndXattrs([xattr('user.x', 'gone'), xattr('trusted.x', 'kept')], 'symlink'),
      /to to trusted\.x=/,
    );
    assert.doesNotMatch(
      modeAndXattrs([xattr('user.x', 'gone'), xattr('btrfs.x', 'gone')], 'symlink'),
      /user|btrfs/,
    );
  });

  it('reads access control lists: into the mode, and refuses those that the kernel could not read', () => {
    const minimal = acl([1, 7], [4, 5], [32, 0]);
    assert.equal(
      modeAndXattrs([xattr('system.posix_acl_access', minimal)]),
      'file 750 0:0 0.0 1 links 0 bytes',
    );
    const named = acl([1, 6], [2, 4, 1000], [4, 0], [16, 4], [32, 4]);
    assert.equal(
      modeAndXattrs([xattr('system.posix_acl_access', named)]),
      `file 644 0:0 0.0 1 links 0 bytes system.posix_acl_access=${named.toString('hex')}`,
    );
    assert.match(
      modeAndXattrs([xattr('system.posix_acl_default', minimal)], 'directory'),
      /posix_acl_default=/,
    );
    const broken = [
      Buffer.from('garbage'),
      acl([1, 7]),
      acl([1, 9], [4, 5], [32, 0]),
      acl([4, 5], [1, 7], [32, 0]),
      acl([1, 6], [2, 4, 1000], [4, 0], [32, 4]),
    ];
    for (const list of broken) {
      assert.throws(() => modeAndXattrs([xattr('system.posix_acl_access', list)]), {
        kind: 'InvalidParameter',
        message: /"x" at offset 1024: setxattr system\.posix_acl_access: invalid argument/,
      });
    }
  });

  it('refuses by name what cannot be stored', () => {
    assert.throws(
      () => modeAndXattrs([xattr('user.x', Buffer.alloc(65_536))]),
      /setxattr user\.x: argument list too long/,
    );
    assert.throws(() => modeAndXattrs([xattr('user.', 'x')]), /setxattr user\.: invalid argument/);
    assert.throws(
      () => modeAndXattrs([xattr('security.capability', 'x')]),
      /setxattr security\.capability: invalid/,
    );
    const many = Array.from({ length: 5 }, (_, i) => xattr(`user.${i}`, Buffer.alloc(60_000)));
    assert.throws(() => modeAndXattrs(many), /bytes of extended attributes are too many/);
  });
});

describe('hostile tars', () => {
  it('cannot make paths through links cost more and more', () => {
    const indexer = new TarIndexer({ spill: noSpill });
    const add = (name: string, type: TarEntry['type'], linkName = '') =>
      indexer.entry(entryOf({ name, type, linkName: linkName as ByteString }), Buffer.alloc(0), 0, 512);
    add('d/', 'directory');
    add('l0', 'symlink', 'd/../'.repeat(800));
    for (let i = 1; i < 39; i++) add(`l${i}`, 'symlink', `l${i - 1}/${'d/../'.repeat(800)}`);
    const start = performance.now();
    assert.throws(
      () => {
        for (let i = 0; i < 100_000; i++) {
          add(`l38/d/${i}`, 'fifo');
          add(`d/${i}`, 'fifo');
        }
      },
      { kind: 'InvalidParameter', message: /symbolic links/ },
    );
    assert.ok(performance.now() - start < 30_000);
  });

  it('gives the same index for the same tar, whatever the table of names was like', () => {
    const hash = () => {
      const names = Array.from({ length: 3000 }, (_, i) => ({
        name: `a${i % 40}/b${i}`,
        type: 'file' as const,
      }));
      return createHash('sha256')
        .update(buildIndex(tarOf(...names)).index)
        .digest('hex');
    };
    assert.equal(hash(), hash());
  });
});
