import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, beforeEach, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { openDatabase } from '../base/database.ts';
import { addon } from '../native/addon.ts';
import { DEFAULT_IMAGE, noSnapshotter } from './mount-fixture.ts';
import { collectMounts, createVolumes, describeMounts } from './mount-points.ts';
import { parseBind, parseMount } from './mount-spec.ts';
import { containerMounts, fillVolumes, prepareMounts, releaseMounts } from './run-mounts.ts';
import { VolumeStore } from './volume-store.ts';
import { VOLUME_MIGRATIONS } from './volume-table.ts';

const HOST = { selinux: false, exists: (path: string) => existsSync(path) };
const base = mkdtempSync(join(tmpdir(), 'mydock-volume-'));
let turn = 0;
let root = '';
let store: VolumeStore;

beforeEach(() => {
  root = join(base, String(turn++));
  mkdirSync(root);
  store = newStore();
});
after(() => rmSync(base, { recursive: true, force: true }));

function newStore(): VolumeStore {
  const database = openDatabase(join(root, 'db'), [VOLUME_MIGRATIONS]);
  return new VolumeStore({ database, root: join(root, 'volumes') });
}

test('volumes are made once, listed, used and removed', async () => {
  const made = store.create({ Name: 'data', Labels: { a: 'b' } });
  assert.deepEqual(store.create({ Name: 'data', Driver: 'local' }), made);
  assert.equal(made.Mountpoint, join(root, 'volumes/data/_data'));
  assert.deepEqual(made.Labels, { a: 'b' });
  const anonymous = store.create({}, 'c1');
  assert.match(anonymous.Name, /^[0-9a-f]{64}$/);
  assert.ok(store.isAnonymous(anonymous.Name) && !store.isAnonymous('data'));
  assert.deepEqual(store.volumesOf('c1'), [anonymous.Name]);
  store.addReference('data', 'c1');
  await assert.rejects(store.remove('data'), {
    kind: 'Conflict',
    message: 'remove data: volume is in use - [c1]',
  });
  store.releaseReferences('c1');
  await store.remove('data');
  assert.ok(!existsSync(join(root, 'volumes/data')));
  assert.throws(() => store.get('data'), { kind: 'NotFound', message: 'get data: no such volume' });
  await assert.rejects(store.remove('data'), { kind: 'NotFound' });
  await store.remove('data', true);
  assert.deepEqual(
    newStore()
      .list()
      .map(({ Name }) => Name),
    [anonymous.Name],
  );
});

test('names and drivers that cannot be are refused', () => {
  assert.throws(() => store.create({ Name: 'x/y' }), {
    kind: 'InvalidParameter',
    message:
      'create x/y: "x/y" includes invalid characters for a local volume name, only "[a-zA-Z0-9][a-zA-Z0-9_.-]" are allowed. If you intended to pass a host directory, use absolute path',
  });
  for (const name of ['.', '..', '../x', '-a', 'a b', 'x\n', 'a'.repeat(256), 'x']) {
    assert.throws(() => store.create({ Name: name }), { kind: 'InvalidParameter' }, name);
  }
  assert.throws(() => store.create({ Name: 'ab', Driver: 'nfs' }), {
    kind: 'NotFound',
    message: 'create ab: error looking up volume plugin nfs: plugin "nfs" not found',
  });
  assert.throws(() => store.create({ Name: 'ab', DriverOpts: { o: 'bind' } }), {
    kind: 'InvalidParameter',
    message: 'create ab: missing required option: "device"',
  });
  assert.deepEqual(readdirSync(join(root, 'volumes')), []);
});

/** A root file system with one of everything below /data, and traps around it. */
function makeRootfs(): string {
  const rootfs = join(root, 'rootfs');
  const data = join(rootfs, 'real/data');
  mkdirSync(join(data, 'sub'), { recursive: true });
  symlinkSync('/real/data', join(rootfs, 'data'));
  symlinkSync(root, join(rootfs, 'trap'));
  symlinkSync('/proc/self/root', join(rootfs, 'magic'));
  writeFileSync(join(data, 'file'), 'content');
  linkSync(join(data, 'file'), join(data, 'sub/hard'));
  symlinkSync('/etc/passwd', join(data, 'link'));
  execFileSync('mkfifo', [join(data, 'fifo')]);
  addon().mknod(join(data, 'null'), 0o020000, 1, 3);
  chownSync(join(data, 'file'), 12, 34);
  chmodSync(join(data, 'file'), 0o4751);
  chmodSync(join(data, 'sub'), 0o2770);
  chownSync(join(data, 'sub'), 5, 6);
  chmodSync(data, 0o1777);
  chownSync(data, 7, 8);
  writeFileSync(join(data, 'sparse'), 'start');
  truncateSync(join(data, 'sparse'), 64 << 20);
  addon().setXattr(join(data, 'file'), 'trusted.mine', Buffer.from([0, 255, 1]));
  addon().setTimes(join(data, 'file'), 1_000_000_000, 123_456_789);
  addon().setTimes(join(data, 'link'), -5, 1);
  return rootfs;
}

test('an empty volume takes over the content of the image with all attributes', async () => {
  const rootfs = makeRootfs();
  store.create({ Name: 'vol' });
  const both = await Promise.all([
    store.copyUp('vol', rootfs, '/data'),
    store.copyUp('vol', rootfs, '/data'),
  ]);
  assert.deepEqual(both, [true, false]);
  const target = store.path('vol');
  const stat = lstatSync(target);
  assert.deepEqual([stat.uid, stat.gid, stat.mode & 0o7777], [7, 8, 0o1777]);
  const file = lstatSync(join(target, 'file'), { bigint: true });
  assert.deepEqual([file.uid, file.gid, file.mode & 0o7777n], [12n, 34n, 0o4751n]);
  assert.equal(file.mtimeNs, 1_000_000_000_123_456_789n);
  assert.equal(file.ino, lstatSync(join(target, 'sub/hard'), { bigint: true }).ino);
  assert.deepEqual(addon().listXattrs(join(target, 'file')), [
    { name: 'trusted.mine', value: Buffer.from([0, 255, 1]) },
  ]);
  assert.equal(readlinkSync(join(target, 'link')), '/etc/passwd');
  assert.equal(lstatSync(join(target, 'link'), { bigint: true }).mtimeNs, -4_999_999_999n);
  assert.ok(lstatSync(join(target, 'fifo')).isFIFO());
  assert.equal(lstatSync(join(target, 'null')).rdev, lstatSync('/dev/null').rdev);
  const sparse = lstatSync(join(target, 'sparse'));
  assert.equal(sparse.size, 64 << 20);
  assert.ok(sparse.blocks * 512 < 1 << 20, `${sparse.blocks} blocks of a file with a hole`);
  assert.equal(lstatSync(join(target, 'sub')).mode & 0o7777, 0o2770);
  assert.equal(await store.copyUp('vol', rootfs, '/data'), false);
});

test('copy-up never leaves the root, and finds nothing where there is no folder', async () => {
  const rootfs = makeRootfs();
  writeFileSync(join(root, 'secret'), 'host');
  for (const path of ['/trap', '/magic/etc', '/../../..', '/real/data/file', '/none']) {
    store.create({ Name: 'vol2' });
    await store.copyUp('vol2', rootfs, path).catch(() => false);
    const names = readdirSync(store.path('vol2'));
    assert.ok(!names.includes('secret') && !names.includes('passwd'), `${path}: ${names}`);
    await store.remove('vol2');
  }
});

test('a crash in a filling or a removal is cleaned up, data is not', async () => {
  for (const name of ['half', 'full', 'going']) store.create({ Name: name });
  writeFileSync(join(store.path('half'), 'x'), '');
  writeFileSync(join(root, 'volumes/half/filling'), '');
  writeFileSync(join(store.path('full'), 'x'), '');
  execFileSync('mv', [join(root, 'volumes/going'), join(root, 'volumes/.tmp-remove-going')]);
  mkdirSync(join(root, 'volumes/stray/_data'), { recursive: true });
  mkdirSync(join(root, 'volumes/lost/_data'), { recursive: true });
  writeFileSync(join(root, 'volumes/lost/_data/precious'), '');
  await newStore().sweep();
  assert.deepEqual(readdirSync(join(root, 'volumes')).sort(), ['full', 'half', 'lost']);
  assert.deepEqual(readdirSync(store.path('half')), []);
  assert.deepEqual(readdirSync(store.path('full')), ['x']);
  const rootfs = makeRootfs();
  const next = newStore();
  assert.ok(next.isUnfilled('half') && !next.isUnfilled('full'));
  assert.equal(await next.copyUp('half', rootfs, '/data'), true);
  assert.ok(!next.isUnfilled('half'));
  assert.deepEqual(
    store.list().map(({ Name }) => Name),
    ['full', 'half'],
  );
});

test('what cannot be removed of a volume keeps no daemon from starting', {
  timeout: 60_000,
}, async (context) => {
  const going = join(root, 'volumes/.tmp-remove-stuck');
  const file = join(going, '_data/file');
  mkdirSync(join(going, '_data'), { recursive: true });
  writeFileSync(file, '');
  store.create({ Name: 'other' });
  writeFileSync(join(root, 'volumes/other/filling'), '');
  writeFileSync(join(store.path('other'), 'half'), '');
  if (spawnSync('chattr', ['+i', file]).status !== 0) return context.skip('no immutable files here');
  try {
    await newStore().sweep();
    assert.ok(existsSync(file));
    assert.deepEqual(readdirSync(store.path('other')), [], 'the others are in order');
  } finally {
    spawnSync('chattr', ['-i', file]);
  }
  while (existsSync(going)) await sleep(20);
});

test('what another container has written stays where a filling was cut short', async () => {
  store.create({ Name: 'cut' }, 'c1');
  store.addReference('cut', 'c2');
  writeFileSync(join(store.path('cut'), 'of c1'), '');
  writeFileSync(join(root, 'volumes/cut/filling'), '');
  await newStore().sweep();
  assert.deepEqual(readdirSync(store.path('cut')), ['of c1']);
});

test('volumes of every name can be removed, and made again meanwhile', async () => {
  const longest = 'a'.repeat(255);
  for (const name of [longest, 'twice']) store.create({ Name: name });
  await store.remove(longest);
  for (let file = 0; file < 600; file++) writeFileSync(join(store.path('twice'), String(file)), '');
  const first = store.remove('twice');
  store.create({ Name: 'twice' });
  writeFileSync(join(store.path('twice'), 'file'), '');
  await Promise.all([first, store.remove('twice')]);
  assert.deepEqual(readdirSync(join(root, 'volumes')), []);
});

test('-v strings are read as Docker reads them', () => {
  const read = (raw: string) => {
    const { type, source, destination, readOnly, propagation, copyUp } = parseBind(raw, HOST);
    return { type, source, destination, readOnly, propagation, copyUp };
  };
  const volume = { type: 'volume', readOnly: false, propagation: '', copyUp: true };
  assert.deepEqual(read('/x'), { ...volume, source: '', destination: '/x' });
  assert.deepEqual(read('name:/x/./y/'), { ...volume, source: 'name', destination: '/x/y' });
  assert.deepEqual(read('name:/x:ro,nocopy'), {
    ...volume,
    source: 'name',
    destination: '/x',
    readOnly: true,
    copyUp: false,
  });
  assert.deepEqual(read('/h/..//i/:/x:ro,rslave,z'), {
    type: 'bind',
    source: '/i',
    destination: '/x',
    readOnly: true,
    propagation: 'rslave',
    copyUp: false,
  });
  const wrong: [string, RegExp][] = [
    ['', /^invalid volume specification: ''$/],
    ['/x:ro', /^invalid volume specification: '\/x:ro'$/],
    ['a:/b:ro:x', /^invalid volume specification/],
    ['a:/b:odd', /^invalid mode: odd$/],
    ['a:/b:ro,rw', /^invalid mode: ro,rw$/],
    ['a:b', /invalid mount config for type "volume": invalid mount path: 'b' mount path must be absolute/],
    ['a:/', /destination can't be '\/'/],
    ['a:/x:rshared', /field BindOptions must not be specified/],
  ];
  for (const [raw, message] of wrong)
    assert.throws(() => parseBind(raw, HOST), { kind: 'InvalidParameter', message }, raw);
  assert.throws(() => parseBind('/a:/b:Z', { ...HOST, selinux: true }), { kind: 'NotImplemented' });
});

test('--mount objects are read as Docker reads them', () => {
  const wrong: [Parameters<typeof parseMount>[0], RegExp][] = [
    [
      { Type: 'bind', Source: '/nonexistent/x', Target: '/x' },
      /^invalid mount config for type "bind": bind source path does not exist: \/nonexistent\/x$/,
    ],
    [{ Type: 'bind', Source: '', Target: '/x' }, /field Source must not be empty/],
    [{ Type: 'volume', Target: '' }, /field Target must not be empty/],
    [{ Type: 'volume', Target: '/x\0y' }, /cannot hold a NUL byte/],
    [
      { Type: 'volume', Target: '/x', ReadOnly: true },
      /must not set ReadOnly mode when using anonymous volumes/,
    ],
    [
      { Type: 'volume', Source: 'v', Target: '/x', VolumeOptions: { Subpath: '../x' } },
      /subpath must be a relative path/,
    ],
    [{ Type: 'tmpfs', Source: 'a', Target: '/x' }, /field Source must not be specified/],
    [{ Type: 'npipe', Target: '/x' }, /mount type unknown/],
    [
      { Target: '/x' } as Parameters<typeof parseMount>[0],
      /^invalid mount config for type "": mount type unknown/,
    ],
    [{ Type: 'image', Target: '/x' }, /field Source must not be empty/],
    [
      { Type: 'image', Source: 'x', Target: '/x', BindOptions: {} },
      /field BindOptions must not be specified/,
    ],
    [{ Type: 'image', Source: 'x', Target: '/x', ImageOptions: { Subpath: '..' } }, /relative path/],
  ];
  for (const [request, message] of wrong)
    assert.throws(() => parseMount(request, HOST), { kind: 'InvalidParameter', message });
  const tmpfs = parseMount(
    { Type: 'tmpfs', Target: '/t', TmpfsOptions: { SizeBytes: 4096, Mode: 0o1770, Options: [['exec']] } },
    HOST,
  );
  assert.equal(tmpfs.tmpfsOptions, 'mode=1770,size=4096,exec');
  const image = parseMount(
    { Type: 'image', Source: 'x', Target: '/x', ImageOptions: { Subpath: 'a/b' } },
    HOST,
  );
  assert.deepEqual([image.type, image.source, image.readOnly, image.subpath], ['image', 'x', true, 'a/b']);
});

test('the mounts of a container come together in order', async () => {
  const rootfs = makeRootfs();
  const made = join(root, 'made/by/v');
  const request = {
    config: { Volumes: { '/image/volume': {}, '/data': {}, '/t': {} } },
    hostConfig: {
      Binds: [`${made}:/bind:ro`, 'named:/data'],
      Mounts: [{ Type: 'tmpfs' as const, Target: '/scratch' }],
      Tmpfs: { '/t': 'size=1m' },
      VolumesFrom: ['other:ro'],
    },
    mountPointsOf: () => createVolumes([parseBind('shared:/data/from', HOST)], store, 'other'),
    imageOf: () => DEFAULT_IMAGE,
    host: HOST,
  };
  const mounts = createVolumes(collectMounts(request), store, 'c1');
  assert.deepEqual(
    mounts.map(({ destination }) => destination),
    ['/bind', '/data', '/scratch', '/t', '/data/from', '/image/volume'],
  );
  const sources = { volumes: store, snapshotter: noSnapshotter };
  const run = { user: 'c1', bundle: join(root, 'bundle') };
  await fillVolumes(mounts, store, { user: 'c1', rootfs });
  await prepareMounts(mounts, sources, { ...run, rootfs });
  assert.ok(lstatSync(made).isDirectory());
  assert.equal(readFileSync(join(store.path('named'), 'file'), 'utf8'), 'content');
  assert.deepEqual(store.references('shared'), ['c1', 'other']);
  const { mounts: oci, release } = containerMounts(mounts, run.bundle, store);
  release();
  await releaseMounts(mounts, sources, run);
  assert.deepEqual(
    oci.map((one) =>
      one.type === 'bind' ? [one.destination, one.source, one.readOnly] : [one.destination, one.options],
    ),
    [
      ['/bind', made, true],
      ['/data', store.path('named'), false],
      ['/scratch', ''],
      ['/t', 'size=1m'],
      ['/data/from', store.path('shared'), true],
      ['/image/volume', store.path(mounts[5]?.name ?? ''), false],
    ],
  );
  assert.deepEqual(describeMounts(mounts, request.hostConfig, store)[1], {
    Type: 'volume',
    Name: 'named',
    Source: store.path('named'),
    Destination: '/data',
    Driver: 'local',
    Mode: 'z',
    RW: true,
    Propagation: '',
  });
  const twice = { ...request, hostConfig: { Binds: ['a1:/x', 'b1:/x/'] } };
  assert.throws(() => collectMounts(twice), { message: 'Duplicate mount point: /x' });
  assert.throws(() => collectMounts({ ...request, hostConfig: { Binds: ['a1:/x'], Tmpfs: { '/x': '' } } }), {
    message: 'Duplicate mount point: /x',
  });
});

test("mounts of volumes are found in this data root, whichever a container's record was written in", () => {
  const [mount] = createVolumes([parseBind('moved:/x', HOST)], store, 'c');
  assert.ok(mount !== undefined);
  const elsewhere = [{ ...mount, source: '/another/data-root/volumes/moved/_data' }];
  const { mounts, release } = containerMounts(elsewhere, root, store);
  release();
  assert.deepEqual(
    mounts.map((one) => one.type === 'bind' && one.source),
    [store.path('moved')],
  );
  assert.equal(describeMounts(elsewhere, {}, store)[0]?.Source, store.path('moved'));
});

test('a part of a volume is pinned inside it', () => {
  const volume = store.create({ Name: 'parts' });
  mkdirSync(join(volume.Mountpoint, 'a'));
  symlinkSync('/etc', join(volume.Mountpoint, 'out'));
  const spec = (Subpath: string) =>
    createVolumes(
      [parseMount({ Type: 'volume', Source: 'parts', Target: '/x', VolumeOptions: { Subpath } }, HOST)],
      store,
      'c',
    );
  const { mounts, release } = containerMounts(spec('a'), root, store);
  const [mount] = mounts;
  assert.ok(mount?.type === 'bind');
  writeFileSync(join(volume.Mountpoint, 'a/file'), 'inside');
  rmSync(join(volume.Mountpoint, 'a'), { recursive: true });
  symlinkSync('/etc', join(volume.Mountpoint, 'a'));
  assert.deepEqual(readdirSync(mount.source), []);
  release();
  assert.ok(!existsSync(mount.source));
  assert.throws(
    () => containerMounts(spec('out'), root, store),
    /cannot access subpath "out" of volume parts/,
  );
});
