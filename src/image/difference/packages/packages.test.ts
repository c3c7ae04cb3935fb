/** What package managers have installed: their databases, whole, broken and hostile. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { memoryFile, memoryTree } from '../tree-fixture.ts';
import { readApk } from './apk.ts';
import { berkeleyBlobs } from './berkeley-packages.ts';
import { readDpkg } from './dpkg.ts';
import type { PackageDatabase } from './installed.ts';
import { ndbBlobs } from './ndb-packages.ts';
import { readRpm } from './rpm.ts';
import { berkeleyDatabase, ndbDatabase, rpmHeader, sqliteDatabase } from './rpm-fixture.ts';
import { RpmHeader } from './rpm-header.ts';
import { SqliteTable } from './sqlite-table.ts';

function shown(database: PackageDatabase | undefined): string[] | undefined {
  return database?.packages.map(({ name, version, architecture, state }) =>
    [name, version, architecture, state].join(' ').trim(),
  );
}

function files(database: PackageDatabase | undefined, name: string): string[] {
  const wanted = new Set(database?.packages.filter((entry) => entry.name === name));
  return [...(database?.filesOf(wanted) ?? [])].map(([, path]) => path);
}

const STATUS = `Package: bash
Essential: yes
Status: install ok installed
Architecture: amd64
Version: 5.2.15-2+b2
Description: GNU Bourne Again SHell
 Version: 1.0
 .
Conffiles:
 /etc/bash.bashrc 89269e1298235f1b12b4c16e4065ad0d

Package: gone
Status: deinstall ok config-files
Architecture: all
Version: 1

package: half
status: install ok half-configured
architecture: all
version: 2
`;

test('dpkg: the status file, states, and the list of files', () => {
  const notes: string[] = [];
  const database = readDpkg(
    memoryTree({
      '/var/lib/dpkg/status': STATUS,
      '/var/lib/dpkg/info/bash.list': '/.\n/bin\n/bin/bash\n',
      '/var/lib/dpkg/info/half:all.list': '/x\n',
    }),
    (text) => notes.push(text),
  );
  assert.deepEqual(shown(database), ['bash 5.2.15-2+b2 amd64', 'half 2 all half-configured']);
  assert.deepEqual(files(database, 'bash'), ['.', 'bin', 'bin/bash']);
  assert.deepEqual(files(database, 'half'), ['x']);
  assert.deepEqual(notes, []);
  assert.equal(
    readDpkg(memoryTree({ '/etc/x': '' }), () => {}),
    undefined,
  );
});

test('dpkg: the folder of images without dpkg', () => {
  const database = readDpkg(
    memoryTree({
      '/var/lib/dpkg/status.d/tzdata': 'Package: tzdata\nVersion: 2024a-0\nArchitecture: all\n',
      '/var/lib/dpkg/status.d/tzdata.md5sums': 'd41d8cd98f00b204e9800998ecf8427e  usr/share/zoneinfo/UTC\n',
    }),
    () => {},
  );
  assert.deepEqual(shown(database), ['tzdata 2024a-0 all']);
  assert.deepEqual(files(database, 'tzdata').at(-1), 'usr/share/zoneinfo/UTC');
});

test('dpkg: names that lead elsewhere are not followed', () => {
  const database = readDpkg(
    memoryTree({ '/var/lib/dpkg/status': 'Package: ../../../etc/shadow\nVersion: 1\n' }),
    () => {},
  );
  assert.deepEqual(files(database, '../../../etc/shadow'), []);
});

const APK = `C:Q1gwkUCQyUBQ5ixUJMU9ugflJvaV8=
P:alpine-baselayout
V:3.4.3-r1
A:aarch64
F:etc
R:motd
Z:Q1SLkS9hBidUbPwwrw+XR0Whv3ww8=
F:etc/apk
F:
R:top

C:Q1x1B2rj8
P:busybox
V:1.37.0-r18
A:aarch64
F:bin
R:busybox
a:0:0:755
`;

test('apk: packages and their files, at both places of the database', () => {
  const trees = [
    memoryTree({ '/lib/apk/db/installed': APK }),
    memoryTree({ '/usr/lib/apk/db/installed': APK }),
    memoryTree({ '/usr/lib/apk/db/installed': APK, '/lib': { link: 'usr/lib' } }),
  ];
  for (const tree of trees) {
    const database = readApk(tree, () => {});
    assert.deepEqual(shown(database), ['alpine-baselayout 3.4.3-r1 aarch64', 'busybox 1.37.0-r18 aarch64']);
    assert.deepEqual(files(database, 'alpine-baselayout'), ['etc', 'etc/motd', 'etc/apk', '', 'top']);
    assert.deepEqual(files(database, 'busybox'), ['bin', 'bin/busybox']);
  }
});

const MANY = Array.from(
  { length: 3000 },
  (_, i) => `/usr/lib/modules/a-long-name-of-a-folder/${i % 50}/file-${i}`,
);
const HEADERS = [
  rpmHeader({ name: 'bash', version: '5.1', release: '2.el9', architecture: 'x86_64', files: ['/bin/bash'] }),
  rpmHeader({ name: 'shadow', version: '4', release: '1', architecture: 'noarch', epoch: 2, files: MANY }),
  rpmHeader({ name: 'gpg-pubkey', version: 'f5cf6c1e', release: '6229', architecture: '' }),
  ...Array.from({ length: 400 }, (_, i) =>
    rpmHeader({
      name: `lib${i}`,
      version: `${i}`,
      release: '1',
      architecture: 'x86_64',
      files: [`/usr/lib/lib${i}.so`],
    }),
  ),
];
const SQLITE = sqliteDatabase(HEADERS);

test('rpm: SQLite, a log beside it, ndb, Berkeley DB', () => {
  const logged = sqliteDatabase(HEADERS, true);
  assert.ok(logged.wal.length > 0);
  const trees = [
    memoryTree({ '/var/lib/rpm/rpmdb.sqlite': SQLITE.data, '/var/lib/rpm/rpmdb.sqlite-wal': '' }),
    memoryTree({
      '/usr/lib/sysimage/rpm/rpmdb.sqlite': logged.data,
      '/usr/lib/sysimage/rpm/rpmdb.sqlite-wal': logged.wal,
    }),
    memoryTree({ '/usr/lib/sysimage/rpm/Packages.db': ndbDatabase(HEADERS.slice(0, 200)) }),
    memoryTree({ '/var/lib/rpm/Packages': berkeleyDatabase(HEADERS.slice(0, 80)) }),
  ];
  for (const [at, count] of [403, 403, 200, 80].entries()) {
    const notes: string[] = [];
    const database = readRpm(trees[at] ?? memoryTree({}), (text) => notes.push(text));
    assert.deepEqual(notes, []);
    assert.equal(database?.packages.length, count);
    assert.deepEqual(shown(database)?.slice(0, 4), [
      'bash 5.1-2.el9 x86_64',
      'shadow 2:4-1 noarch',
      'gpg-pubkey f5cf6c1e-6229',
      'lib0 0-1 x86_64',
    ]);
    assert.deepEqual(files(database, 'bash'), ['bin/bash']);
    assert.deepEqual(
      files(database, 'shadow'),
      MANY.map((path) => path.slice(1)),
    );
  }
});

test('rpm: a log whose end is torn counts up to its last commit', () => {
  const { data, wal } = sqliteDatabase(HEADERS, true);
  const torn = Buffer.from(wal.subarray(0, wal.length - 1000));
  const tree = memoryTree({ '/var/lib/rpm/rpmdb.sqlite': data, '/var/lib/rpm/rpmdb.sqlite-wal': torn });
  const count = readRpm(tree, assert.fail)?.packages.length ?? 0;
  assert.ok(count >= 202 && count < 403, String(count));
});

test('rpm: what cannot be read is said', () => {
  const notes: string[] = [];
  const broken = { '/var/lib/rpm/rpmdb.sqlite': SQLITE.data.subarray(0, 20_000) };
  assert.notEqual(
    readRpm(memoryTree(broken), (text) => notes.push(text)),
    undefined,
  );
  readRpm(memoryTree({ '/var/lib/rpm/Packages': 'nonsense' }), (text) => notes.push(text));
  readRpm(memoryTree({ '/var/lib/rpm/Packages.db': 'nonsense' }), (text) => notes.push(text));
  assert.equal(notes.length, 3);
  for (const note of notes)
    assert.match(note, /^\/var\/lib\/rpm\/.* was not read to its end: not a database/);
});

test('rpm: whatever bytes are wrong, reading ends', () => {
  let seed = 5;
  const random = (below: number): number => {
    seed = (seed * 1103515245 + 12345) % 2147483648;
    return Math.floor((seed / 2147483648) * below);
  };
  const small = HEADERS.slice(0, 60);
  const databases = [sqliteDatabase(small).data, ndbDatabase(small), berkeleyDatabase(small)];
  const names = ['rpmdb.sqlite', 'Packages.db', 'Packages'];
  for (let round = 0; round < 300; round++) {
    const which = round % databases.length;
    const data = Buffer.from(databases[which] ?? '');
    const area = random(2) === 0 ? data.length : 6000;
    for (let flips = 1 + random(12); flips > 0; flips--) data[random(area)] = random(256);
    const tree = memoryTree({
      [`/var/lib/rpm/${names[which]}`]: data.subarray(0, data.length - random(5000)),
    });
    const database = readRpm(tree, () => {});
    assert.ok((database?.packages.length ?? 0) < 500);
    for (const _ of database?.filesOf(new Set(database.packages)) ?? []);
  }
});

test('a b-tree that leads back to itself, values that claim to be huge', () => {
  const data = Buffer.from(SQLITE.data);
  const limits = { maxValueBytes: 1000, maxPages: 100_000 };
  const all = [...new SqliteTable(memoryFile(data), undefined, limits).blobs('Packages')];
  assert.ok(all.length >= 400 && all.every((blob) => blob.length <= 1000));
  assert.throws(
    () => [...new SqliteTable(memoryFile(data), undefined, limits).blobs('Missing')],
    /no table Missing/,
  );
  assert.throws(
    () => new SqliteTable(memoryFile(data), undefined, { ...limits, maxPages: 3 }),
    /more than 3 pages/,
  );
  const pageBytes = data.readUInt16BE(16);
  // Interior pages: let the rightmost child be the page itself.
  for (let start = pageBytes; start < data.length; start += pageBytes)
    if (data[start] === 5) data.writeUInt32BE(start / pageBytes + 1, start + 8);
  assert.throws(
    () => [...new SqliteTable(memoryFile(data), undefined, limits).blobs('Packages')],
    /used twice/,
  );
  const chain = berkeleyDatabase([HEADERS[1] ?? Buffer.alloc(0)]);
  chain.writeUInt32LE(2, 2 * 4096 + 16);
  assert.throws(() => [...berkeleyBlobs(memoryFile(chain), 1e8)], /used twice/);
  assert.deepEqual([...ndbBlobs(memoryFile(ndbDatabase(HEADERS)), 10)], []);
});

test('an rpm header with offsets that lead nowhere has no values', () => {
  const header = Buffer.from(HEADERS[0] ?? '');
  for (let at = 8; at < 8 + 7 * 16; at += 16) header.writeUInt32BE(0xfffffff0, at + 8);
  const parsed = RpmHeader.parse(header);
  assert.deepEqual([parsed?.name, parsed?.version, [...(parsed?.files() ?? [])]], ['', '', []]);
  assert.equal(RpmHeader.parse(Buffer.alloc(4)), undefined);
  assert.equal(RpmHeader.parse(Buffer.alloc(1000, 0xff)), undefined);
});
