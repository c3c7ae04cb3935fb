/**
 * What every storage driver must pass: images compared entry by entry with the same layers unpacked by GNU tar, layers
 * committed and read back, hostile and broken archives, aborts. A driver's test file calls `snapshotterSuite`.
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  closeSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import { addon } from '../../native/addon.ts';
import type { DiffID } from '../digest.ts';
import { digestOf, parseDiffID } from '../digest.ts';
import { type ByteString, byteString } from './byte-string.ts';
import type { LayerCompression, Snapshotter } from './snapshotter.ts';
import { type TarHeader, TarWriter } from './tar-writer.ts';
import { type Manifest, treeManifest } from './tree-manifest.ts';

/** Attributes of a file with cap_net_raw=ep: struct vfs_cap_data, version 2. */
const CAPABILITY = Buffer.from('0100000200200000000000000000000000000000', 'hex');

export interface SuiteDriver {
  /** A driver whose files lie in `root`. */
  open(root: string): Snapshotter;
  /** The names below `root` that belong to no layer: leftovers. */
  leftovers(root: string): string[];
}

/** A store and a scratch folder of one test. */
class Fixture {
  readonly directory = mkdtempSync(join(tmpdir(), 'mydock-layers-'));
  readonly root = join(this.directory, 'store');
  readonly snapshotter: Snapshotter;
  readonly #mounts: string[] = [];
  #count = 0;

  constructor(driver: SuiteDriver) {
    this.snapshotter = driver.open(this.root);
  }

  path(name: string): string {
    return join(this.directory, name);
  }

  newDirectory(): string {
    const path = this.path(`directory-${this.#count++}`);
    mkdirSync(path, { mode: 0o755 });
    return path;
  }

  async add(tar: Buffer, compression: LayerCompression = 'none'): Promise<DiffID> {
    const blobPath = this.path(`blob-${this.#count++}`);
    const packed = compression === 'gzip' ? gzipSync(tar, { level: 1 }) : zstdCompressSync(tar);
    writeFileSync(blobPath, compression === 'none' ? tar : packed);
    const diffId = parseDiffID(digestOf(tar));
    await this.snapshotter.add({ blobPath, compression, diffId });
    return diffId;
  }

  async mount(layers: DiffID[], writable?: { upper: string; work: string }): Promise<string> {
    const target = this.newDirectory();
    await this.snapshotter.mount({ layers, target, ...writable });
    this.#mounts.push(target);
    return target;
  }

  writable(): { upper: string; work: string } {
    return { upper: this.newDirectory(), work: this.newDirectory() };
  }

  async unmount(target: string): Promise<void> {
    await this.snapshotter.unmount(target);
  }

  async close(): Promise<void> {
    for (const target of this.#mounts) await this.snapshotter.unmount(target);
    await this.snapshotter.close();
    rmSync(this.directory, { recursive: true, force: true });
  }
}

type Entry = TarHeader & { content?: string | Buffer };

/** A tar of the entries; names may be plain text. */
export function tarOf(
  ...entries: (Omit<Entry, 'name' | 'linkName'> & { name: string; linkName?: string })[]
): Buffer {
  const parts: Buffer[] = [];
  const writer = new TarWriter((bytes) => parts.push(Buffer.from(bytes)));
  for (const { content = '', name, linkName, ...rest } of entries) {
    const data = Buffer.from(content);
    const link = linkName === undefined ? {} : { linkName: byteString(linkName) };
    writer.entry({ ...rest, ...link, name: byteString(name), size: data.length });
    writer.data(data);
  }
  writer.finish();
  return Buffer.concat(parts);
}

function sh(directory: string, script: string): void {
  execFileSync('bash', ['-euc', script], { cwd: directory, stdio: ['ignore', 'inherit', 'inherit'] });
}

function gnuTar(directory: string, ...options: string[]): Buffer {
  const xattrs = options.includes('--format=posix') ? ['--xattrs', '--xattrs-include=*'] : [];
  const all = [...xattrs, '--numeric-owner', '--sort=name', ...options];
  return execFileSync('tar', [...all, '-cf', '-', '-C', directory, '.'], { maxBuffer: 1 << 30 });
}

/** Everything a file system can hold, as a layer's tree. */
function makeBaseTree(directory: string): void {
  const deep = Array.from({ length: 180 }, (_, i) => `deep-directory-${i}`.padEnd(19, '-')).join('/');
  sh(
    directory,
    `
    umask 022
    mkdir -p usr/lib/x86 usr/bin etc var/empty opt/old/sub dev tmp many
    printf hello > usr/bin/hello; printf '' > etc/empty; head -c 512 /dev/zero > etc/block
    head -c 1000000 /dev/urandom > usr/lib/big
    ln usr/bin/hello usr/bin/hello-again; ln usr/bin/hello etc/hello-far
    ln -s usr/lib lib; ln -s /usr/bin bin; ln -s nowhere etc/dangling; ln -s "$(printf 'l%.0s' {1..400})" etc/long-link
    ln etc/dangling etc/dangling-again
    printf x > etc/$'\\xff\\xfe-bytes'; printf x > etc/$'new\\nline'; printf x > "etc/ünïcode"; printf x > etc/"$(printf 'n%.0s' {1..255})"
    mknod dev/null c 1 3; mknod dev/sda b 8 0; mknod dev/big c 4095 70000; mkfifo dev/pipe
    ln dev/null dev/null-again
    printf s > usr/bin/setuid; chown 1000:2000 usr/bin/setuid; chmod 6755 usr/bin/setuid
    printf o > etc/owned; chown 3000000:4000000000 etc/owned; chmod 0000 etc/owned
    chmod 1777 tmp; chmod 2755 var; chown 7:8 var/empty; chmod 0700 var/empty
    truncate -s 9M usr/lib/sparse; printf middle | dd of=usr/lib/sparse bs=1 seek=5000000 conv=notrunc status=none
    truncate -s 3M usr/lib/hole
    for i in $(seq 300); do printf $i > many/file-$i; done
    mkdir -p ${deep}; printf deep > ${deep}/file
    printf old > opt/old/file; printf old > opt/old/sub/file
  `,
  );
  const node = addon();
  node.setXattr(join(directory, 'usr/bin/hello'), 'security.capability', CAPABILITY);
  node.setXattr(join(directory, 'etc/empty'), 'user.note', Buffer.from([0, 1, 0xff, 0x0a]));
  node.setXattr(join(directory, 'opt/old'), 'user.directory', Buffer.from('value'));
  node.setXattr(join(directory, 'etc/dangling'), 'trusted.link', Buffer.from('on a link'));
  node.setTimes(join(directory, 'etc/block'), -1_000_000_000, 123_456_789);
  node.setTimes(join(directory, 'etc/dangling'), 1_234_567_890, 987_654_321);
  node.setTimes(join(directory, 'lib'), 5, 1);
  node.setTimes(join(directory, 'many'), 1_000_000_000, 1);
  node.setTimes(join(directory, 'opt/old'), 1_100_000_000, 999_999_999);
  node.setTimes(directory, 1_200_000_000, 42);
}

/** Changes on top of it, with whiteouts as files. */
function makeSecondTree(directory: string): void {
  sh(
    directory,
    `
    mkdir -p etc opt/old usr/bin many var/empty
    : > etc/.wh.empty; : > .wh.tmp; : > opt/old/.wh..wh..opq; printf new > opt/old/new
    mkdir etc/block; printf inside > etc/block/inside
    printf file > usr/lib
    ln -s hello usr/bin/hello; : > usr/bin/.wh.hello-again
    for i in $(seq 12); do : > many/.wh.file-$i; done
    printf fresh > var/empty/fresh; ln var/empty/fresh var/empty/fresh-link
    chmod 0711 many
  `,
  );
  addon().setTimes(join(directory, 'many'), 1_300_000_000, 7);
}

/** A layer's tree into overlayfs's form, by other means than the driver's. */
function convertWhiteouts(directory: string): void {
  sh(
    directory,
    `
    find . -name '.wh..wh..opq' -print0 | while IFS= read -r -d '' f; do
      d=$(dirname "$f"); touch -r "$d" ../stamp; rm "$f"
      python3 -c 'import os,sys; os.setxattr(sys.argv[1], "trusted.overlay.opaque", b"y")' "$d"; touch -r ../stamp "$d"
    done
    find . -name '.wh.*' -print0 | while IFS= read -r -d '' f; do
      d=$(dirname "$f"); b=$(basename "$f"); touch -r "$d" ../stamp; rm "$f"; mknod "$d/\${b#.wh.}" c 0 0; touch -r ../stamp "$d"
    done
  `,
  );
}

/** The manifest of tars unpacked by GNU tar and stacked with mount(8). */
function referenceManifest(fixture: Fixture, tars: Buffer[]): Manifest {
  const trees = tars.map((tar) => {
    const holder = fixture.newDirectory();
    const tree = join(holder, 'fs');
    mkdirSync(tree);
    const options = [
      '--xattrs',
      '--xattrs-include=*',
      '--numeric-owner',
      '--same-permissions',
      '--same-owner',
    ];
    execFileSync('tar', [...options, '-xf', '-', '-C', tree], { input: tar });
    convertWhiteouts(tree);
    return tree;
  });
  const target = fixture.newDirectory();
  const empty = fixture.newDirectory();
  const lowers = [...trees.toReversed(), empty].join(':');
  execFileSync('mount', ['-t', 'overlay', 'reference', '-o', `ro,lowerdir=${lowers}`, target]);
  try {
    return treeManifest(target);
  } finally {
    execFileSync('umount', [target]);
  }
}

function assertSameTree(actual: Manifest, expected: Manifest): void {
  assert.deepEqual([...actual.keys()].sort(), [...expected.keys()].sort());
  for (const [path, entry] of expected) assert.deepEqual(actual.get(path), entry, path);
}

function withFixture(driver: SuiteDriver, body: (fixture: Fixture) => Promise<void>): () => Promise<void> {
  return async () => {
    const fixture = new Fixture(driver);
    try {
      await body(fixture);
    } finally {
      await fixture.close();
    }
  };
}

export function snapshotterSuite(driver: SuiteDriver): void {
  describe('images equal GNU tar entry by entry', () => imageTests(driver));
  describe('semantics of layers', () => layerTests(driver));
  describe('new layers', () => newLayerTests(driver));
  describe('hostile archives stay inside', () => hostileTests(driver));
  describe('failures leave nothing behind', () => failureTests(driver));
  describe('mounts', () => mountTests(driver));
}

function imageTests(driver: SuiteDriver): void {
  let fixture: Fixture;
  let base: string;
  let second: string;
  before(() => {
    fixture = new Fixture(driver);
    base = fixture.newDirectory();
    second = fixture.newDirectory();
    makeBaseTree(base);
    makeSecondTree(second);
  });
  after(() => fixture.close());

  for (const [name, compression, options] of [
    ['PAX, gzip', 'gzip', ['--format=posix']],
    ['PAX, zstd, sparse', 'zstd', ['--format=posix', '--sparse']],
    ['GNU, uncompressed', 'none', ['--format=gnu']],
    ['GNU, sparse', 'gzip', ['--format=gnu', '--sparse']],
    ['old GNU, incremental header fields', 'none', ['--format=oldgnu', '--atime-preserve']],
  ] as const) {
    test(`two layers: ${name}`, async () => {
      const tars = [gnuTar(base, ...options), gnuTar(second, ...options)];
      const layers = await Promise.all(tars.map((tar) => fixture.add(tar, compression)));
      const target = await fixture.mount(layers);
      assertSameTree(treeManifest(target), referenceManifest(fixture, tars));
      await fixture.unmount(target);
      const one = await fixture.mount(layers.slice(0, 1));
      assertSameTree(treeManifest(one), referenceManifest(fixture, tars.slice(0, 1)));
      await fixture.unmount(one);
      for (const layer of layers) await fixture.snapshotter.remove(layer);
    });
  }

  test('an exported tar is the same layer', async () => {
    const tars = [gnuTar(base, '--format=posix'), gnuTar(second, '--format=posix')];
    const layers = await Promise.all(tars.map((tar) => fixture.add(tar)));
    const again: DiffID[] = [];
    for (const layer of layers) {
      const { diffId, blobPath } = await fixture.snapshotter.addTar(fixture.snapshotter.exportTar(layer));
      again.push(diffId);
      rmSync(blobPath);
      assert.equal(
        await digestOfStream(fixture.snapshotter.exportTar(diffId)),
        diffId,
        'exports are deterministic',
      );
    }
    assertSameTree(treeManifest(await fixture.mount(again)), treeManifest(await fixture.mount(layers)));
  });

  test('holes stay holes', async () => {
    const tree = fixture.newDirectory();
    sh(tree, 'truncate -s 20G huge; printf end | dd of=huge bs=1 seek=21474836000 conv=notrunc status=none');
    for (const options of [
      ['--format=posix', '--sparse'],
      ['--format=gnu', '--sparse'],
    ]) {
      const layer = await fixture.add(gnuTar(tree, ...options));
      const huge = join(await fixture.mount([layer]), 'huge');
      const stat = statSync(huge);
      assert.equal(stat.size, 20 * 2 ** 30);
      assert.ok(stat.blocks * 512 < 1024 * 1024, `${stat.blocks} blocks on disk`);
      const fd = openSync(huge, 'r');
      closeSync(fd);
      assert.equal(execFileSync('tail', ['-c', '480', huge]).subarray(0, 3).toString(), 'end');
    }
  });
}

async function digestOfStream(stream: AsyncIterable<Uint8Array>): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of stream) hash.update(chunk);
  return `sha256:${hash.digest('hex')}`;
}

function layerTests(driver: SuiteDriver): void {
  let fixture: Fixture;
  before(() => {
    fixture = new Fixture(driver);
  });
  after(() => fixture.close());

  /** The names in a mounted image, with a file's content behind `=` and a link's target behind `>`. */
  const shown = (root: string): string[] =>
    [...treeManifest(root)]
      .filter(([path]) => path !== '.')
      .map(([path, entry]) => {
        if (entry['type'] === 'file')
          return `${path}=${readFileSync(Buffer.from(join(root, path), 'latin1')).toString()}`;
        return entry['type'] === 'symlink' ? `${path}>${entry['target']}` : `${path}/`;
      })
      .sort();

  const lower = tarOf(
    { name: 'd/', type: 'directory' },
    { name: 'd/low', type: 'file', content: 'low' },
    { name: 'f', type: 'file', content: 'f' },
  );

  const cases: [string, Buffer, string[]][] = [
    [
      'a later file replaces an earlier one',
      tarOf({ name: 'd/low', type: 'file', content: '1' }, { name: 'd/low', type: 'file', content: '2' }),
      ['d/', 'd/low=2', 'f=f'],
    ],
    [
      'a whiteout of a file in the same layer hides only below',
      tarOf({ name: 'f', type: 'file', content: 'new' }, { name: '.wh.f', type: 'file' }),
      ['d/', 'd/low=low', 'f=new'],
    ],
    [
      'a whiteout before its directory',
      tarOf(
        { name: '.wh.d', type: 'file' },
        { name: 'd/', type: 'directory' },
        { name: 'd/new', type: 'file' },
      ),
      ['d/', 'd/new=', 'f=f'],
    ],
    [
      'a whiteout after its directory',
      tarOf(
        { name: 'd/', type: 'directory' },
        { name: 'd/new', type: 'file' },
        { name: '.wh.d', type: 'file' },
      ),
      ['d/', 'd/new=', 'f=f'],
    ],
    [
      'a whiteout and then an entry below it',
      tarOf({ name: '.wh.d', type: 'file' }, { name: 'd/new', type: 'file' }),
      ['d/', 'd/new=', 'f=f'],
    ],
    [
      'a whiteout replaced by a file and by a directory',
      tarOf({ name: '.wh.d', type: 'file' }, { name: 'd', type: 'file' }, { name: 'd', type: 'directory' }),
      ['d/', 'f=f'],
    ],
    [
      'an opaque mark before and after the content',
      tarOf(
        { name: 'd/new', type: 'file' },
        { name: 'd/.wh..wh..opq', type: 'file' },
        { name: 'd/newer', type: 'file' },
      ),
      ['d/', 'd/new=', 'd/newer=', 'f=f'],
    ],
    [
      'an opaque root',
      tarOf({ name: '.wh..wh..opq', type: 'file' }, { name: 'only', type: 'file' }),
      ['only='],
    ],
    [
      'a directory replaced by a file',
      tarOf({ name: 'd/x', type: 'file' }, { name: 'd', type: 'file', content: 'file' }),
      ['d=file', 'f=f'],
    ],
    [
      'a directory replaced by a link, and entries through it',
      tarOf(
        { name: 'e/', type: 'directory' },
        { name: 'd/x', type: 'file' },
        { name: 'd', type: 'symlink', linkName: 'e' },
        { name: 'd/y', type: 'file' },
      ),
      ['d>e', 'e/', 'e/y=', 'f=f'],
    ],
    [
      'entries through a link of the same layer',
      tarOf(
        { name: 'usr/lib/', type: 'directory' },
        { name: 'lib', type: 'symlink', linkName: '/usr/lib' },
        { name: 'lib/x', type: 'file', content: 'x' },
      ),
      ['d/', 'd/low=low', 'f=f', 'lib>/usr/lib', 'usr/', 'usr/lib/', 'usr/lib/x=x'],
    ],
    [
      'entries through a link whose target is missing yet',
      tarOf(
        { name: 'var/run', type: 'symlink', linkName: '../run/now' },
        { name: 'var/run/pid', type: 'file' },
      ),
      ['d/', 'd/low=low', 'f=f', 'run/', 'run/now/', 'run/now/pid=', 'var/', 'var/run>../run/now'],
    ],
    [
      'hard links through a link of the same layer',
      tarOf(
        { name: 'usr/x', type: 'file', content: 'x' },
        { name: 'l', type: 'symlink', linkName: 'usr' },
        { name: 'h', type: 'hardlink', linkName: 'l/x' },
      ),
      ['d/', 'd/low=low', 'f=f', 'h=x', 'l>usr', 'usr/', 'usr/x=x'],
    ],
    [
      'a hard link onto itself',
      tarOf({ name: 'x', type: 'file', content: 'x' }, { name: 'x', type: 'hardlink', linkName: './x' }),
      ['d/', 'd/low=low', 'f=f', 'x=x'],
    ],
    [
      'names that are not clean',
      tarOf(
        { name: './a//b/../c', type: 'file' },
        { name: '/abs', type: 'file' },
        { name: './', type: 'directory' },
      ),
      ['a/', 'a/c=', 'abs=', 'd/', 'd/low=low', 'f=f'],
    ],
    [
      'bookkeeping of AUFS',
      tarOf(
        { name: '.wh..wh.aufs', type: 'file' },
        { name: '.wh..wh.plnk/', type: 'directory' },
        { name: '.wh..wh.plnk/1.2', type: 'file' },
      ),
      ['d/', 'd/low=low', 'f=f'],
    ],
    ['a whiteout device of an upper directory', tarOf({ name: 'f', type: 'character' }), ['d/', 'd/low=low']],
    [
      'trailing garbage',
      Buffer.concat([tarOf({ name: 'x', type: 'file' }), Buffer.from('garbage')]),
      ['d/', 'd/low=low', 'f=f', 'x='],
    ],
    ['an empty archive', Buffer.alloc(1024), ['d/', 'd/low=low', 'f=f']],
    ['no bytes at all', Buffer.alloc(0), ['d/', 'd/low=low', 'f=f']],
  ];
  for (const [name, tar, expected] of cases) {
    test(name, async () => {
      const layers = [await fixture.add(lower), await fixture.add(tar)];
      assert.deepEqual(shown(await fixture.mount(layers)), expected.toSorted());
    });
  }

  test(
    'missing parents are made plain, whatever the umask and the directory above',
    withFixture(driver, async (fixture) => {
      const umask = process.umask(0o077);
      try {
        const layer = await fixture.add(
          tarOf(
            { name: 's/', type: 'directory', mode: 0o2777, uid: 5, gid: 6 },
            { name: 's/a/b/c', type: 'file' },
          ),
        );
        const manifest = treeManifest(await fixture.mount([layer]));
        const { mode, owner, mtime } = manifest.get('s/a/b') ?? {};
        assert.deepEqual([mode, owner, mtime], ['40755', '0:0', '0']);
        assert.equal(manifest.get('s/a/b/c')?.['owner'], '0:0');
        assert.equal(manifest.get('s')?.['mode'], '42777');
      } finally {
        process.umask(umask);
      }
    }),
  );

  test(
    'a directory of 100,000 entries',
    withFixture(driver, async (fixture) => {
      const entries = Array.from({ length: 100_000 }, (_, i) => ({
        name: `many/${i}`,
        type: 'file' as const,
      }));
      const layer = await fixture.add(tarOf(...entries), 'gzip');
      const target = await fixture.mount([layer]);
      assert.equal(readdirSync(join(target, 'many')).length, 100_000);
      await fixture.unmount(target);
      await fixture.snapshotter.remove(layer);
      assert.deepEqual(driver.leftovers(fixture.root), []);
    }),
  );

  test(
    "overlayfs's own attributes in an archive are not believed",
    withFixture(driver, async (fixture) => {
      const xattrs = ['trusted.overlay.opaque', 'trusted.overlay.redirect', 'user.overlay.opaque'].map(
        (name) => ({
          name: byteString(name),
          value: Buffer.from(name.endsWith('opaque') ? 'y' : '/f'),
        }),
      );
      const layers = [
        await fixture.add(lower),
        await fixture.add(tarOf({ name: 'd/', type: 'directory', xattrs })),
      ];
      const target = await fixture.mount(layers);
      assert.deepEqual(shown(target), ['d/', 'd/low=low', 'f=f']);
      assert.equal(addon().listXattrs(join(target, 'd')).length, 0);
    }),
  );

  test(
    'the same layer twice, and the sizes of layers',
    withFixture(driver, async (fixture) => {
      const { snapshotter } = fixture;
      const [a, b] = [await fixture.add(lower), await fixture.add(tarOf({ name: '.wh.f', type: 'file' }))];
      assert.deepEqual(shown(await fixture.mount([a, b, a])), ['d/', 'd/low=low', 'f=f']);
      assert.deepEqual(snapshotter.layer(a), { diffId: a, sizeBytes: 4 });
      assert.deepEqual(snapshotter.layers().sort(), [a, b].sort());
      await snapshotter.remove(a);
      assert.equal(snapshotter.layer(a), undefined);
      await assert.rejects(fixture.mount([a]), { kind: 'NotFound' });
    }),
  );
}

function newLayerTests(driver: SuiteDriver): void {
  test(
    'commit of a container: the image looks as the container did, the same way twice',
    withFixture(driver, async (fixture) => {
      const base = fixture.newDirectory();
      makeBaseTree(base);
      const layer = await fixture.add(gnuTar(base, '--format=posix'));
      const writable = fixture.writable();
      const target = await fixture.mount([layer], writable);
      sh(
        target,
        `
      rm -r opt/old; mkdir opt/old; printf fresh > opt/old/fresh
      rm etc/empty many/file-7; rm -r var; printf file > var
      printf more >> usr/bin/hello-again; ln usr/bin/hello-again usr/bin/third
      mv many/file-8 many/moved; chmod 0700 many; touch -d @1.5 etc/block
      mkfifo opt/fifo; ln -s $'\\xff' opt/link; truncate -s 5M opt/sparse
      python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind("opt/socket")'
    `,
      );
      addon().setXattr(join(target, 'usr/bin/third'), 'security.capability', CAPABILITY);
      const { upper } = writable;
      const committed = await fixture.snapshotter.commit(upper);
      const other = await fixture.snapshotter.commit(upper, undefined, { compression: 'zstd' });
      assert.equal(other.diffId, committed.diffId);
      const again = await fixture.snapshotter.commit(upper);
      assert.deepEqual([again.blobDigest, again.sizeBytes], [committed.blobDigest, committed.sizeBytes]);
      rmSync(join(target, 'opt/socket'));
      addon().setTimes(join(target, 'opt'), 77, 0);
      const expected = treeManifest(target);
      const actual = treeManifest(await fixture.mount([layer, committed.diffId]));
      for (const manifest of [expected, actual]) {
        const opt = manifest.get('opt');
        if (opt !== undefined) opt['mtime'] = 'changed by removing the socket';
        /* The root belongs to the mount, not to the layer. */
        manifest.delete('.');
      }
      assertSameTree(actual, expected);
      assert.equal(await digestOfStream(fixture.snapshotter.exportTar(committed.diffId)), committed.diffId);
      await checkBlob(fixture, committed);
    }),
  );

  test(
    'create: entries with content of every kind',
    withFixture(driver, async (fixture) => {
      const path = fixture.path('source');
      writeFileSync(path, 'from a path');
      const chunks = async function* (): AsyncGenerator<Uint8Array> {
        for (let i = 0; i < 100; i++) yield Buffer.alloc(100_000, i);
      };
      const make = () =>
        fixture.snapshotter.create(async (layer) => {
          await layer.add({
            name: 'a/',
            type: 'directory',
            mode: 0o700,
            uid: 1,
            gid: 2,
            mtimeSec: 3,
            mtimeNsec: 4,
          });
          await layer.add({ name: 'a/bytes', type: 'file' }, Buffer.from('bytes'));
          await layer.add({ name: 'a/path', type: 'file', mode: 0o4755 }, { path });
          await layer.add({ name: 'a/fd', type: 'file' }, { fd: openSync(path, 'r') });
          await layer.add({ name: 'a/stream', type: 'file', size: 10_000_000 }, chunks());
          await layer.add({ name: 'a/large', type: 'file' }, Buffer.alloc(5_000_000, 'large'));
          await layer.add({ name: 'link', type: 'symlink', linkName: 'ä' });
          await layer.add({ name: '.wh.gone', type: 'file' });
          await layer.add({
            name: 'empty',
            type: 'file',
            xattrs: [{ name: 'user.x', value: Buffer.from([0]) }],
          });
        });
      const created = await make();
      assert.equal((await make()).diffId, created.diffId);
      const target = await fixture.mount([created.diffId]);
      assert.equal(readFileSync(join(target, 'a/path'), 'utf8'), 'from a path');
      assert.equal(readFileSync(join(target, 'a/fd'), 'utf8'), 'from a path');
      assert.equal(readFileSync(join(target, 'a/stream'))[9_999_999], 99);
      assert.equal(statSync(join(target, 'a'), { bigint: true }).mtimeNs, 3_000_000_004n);
      assert.equal(lstatSync(join(target, 'a/path')).mode & 0o7777, 0o4755);
      assert.equal(created.sizeBytes, 5 + 2 * 11 + 10_000_000 + 5_000_000);
      await checkBlob(fixture, created);
    }),
  );

  test(
    'create: what goes wrong is said, and nothing is left',
    withFixture(driver, async (fixture) => {
      const { snapshotter } = fixture;
      const stuck = new Error('the build failed');
      await assert.rejects(
        snapshotter.create(async (layer) => {
          await layer.add({ name: 'x', type: 'file' }, Buffer.alloc(10_000_000));
          throw stuck;
        }),
        stuck,
      );
      await assert.rejects(
        snapshotter.create((layer) => layer.add({ name: '../x', type: 'file' })),
        { kind: 'InvalidParameter', message: /"\.\.\/x".*outside/ },
      );
      await assert.rejects(
        snapshotter.create((layer) =>
          layer.add({ name: 'x', type: 'file' }, { path: fixture.path('missing') }),
        ),
        /ENOENT/,
      );
      await assert.rejects(
        snapshotter.create((layer) => layer.add({ name: 'x', type: 'file' }, { path: '/dev/zero' })),
        /no regular file/,
      );
      await assert.rejects(
        snapshotter.create((layer) => layer.add({ name: 'x', type: 'directory' }, Buffer.from('x'))),
        /is no file, but has content/,
      );
      const tooMany = snapshotter.create(async (layer) => {
        for (let i = 0; ; i++) await layer.add({ name: i === 5 ? '/../../' : `x${i}`, type: 'file' });
      });
      await assert.rejects(tooMany, { kind: 'InvalidParameter' });
      assert.deepEqual(driver.leftovers(fixture.root), []);
      assert.deepEqual(snapshotter.layers(), []);
    }),
  );

  test(
    'addTar: a file or a stream, compressed or not',
    withFixture(driver, async (fixture) => {
      const { snapshotter } = fixture;
      const tar = tarOf({ name: 'x', type: 'file', content: 'x'.repeat(2_000_000) });
      for (const bytes of [tar, gzipSync(tar), zstdCompressSync(tar)]) {
        const path = fixture.path('some.tar');
        writeFileSync(path, bytes);
        const pieces = async function* (): AsyncGenerator<Uint8Array> {
          for (let at = 0; at < bytes.length; at += 1000) yield bytes.subarray(at, at + 1000);
        };
        for (const source of [path, pieces()]) {
          const added = await snapshotter.addTar(source, { compression: 'none' });
          assert.deepEqual([added.diffId, added.blobDigest], [digestOf(tar), digestOf(tar)]);
          assert.ok(readFileSync(added.blobPath).equals(tar));
        }
      }
      assert.equal(snapshotter.layers().length, 1);
    }),
  );

  test(
    'commit refuses names that would be read as whiteouts',
    withFixture(driver, async (fixture) => {
      const upper = fixture.newDirectory();
      writeFileSync(join(upper, '.wh.file'), '');
      await assert.rejects(fixture.snapshotter.commit(upper), {
        kind: 'InvalidParameter',
        message: /"\.wh\.file"/,
      });
      assert.deepEqual(driver.leftovers(fixture.root), []);
    }),
  );
}

async function checkBlob(
  fixture: Fixture,
  layer: { blobPath: string; blobDigest: string; blobSizeBytes: number; diffId: DiffID },
): Promise<void> {
  const blob = readFileSync(layer.blobPath);
  assert.deepEqual([digestOf(blob), blob.length], [layer.blobDigest, layer.blobSizeBytes]);
  await fixture.snapshotter.remove(layer.diffId);
  await fixture.snapshotter.add({ blobPath: layer.blobPath, compression: 'gzip', diffId: layer.diffId });
}

function hostileTests(driver: SuiteDriver): void {
  let fixture: Fixture;
  before(() => {
    fixture = new Fixture(driver);
  });
  after(() => fixture.close());

  const outside = mkdtempSync(join(tmpdir(), 'mydock-outside-'));
  writeFileSync(join(outside, 'secret'), 'secret');
  utimesSync(outside, 1, 1);
  after(() => rmSync(outside, { recursive: true, force: true }));

  const climb = '../'.repeat(20);
  const refused: [string, Buffer, RegExp][] = [
    ['a name that climbs out', tarOf({ name: '../x', type: 'file' }), /"\.\.\/x" at offset 0: .*outside/],
    ['a name that climbs out later', tarOf({ name: 'a/../../x', type: 'file' }), /outside/],
    ['a directory that is the parent', tarOf({ name: '..', type: 'directory' }), /outside/],
    ['a whiteout of the parent', tarOf({ name: '.wh...', type: 'file' }), /a whiteout of no file/],
    ['a whiteout of the directory itself', tarOf({ name: 'a/.wh..', type: 'file' }), /a whiteout of no file/],
    [
      'a whiteout that is a directory',
      tarOf({ name: '.wh.a/b', type: 'file' }),
      /a whiteout is no directory/,
    ],
    [
      'a hard link that climbs out',
      tarOf({ name: 'h', type: 'hardlink', linkName: `${climb}etc/passwd` }),
      /outside/,
    ],
    [
      'an absolute hard link',
      tarOf({ name: 'h', type: 'hardlink', linkName: '/etc/passwd' }),
      /hard link to .*not in this layer/,
    ],
    [
      'a hard link through a link to the outside',
      tarOf(
        { name: 'l', type: 'symlink', linkName: outside },
        { name: 'h', type: 'hardlink', linkName: 'l/secret' },
      ),
      /not in this layer/,
    ],
    ['a hard link to the root', tarOf({ name: 'h', type: 'hardlink', linkName: '.' }), /outside/],
    [
      'a hard link to a directory',
      tarOf({ name: 'd/', type: 'directory' }, { name: 'h', type: 'hardlink', linkName: 'd' }),
      /link: operation not permitted/,
    ],
    [
      'a hard link to a whiteout',
      tarOf({ name: '.wh.x', type: 'file' }, { name: 'h', type: 'hardlink', linkName: 'x' }),
      /not in this layer/,
    ],
    [
      'a hard link to nothing',
      tarOf({ name: 'h', type: 'hardlink', linkName: '' }),
      /a link without a target/,
    ],
    ['a file as the root', tarOf({ name: '.', type: 'file', content: 'x' }), /directory/],
    ['a link as the root', tarOf({ name: '/', type: 'symlink', linkName: '/etc' }), /directory/],
    [
      'an entry below a file',
      tarOf({ name: 'f', type: 'file' }, { name: 'f/x', type: 'file' }),
      /"f\/x".*not a directory/,
    ],
    [
      'an entry below a device',
      tarOf({ name: 'n', type: 'character', deviceMajor: 1, deviceMinor: 3 }, { name: 'n/x', type: 'file' }),
      /not a directory/,
    ],
    [
      'links in a circle',
      tarOf(
        { name: 'a', type: 'symlink', linkName: 'b' },
        { name: 'b', type: 'symlink', linkName: 'a' },
        { name: 'a/x', type: 'file' },
      ),
      /symbolic link/,
    ],
    ['a name too long', tarOf({ name: 'x'.repeat(300), type: 'file' }), /name too long/],
    ['a path too long', tarOf({ name: 'long/'.repeat(900), type: 'directory' }), /name too long/],
    ['an owner out of range', tarOf({ name: 'x', type: 'file', uid: 2 ** 32 - 1 }), /owner .* out of range/],
    [
      'an attribute too large',
      tarOf({
        name: 'x',
        type: 'file',
        xattrs: [{ name: 'user.x' as ByteString, value: Buffer.alloc(70_000) }],
      }),
      /setxattr user\.x/,
    ],
  ];
  for (const [name, tar, message] of refused) {
    test(name, async () => {
      await assert.rejects(fixture.add(tar), { kind: 'InvalidParameter', message });
      assert.deepEqual(fixture.snapshotter.layers(), []);
      assert.deepEqual(driver.leftovers(fixture.root), []);
    });
  }

  test(
    'writing through links ends inside the layer',
    withFixture(driver, async (fixture) => {
      const layer = await fixture.add(
        tarOf(
          { name: 'absolute', type: 'symlink', linkName: outside },
          { name: 'absolute/secret', type: 'file', content: 'overwritten' },
          { name: 'absolute/.wh.other', type: 'file' },
          { name: 'absolute/.wh..wh..opq', type: 'file' },
          { name: 'climbing', type: 'symlink', linkName: `${climb}${outside.slice(1)}` },
          { name: 'climbing/new', type: 'file', content: 'new' },
          { name: 'magic', type: 'symlink', linkName: '/proc/self/root' },
          { name: 'magic/escaped', type: 'file' },
          { name: 'a/b', type: 'symlink', linkName: '../../..' },
          { name: 'a/b/c', type: 'symlink', linkName: 'a/b' },
          { name: 'a/b/c/up', type: 'file' },
          { name: 'file-link', type: 'symlink', linkName: join(outside, 'secret') },
          { name: 'file-link', type: 'file', content: 'a file now' },
          { name: 'directory-link', type: 'symlink', linkName: outside },
          { name: 'directory-link', type: 'directory', mode: 0o700, uid: 12345 },
        ),
      );
      assert.deepEqual(readdirSync(outside), ['secret']);
      assert.equal(readFileSync(join(outside, 'secret'), 'utf8'), 'secret');
      assert.deepEqual([lstatSync(outside).uid, lstatSync(outside).mtimeMs], [0, 1000]);
      assert.ok(!existsSync('/escaped'));
      const target = await fixture.mount([layer]);
      assert.equal(readFileSync(join(target, outside, 'secret'), 'utf8'), 'overwritten');
      assert.equal(readFileSync(join(target, outside, 'new'), 'utf8'), 'new');
      assert.equal(readFileSync(join(target, 'file-link'), 'utf8'), 'a file now');
      assert.ok(existsSync(join(target, 'up')));
      assert.ok(existsSync(join(target, 'proc/self/root/escaped')));
    }),
  );

  test(
    'names of 4000 bytes, made and removed',
    withFixture(driver, async (fixture) => {
      const names = ['a/'.repeat(1999), `${'x'.repeat(200)}/`.repeat(19) + 'y'.repeat(200)];
      const layer = await fixture.add(
        tarOf(
          { name: `${names[0]}file`, type: 'file', content: 'deep' },
          { name: names[1] ?? '', type: 'file' },
        ),
      );
      const target = await fixture.mount([layer]);
      assert.equal(execFileSync('cat', [`${names[0]}file`], { cwd: target }).toString(), 'deep');
      const exported = await digestOfStream(fixture.snapshotter.exportTar(layer));
      assert.match(exported, /^sha256:/);
      await fixture.unmount(target);
      await fixture.snapshotter.remove(layer);
      assert.deepEqual(driver.leftovers(fixture.root), []);
    }),
  );

  test(
    'device nodes only by type, whatever their names',
    withFixture(driver, async (fixture) => {
      const layer = await fixture.add(
        tarOf(
          { name: 'dev/sda', type: 'file', content: 'a file' },
          { name: 'dev/../dev/mem', type: 'character', deviceMajor: 1, deviceMinor: 1, mode: 0o640 },
          { name: 'pipe\n', type: 'fifo' },
        ),
      );
      const target = await fixture.mount([layer]);
      assert.ok(lstatSync(join(target, 'dev/sda')).isFile());
      assert.ok(lstatSync(join(target, 'dev/mem')).isCharacterDevice());
      assert.ok(lstatSync(join(target, 'pipe\n')).isFIFO());
    }),
  );
}

/** A small generator of repeatable noise (mulberry32). */
function noise(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

function failureTests(driver: SuiteDriver): void {
  const big = tarOf(
    ...Array.from({ length: 400 }, (_, i) => ({
      name: `d${i % 7}/f${i}`,
      type: 'file' as const,
      content: 'x'.repeat(50_000),
    })),
  );

  test(
    'mutated archives: a layer or one clear error, and nothing beside it',
    withFixture(driver, async (fixture) => {
      const tree = fixture.newDirectory();
      sh(
        tree,
        `mkdir -p a/b; printf x > a/b/c; ln a/b/c a/l; ln -s b a/s; truncate -s 1M a/sparse; : > .wh.gone
      printf y > "$(printf 'n%.0s' {1..150})"; mkfifo a/p`,
      );
      const seeds = ['--format=posix', '--format=gnu'].map((format) => gnuTar(tree, format, '--sparse'));
      let refused = 0;
      for (let round = 0; round < 150; round++) {
        const random = noise(round);
        const tar = Buffer.from(seeds[round % seeds.length] ?? Buffer.alloc(0));
        for (let i = 0; i < 1 + random() * 4; i++) mutate(tar, random);
        const end = random() < 0.2 ? Math.floor(random() * tar.length) : tar.length;
        try {
          await fixture.snapshotter.remove(await fixture.add(tar.subarray(0, end)));
        } catch (error) {
          refused++;
          assert.ok(
            error instanceof Error && 'kind' in error && error.kind === 'InvalidParameter',
            `${round}: ${error}`,
          );
          assert.match(error.message, /^tar .*at offset \d+: ./, `${round}`);
        }
      }
      assert.ok(refused > 20, `${refused} of 150 were refused`);
      assert.deepEqual(driver.leftovers(fixture.root), []);
      assert.deepEqual(fixture.snapshotter.layers(), []);
    }),
  );

  test(
    'broken compression and wrong digests',
    withFixture(driver, async (fixture) => {
      const blobPath = fixture.path('blob');
      const diffId = parseDiffID(digestOf(big));
      const gzip = gzipSync(big);
      for (const [bytes, compression, message] of [
        [gzip.subarray(0, gzip.length / 2), 'gzip', /invalid gzip data: unexpected EOF/],
        [Buffer.from('no gzip at all'), 'gzip', /invalid gzip data: incorrect header check/],
        [zstdCompressSync(big).subarray(0, 200), 'zstd', /invalid zstd data: unexpected EOF/],
        [
          gzipSync(tarOf({ name: 'other', type: 'file' })),
          'detect',
          /layer sha256:.*: its uncompressed content is sha256:/,
        ],
        [big.subarray(0, big.length - 512), 'none', /its uncompressed content is/],
      ] as const) {
        writeFileSync(blobPath, bytes);
        await assert.rejects(fixture.snapshotter.add({ blobPath, compression, diffId }), {
          kind: 'InvalidParameter',
          message,
        });
      }
      await assert.rejects(
        fixture.snapshotter.add({ blobPath: fixture.path('no'), compression: 'none', diffId }),
        /ENOENT/,
      );
      assert.deepEqual(driver.leftovers(fixture.root), []);
    }),
  );

  test(
    'calls for one layer share a run, and each can leave it',
    withFixture(driver, async (fixture) => {
      const blobPath = fixture.path('blob');
      writeFileSync(blobPath, gzipSync(big));
      const source = { blobPath, compression: 'detect' as const, diffId: parseDiffID(digestOf(big)) };
      const progress: number[] = [];
      const abort = new AbortController();
      const leaving = fixture.snapshotter.add(source, abort.signal);
      const staying = fixture.snapshotter.add({ ...source, onProgress: (bytes) => progress.push(bytes) });
      abort.abort(new Error('the client went away'));
      await assert.rejects(leaving, /the client went away/);
      assert.equal((await staying).sizeBytes, 400 * 50_000);
      assert.equal(progress.at(-1), statSync(blobPath).size);
      assert.deepEqual(await fixture.snapshotter.add(source), await staying);
      assert.deepEqual(driver.leftovers(fixture.root), []);
    }),
  );

  test(
    'an abort at any moment leaves nothing, and the next run works',
    withFixture(driver, async (fixture) => {
      const blobPath = fixture.path('blob');
      writeFileSync(blobPath, gzipSync(big));
      const source = { blobPath, compression: 'gzip' as const, diffId: parseDiffID(digestOf(big)) };
      for (const delayMs of [0, 1, 5, 15, 30]) {
        const run = fixture.snapshotter.add(source, AbortSignal.timeout(delayMs));
        await run.then(
          () => fixture.snapshotter.remove(source.diffId),
          (error: unknown) => assert.equal((error as Error).name, 'TimeoutError'),
        );
      }
      await fixture.snapshotter.add(source);
      assert.equal(fixture.snapshotter.layers().length, 1);
      assert.deepEqual(driver.leftovers(fixture.root), []);
    }),
  );

  test(
    'a restart finds whole layers and sweeps the rest',
    withFixture(driver, async (fixture) => {
      const layer = await fixture.add(big, 'zstd');
      const abandoned = fixture.snapshotter.create(async (writer) => {
        await writer.add({ name: 'x', type: 'file' }, Buffer.from('x'));
        await new Promise((resolve) => setTimeout(resolve, 100));
      });
      const failed = assert.rejects(abandoned, { kind: 'Internal' });
      await fixture.snapshotter.close();
      await failed;
      const fd = openSync(join(fixture.root, '.tmp-leftover'), 'w');
      writeSync(fd, 'x');
      closeSync(fd);
      const next = driver.open(fixture.root);
      try {
        await next.sweep();
        assert.deepEqual(next.layers(), [layer]);
        assert.deepEqual(driver.leftovers(fixture.root), []);
      } finally {
        await next.close();
      }
    }),
  );
}

/** Breaks an archive in one of several ways, most of them with a right checksum. */
function mutate(tar: Buffer, random: () => number): void {
  const block = Math.floor((random() * tar.length) / 512) * 512;
  const at = block + Math.floor(random() * 512);
  const way = Math.floor(random() * 4);
  if (way === 0) tar[at] = Math.floor(random() * 256);
  else if (way === 1) tar.fill(Math.floor(random() * 256), at, Math.min(at + 20, tar.length));
  else if (way === 2) tar.copyWithin(block, Math.floor((random() * tar.length) / 512) * 512, tar.length);
  else tar[block + 156] = '01234567xgLKSDV\0'.charCodeAt(Math.floor(random() * 16));
  if (random() < 0.7 && block + 512 <= tar.length) {
    tar.write('        ', block + 148, 'latin1');
    let sum = 0;
    for (const byte of tar.subarray(block, block + 512)) sum += byte;
    tar.write(`${sum.toString(8).padStart(6, '0')}\0 `, block + 148, 'latin1');
  }
}

function mountTests(driver: SuiteDriver): void {
  test(
    'from scratch, read-only and writable',
    withFixture(driver, async (fixture) => {
      const empty = await fixture.mount([]);
      assert.deepEqual(readdirSync(empty), []);
      assert.throws(() => writeFileSync(join(empty, 'x'), ''), { code: 'EROFS' });
      const writable = fixture.writable();
      const target = await fixture.mount([], writable);
      writeFileSync(join(target, 'x'), 'x');
      assert.deepEqual(readdirSync(writable.upper), ['x']);
      await fixture.unmount(target);
      await fixture.unmount(target);
      assert.deepEqual(readdirSync(target), []);
      await assert.rejects(fixture.snapshotter.mount({ layers: [], target, upper: writable.upper }), {
        kind: 'InvalidParameter',
      });
    }),
  );

  test(
    'a mount that is in use is detached',
    withFixture(driver, async (fixture) => {
      const target = await fixture.mount([
        await fixture.add(tarOf({ name: 'f', type: 'file', content: 'f' })),
      ]);
      const fd = openSync(join(target, 'f'), 'r');
      try {
        await fixture.unmount(target);
        assert.deepEqual(readdirSync(target), []);
        assert.equal(readFileSync(fd, 'utf8'), 'f');
      } finally {
        closeSync(fd);
      }
    }),
  );

  test(
    '300 layers',
    withFixture(driver, async (fixture) => {
      const tars = Array.from({ length: 300 }, (_, i) =>
        tarOf(
          { name: `file-${i}`, type: 'file', content: `${i}` },
          { name: 'top', type: 'file', content: `${i}` },
          { name: `.wh.file-${i - 2}`, type: 'file' },
        ),
      );
      const layers = await Promise.all(tars.map((tar) => fixture.add(tar)));
      const target = await fixture.mount(layers, fixture.writable());
      assert.deepEqual(readdirSync(target).sort(), ['file-298', 'file-299', 'top']);
      assert.equal(readFileSync(join(target, 'top'), 'utf8'), '299');
      assert.equal(readdirSync(await fixture.mount(layers)).length, 3);
    }),
  );
}
