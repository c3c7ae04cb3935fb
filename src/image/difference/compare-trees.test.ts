/** Trees compared: what is said of files, which are read, and which package explains them. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { compareFiles } from './compare-files.ts';
import type { TreeDifference } from './compare-trees.ts';
import { compareTrees } from './compare-trees.ts';
import { type Fixture, type MemoryTree, memoryTree } from './tree-fixture.ts';

const OPTIONS = { packages: true, files: true, content: true, times: false, check: () => {} };

function compare(
  from: MemoryTree | Record<string, Fixture>,
  to: MemoryTree | Record<string, Fixture>,
  options = {},
): TreeDifference {
  const tree = (side: MemoryTree | Record<string, Fixture>): MemoryTree =>
    typeof side['list'] === 'function' ? (side as MemoryTree) : memoryTree(side as Record<string, Fixture>);
  return compareTrees(tree(from), tree(to), { ...OPTIONS, ...options });
}

/** `~ /path content mode [package]` */
function lines({ files }: TreeDifference): string[] {
  const signs = { added: '+', removed: '-', changed: '~' };
  return (files?.Changes ?? []).map(({ Kind, Path, Aspects, Package }) =>
    [signs[Kind], Path, ...(Aspects ?? []), ...(Package === undefined ? [] : [`[${Package}]`])].join(' '),
  );
}

test('every aspect of an entry', () => {
  const xattr = (name: string, value: string) => ({ name: name as never, value: Buffer.from(value) });
  const found = compare(
    {
      '/same': 'x',
      '/time': { data: 'x', mtimeSec: 1 },
      '/size': 'a',
      '/bytes': 'a',
      '/mode': { data: '', mode: 0o644 },
      '/owner': { data: '', uid: 1 },
      '/link': { link: 'a' },
      '/caps': { data: '', xattrs: [xattr('security.capability', 'a')] },
      '/xattr': { data: '', xattrs: [xattr('user.x', 'a'), xattr('user.y', 'b')] },
      '/device': { data: '', format: 0o020000, major: 1, minor: 3 },
      '/gone/below/x': 'abc',
      '/was-folder/x': '1',
      '/was-file': '12345',
    },
    {
      '/same': 'x',
      '/time': { data: 'x', mtimeSec: 2 },
      '/size': 'ab',
      '/bytes': 'b',
      '/mode': { data: '', mode: 0o4755 },
      '/owner': { data: '', gid: 1, uid: 1 },
      '/link': { link: 'b' },
      '/caps': { data: '' },
      '/xattr': { data: '', xattrs: [xattr('user.x', 'c'), xattr('user.y', 'b')] },
      '/device': { data: '', format: 0o020000, major: 1, minor: 5 },
      '/new/x': 'abcd',
      '/was-folder': 'now a file',
      '/was-file/x': '1',
    },
  );
  assert.deepEqual(lines(found), [
    '~ /bytes content',
    '~ /caps capabilities',
    '~ /device device',
    '- /gone',
    '- /gone/below',
    '- /gone/below/x',
    '~ /link link',
    '~ /mode mode',
    '+ /new',
    '+ /new/x',
    '~ /owner owner',
    '~ /size content',
    '~ /was-file type mode',
    '+ /was-file/x',
    '~ /was-folder type mode',
    '- /was-folder/x',
    '~ /xattr xattrs',
  ]);
  assert.equal(found.files?.TimesOnly, 1);
  assert.deepEqual([found.files?.Added, found.files?.Removed, found.files?.Changed], [3, 4, 10]);
  assert.equal(found.files?.SizeChange, 4 - 3 + 1 + 10 - 1 - 5 + 1);
  assert.deepEqual(
    found.files?.Directories.find(({ Path }) => Path === '/gone'),
    {
      Path: '/gone',
      Added: 0,
      Removed: 3,
      Changed: 0,
      SizeChange: -3,
    },
  );
  assert.deepEqual(found.notes, []);
});

test('modification times, where they are asked for', () => {
  const from = { '/time': { data: 'x', mtimeSec: 1 }, '/d': { directory: true, mtimeSec: 1 } } as const;
  const to = {
    '/time': { data: 'x', mtimeSec: 1, mtimeNsec: 1 },
    '/d': { directory: true, mtimeSec: 5 },
  } as const;
  assert.deepEqual(lines(compare(from, to)), []);
  const found = compare(from, to, { times: true });
  assert.deepEqual(lines(found), ['~ /time time']);
  assert.equal(found.files?.Changes[0]?.To?.ModTime, '1970-01-01T00:00:01.000000001Z');
});

test('only what could be different is read', () => {
  const from = memoryTree({
    '/known': { data: 'aaa', contentIdentity: 'layer:512' },
    '/size': 'a',
    '/empty': '',
    '/read': 'abc',
    '/linked-1': { data: 'xyz', inode: '7' },
    '/linked-2': { data: 'xyz', inode: '7' },
  });
  const to = memoryTree({
    '/known': { data: 'aaa', contentIdentity: 'layer:512' },
    '/size': 'ab',
    '/empty': '',
    '/read': 'abc',
    '/linked-1': { data: 'xyz', inode: '9' },
    '/linked-2': { data: 'xyz', inode: '9' },
  });
  assert.deepEqual(lines(compare(from, to)), ['~ /size content']);
  assert.deepEqual(from.opened.sort(), ['linked-1', 'read']);
  const trusted = { '/a': 'a' };
  assert.deepEqual(lines(compare(trusted, { '/a': 'b' }, { content: false })), []);
});

test('files of several blocks, different in the last byte only', () => {
  const data = Buffer.alloc(600 * 1024, 7);
  const other = Buffer.from(data);
  other[other.length - 1] = 8;
  assert.deepEqual(lines(compare({ '/f': data }, { '/f': Buffer.from(data) })), []);
  assert.deepEqual(lines(compare({ '/f': data }, { '/f': other })), ['~ /f content']);
});

test('of too many changes the rest is counted, and a directory that cannot be listed is noted', () => {
  const many = Object.fromEntries(Array.from({ length: 50 }, (_, i) => [`/f${i}`, 'x']));
  const { found, difference } = compareFiles(memoryTree({}), memoryTree(many), {
    content: true,
    times: false,
    maxChanges: 10,
    check: () => {},
    note: assert.fail,
  });
  assert.deepEqual([found.length, difference.Added, difference.Cut], [10, 50, true]);
  const tree = memoryTree({ '/d/x': '' });
  const failing = {
    ...tree,
    list: (path: string) => {
      if (path === 'd') throw Object.assign(new Error('no'), { code: 'ENAMETOOLONG' });
      return tree.list(path as never);
    },
  };
  const { notes } = compare(failing as never, memoryTree({ '/d/y': '' }));
  assert.deepEqual(notes, ['"d" could not be listed (ENAMETOOLONG): nothing in it is compared']);
});

test('a check that throws ends the comparison', () => {
  const check = (): void => {
    throw new Error('given up');
  };
  assert.throws(() => compare({ '/a': '1' }, { '/a': '2' }, { check }), /given up/);
});

test('a folder of any depth', () => {
  const path = `/${Array.from({ length: 1500 }, () => 'd').join('/')}`;
  assert.equal(compare({}, { [`${path}/f`]: 'x' }).files?.Added, 1501);
});

const DPKG = (version: string, more = ''): string =>
  `Package: tool\nStatus: install ok installed\nVersion: ${version}\nArchitecture: amd64\n\nPackage: other\nVersion: 1\nArchitecture: amd64\n${more}`;

test('files of changed packages are told from those that no package explains', () => {
  const found = compare(
    {
      '/bin': { link: 'usr/bin' },
      '/usr/bin/tool': 'one',
      '/usr/bin/other': 'one',
      '/usr/share': { directory: true, mode: 0o755 },
      '/var/lib/dpkg/status': DPKG('1.0'),
      '/var/lib/dpkg/info/tool.list': '/.\n/usr\n/usr/share\n/bin/tool\n/usr/share/tool\n',
      '/var/lib/dpkg/info/tool.postinst': '1',
      '/var/lib/dpkg/info/other.list': '/usr/bin/other\n',
      '/var/lib/dpkg/info/other.postinst': '1',
    },
    {
      '/bin': { link: 'usr/bin' },
      '/usr/bin/tool': 'two!',
      '/usr/bin/other': 'two',
      '/usr/share': { directory: true, mode: 0o777 },
      '/usr/share/tool/doc': 'x',
      '/var/lib/dpkg/status': DPKG('1.1'),
      '/var/lib/dpkg/info/tool.list':
        '/.\n/usr\n/usr/share\n/bin/tool\n/usr/share/tool\n/usr/share/tool/doc\n',
      '/var/lib/dpkg/info/tool.postinst': '2',
      '/var/lib/dpkg/info/other.list': '/usr/bin/other\n',
      '/var/lib/dpkg/info/other.postinst': '2',
    },
  );
  assert.deepEqual(lines(found), [
    '~ /usr/bin/other content',
    '~ /usr/bin/tool content [dpkg:tool]',
    '~ /usr/share mode',
    '+ /usr/share/tool [dpkg:tool]',
    '+ /usr/share/tool/doc [dpkg:tool]',
    '~ /var/lib/dpkg/info/other.postinst content',
    '~ /var/lib/dpkg/info/tool.list content [dpkg:tool]',
    '~ /var/lib/dpkg/info/tool.postinst content [dpkg:tool]',
    '~ /var/lib/dpkg/status content [dpkg]',
  ]);
  const [change] = found.packages?.Changes ?? [];
  assert.deepEqual(
    [change?.Name, change?.Kind, change?.FromVersion, change?.ToVersion],
    ['tool', 'upgraded', '1.0', '1.1'],
  );
  assert.deepEqual(change?.Files, { Added: 2, Removed: 0, Changed: 3, SizeChange: 1 + 1 + 20 });
});

test('packages: several of one name, other architectures, other states', () => {
  const status = (
    ...packages: [name: string, version: string, architecture: string, state?: string][]
  ): Record<string, string> => ({
    '/var/lib/dpkg/status': packages
      .map(
        ([name, version, architecture, state = 'installed']) =>
          `Package: ${name}\nStatus: install ok ${state}\nVersion: ${version}\nArchitecture: ${architecture}\n`,
      )
      .join('\n'),
  });
  const { packages } = compare(
    status(
      ['libc', '1', 'amd64'],
      ['libc', '1', 'i386'],
      ['moved', '1', 'amd64'],
      ['broken', '1', 'all'],
      ['old', '2', 'all'],
      ['same', '1', 'all'],
    ),
    status(
      ['libc', '2', 'amd64'],
      ['libc', '1', 'i386'],
      ['moved', '1', 'arm64'],
      ['broken', '1', 'all', 'unpacked'],
      ['new', '1', 'all'],
      ['same', '1', 'all'],
    ),
  );
  assert.deepEqual(
    packages?.Changes.map(({ Name, Kind, FromVersion, ToVersion, ToArchitecture }) => [
      Name,
      Kind,
      FromVersion,
      ToVersion,
      ToArchitecture,
    ]),
    [
      ['broken', 'changed', '1', '1 (unpacked)', 'all'],
      ['libc', 'upgraded', '1', '2', 'amd64'],
      ['moved', 'changed', '1', '1', 'arm64'],
      ['new', 'added', '', '1', 'all'],
      ['old', 'removed', '2', '', undefined],
    ],
  );
  assert.deepEqual(packages?.Counts, [{ Manager: 'dpkg', From: 6, To: 6 }]);
});

test("npm's packages at their places, Python's with their records", () => {
  const json = (name: string, version: string): string => JSON.stringify({ name, version });
  const found = compare(
    {
      '/app/package.json': json('app', '1.0.0'),
      '/app/node_modules/a/package.json': json('a', '1.0.0'),
      '/app/node_modules/a/index.js': '1',
      '/app/node_modules/a/node_modules/b/package.json': json('b', '1.0.0'),
      '/app/node_modules/a/node_modules/b/index.js': '1',
      '/app/node_modules/c/package.json': '{ "type": "module" }',
      '/usr/lib/python3/dist-packages/Foo_Bar-1.0.dist-info/METADATA':
        'Metadata-Version: 2.1\nName: Foo.Bar\nVersion: 1.0\n\nVersion: 9',
      '/usr/lib/python3/dist-packages/Foo_Bar-1.0.dist-info/RECORD':
        'foo/a.py,sha256=x,1\n../../../bin/foo,,\n',
      '/usr/lib/python3/dist-packages/foo/a.py': '1',
      '/usr/bin/foo': '1',
    },
    {
      '/app/package.json': json('app', '1.0.1'),
      '/app/node_modules/a/package.json': json('a', '1.1.0-rc.1'),
      '/app/node_modules/a/index.js': '2',
      '/app/node_modules/a/node_modules/b/package.json': json('b', '1.0.0'),
      '/app/node_modules/a/node_modules/b/index.js': '2',
      '/app/node_modules/c/package.json': '{ "type": "commonjs" }',
      '/app/node_modules/@scope/d/package.json': json('@scope/d', '0.1.0'),
      '/usr/lib/python3/dist-packages/foo_bar-0.9.dist-info/METADATA': 'Name: foo-bar\nVersion: 0.9\n',
      '/usr/lib/python3/dist-packages/foo_bar-0.9.dist-info/RECORD': '"foo/a.py",,\n../../../bin/foo,,\n',
      '/usr/lib/python3/dist-packages/foo/a.py': '2',
      '/usr/bin/foo': '2',
    },
  );
  assert.deepEqual(
    found.packages?.Changes.map(({ Manager, Name, Kind, FromVersion, ToVersion, Path }) => [
      Manager,
      Name,
      Kind,
      FromVersion,
      ToVersion,
      Path,
    ]),
    [
      ['npm', '@scope/d', 'added', '', '0.1.0', '/app/node_modules/@scope/d'],
      ['npm', 'a', 'upgraded', '1.0.0', '1.1.0-rc.1', '/app/node_modules/a'],
      ['pip', 'foo-bar', 'downgraded', '1.0', '0.9', '/usr/lib/python3/dist-packages'],
    ],
  );
  assert.deepEqual(
    lines(found).filter((line) => !line.includes('[')),
    [
      '+ /app/node_modules/@scope',
      '~ /app/node_modules/a/node_modules/b/index.js content',
      '~ /app/node_modules/c/package.json content',
      '~ /app/package.json content',
    ],
  );
});

test('packages without files, files without packages', () => {
  const from = { '/lib/apk/db/installed': 'P:musl\nV:1.2.4-r1\nA:x86_64\nF:lib\nR:ld\n', '/lib/ld': '1' };
  const to = {
    '/lib/apk/db/installed': 'P:musl\nV:1.2.4_git20230717-r4\nA:x86_64\nF:lib\nR:ld\n',
    '/lib/ld': '2',
  };
  const packages = compare(from, to, { files: false });
  assert.equal(packages.files, undefined);
  assert.equal(packages.packages?.Changes[0]?.Kind, 'upgraded');
  const files = compare(from, to, { packages: false });
  assert.equal(files.packages, undefined);
  assert.deepEqual(lines(files), ['~ /lib/apk/db/installed content', '~ /lib/ld content']);
});
