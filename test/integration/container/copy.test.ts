/** `cp` in both directions through the archive operations, `diff` and `export`; running and stopped containers. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { type IncomingMessage, request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { eventually } from '../command.ts';
import { TESTING_DOCKER } from '../engine.ts';
import { type Daemon, daemonWithBusybox } from '../harness.ts';

let daemon: Daemon;
let close: () => Promise<void>;
let folder: string;
before(async () => {
  ({ daemon, close } = await daemonWithBusybox());
  folder = mkdtempSync(join(tmpdir(), 'copy-'));
});
after(async () => {
  rmSync(folder, { recursive: true, force: true });
  await close();
});

interface Binary {
  status: number;
  stat: { name: string; size: number; mode: number; linkTarget: string } | undefined;
  body: Buffer;
  text: string;
}

async function exchange(method: string, path: string, body?: Buffer): Promise<Binary> {
  return await new Promise((resolve, reject) => {
    const headers = body === undefined ? {} : { 'content-type': 'application/x-tar' };
    const outgoing = request(
      { socketPath: daemon.socket, method, path, headers, timeout: 30_000 },
      (response) => {
        const parts: Buffer[] = [];
        response.on('data', (part: Buffer) => parts.push(part));
        response.once('error', reject);
        response.once('end', () => {
          const header = String(response.headers['x-docker-container-path-stat'] ?? '');
          const all = Buffer.concat(parts);
          resolve({
            status: response.statusCode ?? 0,
            stat: header === '' ? undefined : JSON.parse(Buffer.from(header, 'base64').toString()),
            body: all,
            text: all.subarray(0, 4096).toString('latin1'),
          });
        });
      },
    );
    outgoing.once('error', reject);
    outgoing.end(body);
  });
}

const archive = (container: string, path: string, more = ''): string =>
  `/containers/${container}/archive?path=${encodeURIComponent(path)}${more}`;

/** The names of a tar. */
function names(tar: Buffer): string[] {
  return execFileSync('tar', ['-tPf', '-'], { input: tar, encoding: 'utf8', maxBuffer: 1 << 28 })
    .trimEnd()
    .split('\n');
}

function tarOf(base: string, ...args: string[]): Buffer {
  return execFileSync('tar', ['-C', base, '-cPf', '-', ...args], { maxBuffer: 1 << 28 });
}

function makeTree(name: string, files: Record<string, string>): string {
  const base = join(folder, name);
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(join(base, path, '..'), { recursive: true });
    writeFileSync(join(base, path), text);
  }
  return base;
}

const PREPARE = [
  'mkdir -p /d/sub /vol',
  'echo one > /d/f',
  'ln /d/f /d/hard',
  'ln -s /etc /d/lk',
  'ln -s ../../../../nowhere /broken',
  'echo v > /vol/v',
  'chmod 4755 /d/f',
].join('; ');

for (const running of [true, false]) {
  const kind = running ? 'running' : 'stopped';
  const name = `src-${kind}`;
  test(`out of a ${kind} container: files, folders, links, volumes`, async () => {
    const line = running ? `${PREPARE}; touch /ready; sleep 1000` : PREPARE;
    await daemon.ok('run', '-d', '--name', name, '-v', '/vol', 'busybox', 'sh', '-c', line);
    if (!running) await daemon.ok('wait', name);
    else while ((await exchange('HEAD', archive(name, '/ready'))).status !== 200);
    const file = await exchange('GET', archive(name, '/d/f'));
    assert.equal(file.status, 200);
    assert.deepEqual(names(file.body), ['f']);
    assert.equal(file.stat?.name, 'f');
    assert.equal(file.stat?.size, 4);
    assert.equal(file.stat?.mode, 2 ** 23 + 0o755);
    const tree = await exchange('GET', archive(name, '/d'));
    assert.deepEqual(names(tree.body), ['d/', 'd/f', 'd/hard', 'd/lk', 'd/sub/']);
    assert.deepEqual(names((await exchange('GET', archive(name, '/d/.'))).body), [
      './',
      './f',
      './hard',
      './lk',
      './sub/',
    ]);
    const link = await exchange('HEAD', archive(name, '/d/lk'));
    assert.equal(link.stat?.linkTarget, '/etc');
    assert.equal(link.stat?.mode, 2 ** 27 + 0o777);
    assert.equal((await exchange('HEAD', archive(name, '/broken'))).stat?.linkTarget, '/nowhere');
    const followed = await exchange('HEAD', archive(name, '/d/lk/'));
    assert.equal(followed.stat?.mode, 2 ** 31 + 0o755);
    assert.deepEqual(names((await exchange('GET', archive(name, '/vol'))).body), ['vol/', 'vol/v']);
    const missing = await exchange('GET', archive(name, '/nope'));
    assert.equal(missing.status, 404);
    assert.match(missing.text, new RegExp(`Could not find the file /nope in container ${name}`));
  });

  test(`into a ${kind} container: contents, owners, links, volumes`, async () => {
    const base = makeTree(`in-${kind}`, { 'a/x': 'new', 'vol/w': 'in a volume' });
    symlinkSync('x', join(base, 'a/l'));
    chmodSync(join(base, 'a/x'), 0o640);
    const tar = tarOf(base, '--owner=11', '--group=12', 'a', 'vol');
    const put = await exchange('PUT', archive(name, '/'), tar);
    assert.equal(put.status, 200, put.text);
    const back = await exchange('GET', archive(name, '/a'));
    const listing = execFileSync('tar', ['--numeric-owner', '-tvf', '-'], {
      input: back.body,
      encoding: 'utf8',
    });
    assert.match(listing, /^-rw-r----- 11\/12 +3 .* a\/x$/m);
    assert.match(listing, /^lrwxrwxrwx .* a\/l -> x$/m);
    assert.match((await exchange('GET', archive(name, '/vol/w'))).text, /in a volume/);
    if (running) assert.equal(await daemon.ok('exec', name, 'cat', '/vol/w', '/a/l'), 'in a volumenew');
    else
      assert.equal(
        await daemon.ok('run', '--rm', '--volumes-from', name, 'busybox', 'cat', '/vol/w'),
        'in a volume',
      );
    const there = await exchange('PUT', archive(name, '/missing'), tar);
    assert.equal(there.status, 404);
    const noFolder = await exchange('PUT', archive(name, '/d/f'), tar);
    assert.equal(noFolder.status, 400);
    assert.match(noFolder.text, /extraction point is not a directory/);
  });
}

test('folders and files take each other’s place only where that is allowed', async () => {
  await daemon.ok('create', '--name', 'places', 'busybox', 'true');
  const first = makeTree('places1', { 'd/sub/file': '1', 'd/plain': '2' });
  assert.equal((await exchange('PUT', archive('places', '/'), tarOf(first, 'd'))).status, 200);
  const second = makeTree('places2', { 'd/sub': 'now a file' });
  const refused = await exchange(
    'PUT',
    archive('places', '/', '&noOverwriteDirNonDir=1'),
    tarOf(second, 'd/sub'),
  );
  assert.equal(refused.status, 400);
  assert.match(refused.text, /cannot overwrite directory .* with non-directory/);
  assert.equal((await exchange('PUT', archive('places', '/'), tarOf(second, 'd/sub'))).status, 200);
  assert.equal((await exchange('HEAD', archive('places', '/d/sub'))).stat?.size, 10);
  await daemon.ok('rm', 'places');
});

test('archives that are none, or cut, are refused', async () => {
  await daemon.ok('create', '--name', 'broken', 'busybox', 'true');
  assert.equal((await exchange('PUT', archive('broken', '/'), Buffer.alloc(2000, 'x'))).status, 400);
  const tar = tarOf(makeTree('cut', { big: 'y'.repeat(5000) }), 'big');
  assert.equal((await exchange('PUT', archive('broken', '/'), tar.subarray(0, 2000))).status, 400);
  assert.equal((await exchange('GET', '/containers/broken/archive')).status, 400);
  await daemon.ok('rm', 'broken');
});

test('hostile archives and containers do not reach the host', async () => {
  const outside = makeTree('outside', { victim: 'untouched' });
  const evil = join(folder, 'evil');
  mkdirSync(evil, { recursive: true });
  symlinkSync(outside, join(evil, 'link'));
  const link = tarOf(evil, 'link');
  rmSync(join(evil, 'link'));
  makeTree('evil', { 'link/victim': 'overwritten' });
  const through = tarOf(evil, 'link/victim');
  await daemon.ok(
    'run',
    '-d',
    '--name',
    'victim',
    'busybox',
    'sh',
    '-c',
    `mkdir /t; ln -s / /rootlink; ln -s ${outside} /away; sleep 1000`,
  );
  const both = Buffer.concat([link.subarray(0, 512), through]);
  const out = await exchange('PUT', archive('victim', '/tmp'), both);
  assert.equal(out.status, 400, out.text);
  for (const name of ['../../escape', '/../../escape', 'a/../../../escape']) {
    const base = makeTree('climb', { file: 'climbs' });
    await exchange('PUT', archive('victim', '/tmp'), tarOf(base, `--transform=s,^file$,${name},`, 'file'));
  }
  await exchange('PUT', archive('victim', '/away/'), through);
  assert.equal((await exchange('GET', archive('victim', '/away/victim'))).status, 404);
  assert.equal(readFileSync(join(outside, 'victim'), 'utf8'), 'untouched');
  assert.equal(existsSync('/escape'), false);
  await daemon.ok('exec', 'victim', 'ln', '-s', '/proc/sys/kernel', '/k');
  const proc = await exchange(
    'PUT',
    archive('victim', '/k/'),
    tarOf(makeTree('proc', { hostname: 'x' }), 'hostname'),
  );
  assert.equal(proc.status, 400);
  assert.match(proc.text, /lies on proc/);
  await daemon.ok('rm', '-f', 'victim');
});

test('read-only places are refused in the words of Docker', async () => {
  await daemon.ok(
    'create',
    '--name',
    'ro',
    '--read-only',
    '-v',
    'v1:/rov:ro',
    '-v',
    'v2:/rwv',
    'busybox',
    'true',
  );
  const tar = tarOf(makeTree('ro', { file: '1' }), 'file');
  const root = await exchange('PUT', archive('ro', '/'), tar);
  assert.equal(root.status, 403);
  assert.match(root.text, /container rootfs is marked read-only/);
  const volume = await exchange('PUT', archive('ro', '/rov'), tar);
  assert.equal(volume.status, 403);
  assert.match(volume.text, /mounted volume is marked read-only/);
  const written = await exchange('PUT', archive('ro', '/rwv'), tar);
  assert.equal(written.status, 200, written.text);
  await daemon.ok('rm', 'ro');
});

test('copyUIDGID gives the files to the configured user', async () => {
  await daemon.ok('create', '--name', 'owned', '-u', '123:456', 'busybox', 'true');
  const tar = tarOf(makeTree('owned', { file: '1' }), '--owner=7', '--group=8', 'file');
  assert.equal((await exchange('PUT', archive('owned', '/', '&copyUIDGID=true'), tar)).status, 200);
  const { body } = await exchange('GET', archive('owned', '/file'));
  const listing = execFileSync('tar', ['--numeric-owner', '-tvf', '-'], { input: body, encoding: 'utf8' });
  assert.match(listing, / 123\/456 /);
  await daemon.ok('rm', 'owned');
});

test('diff tells what is new, changed and gone', async () => {
  await daemon.ok(
    'run',
    '--name',
    'changed',
    'busybox',
    'sh',
    '-c',
    'mkdir /n; echo 1 > /n/f; rm /bin/true; echo 2 >> /etc/passwd; touch /gone; rm /gone',
  );
  const changes = (await daemon.api('GET', '/containers/changed/changes')).json<
    { Path: string; Kind: number }[]
  >();
  assert.deepEqual(
    changes.map(({ Path, Kind }) => `${'CAD'[Kind]} ${Path}`),
    ['C /bin', 'D /bin/true', 'C /etc', 'C /etc/passwd', 'A /n', 'A /n/f'],
  );
  await daemon.ok('rm', 'changed');
  await daemon.ok('create', '--name', 'fresh', 'busybox', 'true');
  assert.equal((await daemon.api('GET', '/containers/fresh/changes')).text.trim(), 'null');
  await daemon.ok('rm', 'fresh');
});

for (const running of [true, false]) {
  test(`export of a ${running ? 'running' : 'stopped'} container with many files`, async () => {
    const line = `mkdir /many; cd /many; for i in $(seq 3000); do echo $i > $i; done; touch /ready; ${running ? 'sleep 1000' : 'true'}`;
    await daemon.ok('run', '-d', '--name', 'many', '-v', '/vol', 'busybox', 'sh', '-c', line);
    if (!running) await daemon.ok('wait', 'many');
    else while ((await exchange('HEAD', archive('many', '/ready'))).status !== 200);
    const { body, status } = await exchange('GET', '/containers/many/export');
    assert.equal(status, 200);
    const all = names(body);
    assert.equal(all.filter((one) => one.startsWith('many/')).length, 3001);
    assert.ok(all.includes('bin/sh'));
    assert.equal(new Set(all).size, all.length);
    await daemon.ok('rm', '-f', 'many');
  });
}

test('a client that goes away in an export holds nothing, and rm ends what is under way', async () => {
  await daemon.ok(
    'run',
    '-d',
    '--name',
    'stall',
    'busybox',
    'sh',
    '-c',
    'dd if=/dev/zero of=/big bs=1M count=64; touch /ready; sleep 1000',
  );
  while ((await exchange('HEAD', archive('stall', '/ready'))).status !== 200);
  const stalled = request({ socketPath: daemon.socket, path: '/containers/stall/export' });
  stalled.on('error', () => undefined);
  stalled.end();
  const begun = await new Promise<IncomingMessage>((resolve) => stalled.once('response', resolve));
  begun.on('error', () => undefined);
  begun.pause();
  await daemon.ok('rm', '-f', 'stall');
  stalled.destroy();
});

test('what is copied into an --rm container before its run is written back; what its run writes is not', {
  skip: TESTING_DOCKER,
}, async () => {
  writeFileSync(join(folder, 'large'), Buffer.alloc(32 << 20));
  const id = await daemon.ok('create', '--rm', '--name', 'brief', 'busybox', 'sleep', '1000');
  await daemon.ok('cp', join(folder, 'large'), 'brief:/large');
  const options = (): string => {
    const mount = readFileSync('/proc/mounts', 'utf8')
      .split('\n')
      .find((line) => line.includes(`/containers/${id}/rootfs `));
    return mount?.split(' ')[3] ?? '';
  };
  const stalled = request({ socketPath: daemon.socket, path: '/containers/brief/export' });
  stalled.on('error', () => undefined);
  stalled.end();
  const [looked] = (await once(stalled, 'response')) as [IncomingMessage];
  looked.on('error', () => undefined);
  looked.pause();
  assert.match(options(), /upperdir=/);
  assert.doesNotMatch(options(), /volatile/);
  stalled.destroy();
  await eventually('nobody looks', () => options() === '');
  await daemon.ok('start', 'brief');
  assert.match(options(), /volatile/);
  await daemon.ok('rm', '-f', 'brief');
});

test('looking into a stopped container with volumes makes no devices in it', async () => {
  await daemon.ok('create', '--name', 'looked-into', '-v', '/data', 'busybox', 'true');
  await daemon.ok('cp', 'looked-into:/etc/passwd', join(folder, 'passwd-of-it'));
  assert.doesNotMatch(await daemon.ok('diff', 'looked-into'), /dev/);
  await daemon.ok('rm', '-v', 'looked-into');
});
