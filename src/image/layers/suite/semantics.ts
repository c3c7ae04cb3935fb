/** What the entries of a layer mean: replacing, whiteouts, opaque directories, links, names that are not clean. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { addon } from '../../../native/addon.ts';
import { byteString } from '../tar/byte-string.ts';
import { Fixture, noLeftovers, type SuiteDriver, tarOf, withFixture } from './fixture.ts';
import { treeManifest } from './tree-manifest.ts';

export function layerTests(driver: SuiteDriver): void {
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
      await noLeftovers(driver, fixture.root);
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
      const { diffId, sizeBytes } = snapshotter.layer(a) ?? {};
      assert.deepEqual([diffId, sizeBytes], [a, 4]);
      assert.deepEqual(snapshotter.layers().sort(), [a, b].sort());
      await snapshotter.remove(a);
      assert.equal(snapshotter.layer(a), undefined);
      await assert.rejects(fixture.mount([a]), { kind: 'NotFound' });
    }),
  );
}
