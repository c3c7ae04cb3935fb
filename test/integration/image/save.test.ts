/** `save`: what the archive is to others, and that a round trip keeps every digest. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdtempSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { busyboxLayer } from '../../fixtures/catalog.ts';
import { makeImage, makeIndex, makeLayer, OTHER_PLATFORM } from '../../fixtures/image.ts';
import { makeTar } from '../../fixtures/tar.ts';
import { eventually, run } from '../command.ts';
import { dockerPrograms } from '../engine.ts';
import { type Daemon, daemonWithRegistry } from '../harness.ts';

let daemon: Daemon;
let close: () => Promise<void>;
let pulled = '';
const folder = mkdtempSync(join(tmpdir(), 'save-'));
const file = (name: string): string => join(folder, name);

before(async () => {
  const bench = await daemonWithRegistry();
  ({ daemon, close } = bench);
  const layer = makeLayer(makeTar([{ path: 'content', data: 'pulled\n' }]), 'gzip');
  const layers = [await busyboxLayer(), layer];
  const mine = makeImage({ layers, format: 'oci', config: { Cmd: ['cat', '/content'] } });
  const other = makeImage({ layers: [layer], format: 'oci', platform: OTHER_PLATFORM });
  pulled = await bench.registry.push('team/many', '1', makeIndex([other, mine], 'oci'));
  await daemon.ok('pull', '-q', pulled);
  writeFileSync(file('Dockerfile'), `FROM ${pulled}\nRUN echo built > /content\n`);
  await daemon.ok('build', '-q', '-t', 'built:1', folder);
});
after(async () => await close());

function names(archive: string): string[] {
  return spawnSync('tar', ['tf', archive], { encoding: 'utf8' }).stdout.trim().split('\n');
}

function entry(archive: string, name: string): Buffer {
  return spawnSync('tar', ['xOf', archive, name], { maxBuffer: 1 << 28 }).stdout;
}

async function removeImages(): Promise<void> {
  for (const id of (await daemon.ok('images', '-aq')).split('\n')) await daemon.mydock(['rmi', '-f', id]);
  assert.equal(await daemon.ok('images', '-aq'), '');
}

test('blobs are what their names say; one archive for both layouts; a repository means all its tags', async () => {
  await daemon.ok('tag', 'built:1', 'built:2');
  await daemon.ok('save', '-o', file('all.tar'), 'built', pulled);
  const blobs = names(file('all.tar')).filter((name) => /^blobs\/sha256\/./.test(name));
  for (const name of blobs) {
    const digest = createHash('sha256')
      .update(entry(file('all.tar'), name))
      .digest('hex');
    assert.equal(name, `blobs/sha256/${digest}`);
  }
  const manifest = JSON.parse(entry(file('all.tar'), 'manifest.json').toString()) as { RepoTags: string[] }[];
  assert.deepEqual(
    manifest.flatMap(({ RepoTags }) => RepoTags).sort(),
    [pulled, 'built:1', 'built:2'].sort(),
  );
  const index = JSON.parse(entry(file('all.tar'), 'index.json').toString()) as { manifests: object[] };
  assert.equal(index.manifests.length, 3);
});

test('removed and loaded again, everything has the digests that it had, and the archive the same bytes', async () => {
  await daemon.ok('save', '-o', file('first.tar'), 'built:1', pulled);
  const shown = await daemon.inspect(pulled, '{{.RepoTags}} {{.RepoDigests}} {{.Id}}');
  assert.match(shown, /team\/many@sha256:.* sha256:/);
  await removeImages();
  assert.equal(
    await daemon.ok('load', '-i', file('first.tar')),
    [`Loaded image: ${pulled}`, 'Loaded image: built:1'].join('\n'),
  );
  assert.equal(await daemon.inspect(pulled, '{{.RepoTags}} {{.RepoDigests}} {{.Id}}'), shown);
  assert.equal(await daemon.ok('run', '--rm', '--network', 'none', 'built:1', 'cat', '/content'), 'built');
  await daemon.ok('save', '-o', file('second.tar'), pulled, 'built:1');
  assert.ok(readFileSync(file('first.tar')).equals(readFileSync(file('second.tar'))));
});

test('what is wrong is said before anything is written', async () => {
  await daemon.fails(1, /No such image: none:latest/, 'save', '-o', file('none.tar'), 'built:1', 'none');
  await daemon.fails(
    1,
    /does not provide the specified platform \(linux\/s390x\)/,
    'save',
    '--platform',
    'linux/s390x',
    '-o',
    file('none.tar'),
    'built:1',
  );
  await daemon.fails(1, /invalid output path/, 'save', '-o', '/none/none.tar', 'built:1');
  await daemon.fails(
    1,
    /invalid platform: "x"/,
    'save',
    '--platform',
    'x',
    '-o',
    file('none.tar'),
    'built:1',
  );
  assert.deepEqual(
    readdirSync(folder).filter((name) => name.startsWith('none')),
    [],
  );
  const terminal = await daemon.mydock(['save', 'built:1'], { tty: true });
  assert.match(terminal.stdout, /cowardly refusing to save to a terminal/);
  assert.equal((await daemon.api('GET', '/images/get')).status, 400);
  assert.equal((await daemon.api('GET', '/images/none/get')).status, 404);
});

test('a client that reads nothing holds nobody up; what it is sent stays until it has it', async () => {
  const reference = 'slow:1';
  const big = makeTar([{ path: 'big', data: Buffer.alloc(24 << 20, 'slow ') }]);
  writeFileSync(file('big.tar'), big);
  await daemon.ok('import', file('big.tar'), reference);
  const received: Buffer[] = [];
  const done = new Promise<void>((resolve, reject) => {
    const outgoing = request({ socketPath: daemon.socket, path: '/images/slow:1/get' }, (answer) => {
      void (async () => {
        answer.pause();
        await daemon.ok('rmi', '-f', reference);
        assert.equal((await daemon.api('GET', `/images/${reference}/json`)).status, 404);
        answer.on('data', (chunk: Buffer) => received.push(chunk)).once('end', resolve);
        answer.resume();
      })().catch(reject);
    });
    outgoing.once('error', reject).end();
  });
  await done;
  writeFileSync(file('slow.tar'), Buffer.concat(received));
  assert.equal(await daemon.ok('load', '-i', file('slow.tar')), 'Loaded image: slow:1');
  await daemon.ok('rmi', reference);
});

test('given up half-way, nothing is held any more', async () => {
  writeFileSync(file('big.tar'), makeTar([{ path: 'big', data: Buffer.alloc(24 << 20, 'gone ') }]));
  await daemon.ok('import', file('big.tar'), 'gone:1');
  await new Promise<void>((resolve, reject) => {
    const outgoing = request({ socketPath: daemon.socket, path: '/images/gone:1/get' }, (answer) => {
      answer.once('data', () => answer.destroy());
      answer.once('close', resolve).on('error', () => {});
    });
    outgoing.once('error', reject).end();
  });
  const diffId = await daemon.inspect('gone:1', '{{index .RootFS.Layers 0}}');
  const hex = diffId.replace('sha256:', '');
  const layers = (): string[] =>
    readdirSync(join(daemon.dataRoot, 'layers'), { recursive: true, encoding: 'utf8' }).filter((path) =>
      path.endsWith(hex),
    );
  assert.equal(layers().length, 1);
  await daemon.ok('rmi', 'gone:1');
  await eventually('the layer is gone', () => layers().length === 0);
});

const podman = '/usr/bin/podman';
test('podman loads it, from either half', {
  skip: existsSync(podman) ? false : 'podman is not installed',
}, async () => {
  const id = (await daemon.inspect('built:1', '{{.Id}}')).replace('sha256:', '');
  await daemon.ok('save', '-o', file('podman.tar'), 'built:1');
  const store = [
    '--root',
    file('podman'),
    '--runroot',
    '/run/podman-save',
    '--storage-driver',
    'vfs',
    '--events-backend',
    'none',
  ];
  for (const transport of ['oci-archive', 'docker-archive']) {
    const result = await run([podman, ...store, 'pull', '-q', `${transport}:${file('podman.tar')}`]);
    assert.equal(result.stdout.trim(), id, result.stderr);
    assert.equal((await run([podman, ...store, 'rmi', '-f', id])).code, 0);
  }
});

for (const program of dockerPrograms()) {
  test(`${program} save`, async () => {
    const result = await daemon.docker(program, ['save', '-o', file('docker.tar'), 'built:1']);
    assert.equal(result.code, 0, result.stderr);
    await daemon.ok('save', '-o', file('ours.tar'), 'built:1');
    assert.ok(readFileSync(file('docker.tar')).equals(readFileSync(file('ours.tar'))));
  });
}
