/** `load`: archives of Docker and Podman, compressed or not, broken ones, and what an interrupted load leaves. */
import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import { busyboxTar } from '../../fixtures/catalog.ts';
import { digestOf } from '../../fixtures/image.ts';
import { makeTar } from '../../fixtures/tar.ts';
import { eventually, run } from '../command.ts';
import { dockerPrograms } from '../engine.ts';
import { Daemon } from '../harness.ts';

let daemon: Daemon;
const folder = mkdtempSync(join(tmpdir(), 'load-'));
const file = (name: string): string => join(folder, name);
before(async () => {
  daemon = await Daemon.start();
});
after(async () => await daemon.close());

/** As `docker save` of Docker 20.10 writes it. */
async function dockerArchive(
  repoTags: readonly string[] | null,
  extra?: Buffer,
): Promise<{ id: string; archive: Buffer }> {
  const tars = [await busyboxTar(), ...(extra === undefined ? [] : [extra])];
  const config = Buffer.from(
    JSON.stringify({
      architecture: process.arch === 'arm64' ? 'arm64' : 'amd64',
      os: 'linux',
      config: { Cmd: ['echo', 'loaded'], Env: ['PATH=/bin'] },
      rootfs: { type: 'layers', diff_ids: tars.map((tar) => digestOf(tar)) },
      history: tars.map((_, i) => ({ created_by: `layer ${i}` })),
    }),
  );
  const id = digestOf(config);
  const name = `${id.slice(7)}.json`;
  const Layers = tars.map((tar) => `${digestOf(Buffer.concat([tar, config])).slice(7)}/layer.tar`);
  const archive = makeTar([
    ...tars.flatMap((data, i) => [
      { path: `${Layers[i]?.slice(0, 64)}/VERSION`, data: '1.0' },
      { path: `${Layers[i]?.slice(0, 64)}/layer.tar`, data },
    ]),
    { path: name, data: config },
    { path: 'manifest.json', data: JSON.stringify([{ Config: name, RepoTags: repoTags, Layers }]) },
  ]);
  return { id, archive };
}

/** Whatever a load might leave behind in the data root. */
function stored(): string[] {
  const below = (name: string): string[] =>
    existsSync(join(daemon.dataRoot, name))
      ? readdirSync(join(daemon.dataRoot, name), { recursive: true, encoding: 'utf8' })
      : [];
  return [...below('archives'), ...below('content/blobs/sha256'), ...below('layers')].sort();
}

test("Docker's archive from a file, stdin, gzip and zstd; the image runs", async () => {
  const { id, archive } = await dockerArchive(['loaded:1', 'loaded:2']);
  writeFileSync(file('plain.tar'), archive);
  assert.equal(
    await daemon.ok('load', '-i', file('plain.tar')),
    'Loaded image: loaded:1\nLoaded image: loaded:2',
  );
  assert.equal(await daemon.inspect('loaded:2', '{{.Id}}'), id);
  assert.equal(await daemon.ok('run', '--rm', '--network', 'none', 'loaded:1'), 'loaded');
  for (const bytes of [archive, gzipSync(archive), zstdCompressSync(archive)]) {
    await daemon.ok('rmi', '-f', id);
    const result = await daemon.mydock(['load', '-q'], { stdin: bytes });
    assert.equal(result.stdout, 'Loaded image: loaded:1\nLoaded image: loaded:2\n', result.stderr);
  }
  await daemon.ok('rmi', '-f', id);
});

test('an image without a name; a name that moves', async () => {
  const nameless = await dockerArchive(null);
  writeFileSync(file('nameless.tar'), nameless.archive);
  assert.equal(await daemon.ok('load', '-i', file('nameless.tar')), `Loaded image ID: ${nameless.id}`);
  await daemon.ok('tag', nameless.id, 'moves:1');
  const other = await dockerArchive(['moves:1'], makeTar([{ path: 'other', data: 'x' }]));
  writeFileSync(file('other.tar'), other.archive);
  assert.equal(
    await daemon.ok('load', '-i', file('other.tar')),
    `The image moves:1 already exists, renaming the old one with ID ${nameless.id} to empty string\nLoaded image: moves:1`,
  );
  assert.equal(await daemon.inspect('moves:1', '{{.Id}}'), other.id);
  await daemon.ok('rmi', '-f', nameless.id, other.id);
});

test('progress on a terminal; none where nobody looks; events', async () => {
  const { id, archive } = await dockerArchive(['shown:1']);
  writeFileSync(file('shown.tar'), archive);
  const since = String(Date.now() / 1000);
  const terminal = await daemon.mydock(['load', '-i', file('shown.tar')], { tty: true, size: [24, 100] });
  assert.match(terminal.stdout, /[0-9a-f]{12}: Loading layer/);
  assert.match(terminal.stdout, /Loaded image: shown:1/);
  const events = await daemon.ok(
    'events',
    '--since',
    since,
    '--until',
    String(Date.now() / 1000),
    '--format',
    '{{.Action}} {{.Actor.ID}}',
  );
  assert.equal(events, `load ${id}`);
  await daemon.ok('rmi', '-f', id);
});

test('broken archives: a clear word, exit code 1, and nothing stays', async () => {
  const { archive } = await dockerArchive(['broken:1']);
  const before = stored();
  const cases: [what: string, bytes: Buffer, message: RegExp][] = [
    ['cut', archive.subarray(0, archive.length - 5000), /unexpected end of archive/],
    ['cut gzip', gzipSync(archive).subarray(0, 50_000), /invalid gzip data: unexpected EOF/],
    ['no tar', Buffer.alloc(4096, 'x'), /invalid header checksum/],
    ['a file system', await busyboxTar(), /neither manifest.json nor index.json/],
    ['a way out', makeTar([{ path: '../../etc/cron.d/x', data: '* * * * *' }]), /leads out of the archive/],
    [
      'a link out',
      makeTar([{ path: 'manifest.json', type: 'symlink', target: '/etc/shadow' }]),
      /leads out of the archive/,
    ],
    ['nothing', Buffer.alloc(0), /image archive is empty/],
  ];
  for (const [what, bytes, message] of cases) {
    writeFileSync(file('broken.tar'), bytes);
    const result = await daemon.mydock(['load', '-i', file('broken.tar')]);
    assert.equal(result.code, 1, what);
    assert.match(result.stderr, message, what);
    assert.deepEqual(stored(), before, what);
  }
  await daemon.fails(1, /open \/none: no such file or directory/, 'load', '-i', '/none');
});

test('a client that goes away in the middle leaves nothing', async () => {
  const { archive } = await dockerArchive(['away:1']);
  const before = stored();
  const outgoing = request({ socketPath: daemon.socket, method: 'POST', path: '/images/load' });
  outgoing.on('error', () => {});
  outgoing.write(archive.subarray(0, archive.length >> 1));
  await eventually('the load has begun', () => readdirSync(join(daemon.dataRoot, 'archives')).length > 0);
  outgoing.destroy();
  await eventually('nothing is left', () => JSON.stringify(stored()) === JSON.stringify(before));
});

test('killed in the middle, the next daemon has nothing of it', async () => {
  const { archive } = await dockerArchive(['killed:1']);
  const before = stored();
  const outgoing = request({ socketPath: daemon.socket, method: 'POST', path: '/images/load' });
  outgoing.on('error', () => {});
  outgoing.write(archive.subarray(0, archive.length - 2000));
  await eventually('the load has begun', () => {
    const [load] = readdirSync(join(daemon.dataRoot, 'archives'));
    return load !== undefined && readdirSync(join(daemon.dataRoot, 'archives', load)).length > 0;
  });
  await daemon.stop('SIGKILL');
  outgoing.destroy();
  await daemon.launch();
  assert.deepEqual(stored(), before);
  writeFileSync(file('killed.tar'), archive);
  assert.equal(await daemon.ok('load', '-i', file('killed.tar')), 'Loaded image: killed:1');
  await daemon.ok('rmi', '-f', 'killed:1');
});

test('two loads of one archive at a time', async () => {
  const { id, archive } = await dockerArchive(['twice:1']);
  writeFileSync(file('twice.tar'), archive);
  const results = await Promise.all([1, 2, 3].map(() => daemon.ok('load', '-i', file('twice.tar'))));
  assert.deepEqual(results, ['Loaded image: twice:1', 'Loaded image: twice:1', 'Loaded image: twice:1']);
  assert.equal(await daemon.ok('run', '--rm', '--network', 'none', 'twice:1'), 'loaded');
  await daemon.ok('rmi', '-f', id);
  assert.equal(await daemon.ok('images', '-aq'), '');
});

const podman = '/usr/bin/podman';
test('what podman saves', { skip: existsSync(podman) ? false : 'podman is not installed' }, async () => {
  const { id, archive } = await dockerArchive(['localhost/podman:1']);
  writeFileSync(file('in.tar'), archive);
  const store = [
    '--root',
    file('podman'),
    '--runroot',
    '/run/podman-load',
    '--storage-driver',
    'vfs',
    '--events-backend',
    'none',
  ];
  const ok = async (...args: string[]): Promise<void> => {
    const result = await run([podman, ...store, ...args]);
    assert.equal(result.code, 0, result.stderr);
  };
  await ok('load', '-i', file('in.tar'));
  for (const format of ['docker-archive', 'oci-archive']) {
    await ok('save', '-o', file(`${format}.tar`), '--format', format, 'localhost/podman:1');
    assert.equal(await daemon.ok('load', '-i', file(`${format}.tar`)), 'Loaded image: localhost/podman:1');
    const loaded = await daemon.inspect('localhost/podman:1', '{{.Id}}');
    // Podman writes a configuration of its own into an OCI archive of a Docker image.
    if (format === 'docker-archive') assert.equal(loaded, id);
    assert.equal(await daemon.ok('run', '--rm', '--network', 'none', 'localhost/podman:1'), 'loaded');
    await daemon.ok('rmi', '-f', loaded);
  }
});

for (const program of dockerPrograms()) {
  test(`${program} load`, async () => {
    const { id, archive } = await dockerArchive(['docker:1']);
    writeFileSync(file('docker.tar'), archive);
    const loaded = await daemon.docker(program, ['load', '-i', file('docker.tar')]);
    assert.equal(loaded.code, 0, loaded.stderr);
    assert.match(loaded.stdout, /Loaded image: docker:1/);
    assert.equal(await daemon.inspect('docker:1', '{{.Id}}'), id);
    writeFileSync(file('docker.tar'), readFileSync(file('docker.tar')).subarray(0, 100_000));
    const broken = await daemon.docker(program, ['load', '-i', file('docker.tar')]);
    assert.equal(broken.code, 1);
    assert.match(broken.stderr, /unexpected end of archive/);
    await daemon.ok('rmi', '-f', id);
  });
}
