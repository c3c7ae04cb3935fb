/**
 * Attacks by who makes an image or answers as a registry: users that wrap around, groups and capabilities that are left
 * over, volumes that climb, labels that a runtime would obey, manifests that are two things, bombs.
 */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { busyboxLayer } from '../../fixtures/catalog.ts';
import type { Gateway } from '../../fixtures/gateway.ts';
import { blob, type Layer, makeImage } from '../../fixtures/image.ts';
import { makeTar, type TarEntry } from '../../fixtures/tar.ts';
import { eventually, run } from '../command.ts';
import type { Daemon } from '../harness.ts';
import { SECRET, sendBytes, type Victim } from './attack.ts';
import { AttackedDaemon } from './attacked-daemon.ts';

let daemon: Daemon;
let gateway: Gateway;
let victim: Victim;

let attacked: AttackedDaemon;

before(async () => {
  attacked = await AttackedDaemon.start();
  ({ daemon, gateway, victim } = attacked);
});
after(async () => await attacked.close());

const runs = (...args: string[]) => daemon.mydock(['run', '--rm', '--network', 'none', ...args]);

test('numbers of users and groups that would wrap around to root', async () => {
  const huge = '9'.repeat(400);
  const numbers = ['2147483648', '4294967295', '4294967296', '18446744073709551616', huge];
  const accounts = numbers.map((id, index) => `big${index}:x:${id}:${id}::/:/bin/sh\n`).join('');
  const groups = numbers.map((id, index) => `group${index}:x:${id}:\n`).join('');
  await attacked.image('wrapping', [
    { path: 'etc/passwd', data: accounts },
    { path: 'etc/group', data: groups },
  ]);
  for (const [index, id] of numbers.entries()) {
    for (const user of [id, `1:${id}`, `big${index}`, `1:group${index}`]) {
      const { code, stdout } = await runs('-u', user, 'wrapping', 'id');
      assert.equal(stdout, '', `${user}: ${stdout}`);
      assert.notEqual(code, 0, user);
    }
  }
  await attacked.image('wrapping-user', [], { User: '4294967296' });
  assert.equal((await runs('wrapping-user', 'id')).stdout, '');
});

test('groups and capabilities of a process are what its user has, in runs, execs and steps of builds', async () => {
  const status = 'grep -E "^(Groups|CapInh|CapAmb):" /proc/self/status | tr -s " \\t" " "';
  await attacked.image('grouped', [
    { path: 'etc/passwd', data: 'root:x:0:0::/:/bin/sh\nweb:x:1000:1000::/:/bin/sh\n' },
    { path: 'etc/group', data: 'root:x:0:root\nwheel:x:10:root\nweb:x:1000:\nmore:x:1001:web\n' },
  ]);
  const none = 'CapInh: 0000000000000000\nCapAmb: 0000000000000000\n';
  const groupsOf: [user: string, groups: string][] = [
    ['1000:1000', 'Groups: 1000 '],
    ['web', 'Groups: 1000 1001 '],
    ['7', 'Groups: 0 '],
  ];
  await daemon.ok('run', '-d', '--name', 'host', '--network', 'none', 'grouped', 'sleep', '1000');
  for (const [user, groups] of groupsOf) {
    const expected = `${groups}\n${none}`.replaceAll(' \n', '\n');
    const shown = await runs('-u', user, 'grouped', 'sh', '-c', status);
    assert.equal(shown.stdout.replaceAll(' \n', '\n'), expected, `run as ${user}: ${shown.stderr}`);
    const inside = await daemon.ok('exec', '-u', user, 'host', 'sh', '-c', status);
    assert.equal(`${inside.replaceAll(' \n', '\n')}\n`, expected, `exec as ${user}`);
  }
  await daemon.ok('rm', '-f', 'host');
  const dockerfile = `FROM grouped\nUSER web\nRUN ${status}\n`;
  const built = await sendBytes(
    daemon,
    'POST',
    '/build?networkmode=none',
    makeTar([{ path: 'Dockerfile', data: dockerfile }]),
  );
  assert.match(built.text, /Groups: 1000 1001 ?\\n.*CapInh: 0000000000000000\\n.*CapAmb: 0000000000000000/s);
});

test('volumes of an image that climb or lie behind links show nothing of the host', async () => {
  const climb = `${'/..'.repeat(20)}${victim.path}`;
  const links: TarEntry[] = [
    { path: 'data', type: 'symlink', target: victim.path },
    { path: 'up', type: 'symlink', target: `${'../'.repeat(20)}${victim.path.slice(1)}` },
  ];
  for (const path of [climb, victim.path, '/data', '/up']) {
    await attacked.image('voluminous', links, { Volumes: { [path]: {} } });
    const script = `ls -R ${victim.path} /data/ /up/; cat ${victim.path}/* /data/* /up/*; touch ${victim.path}/new; echo ran`;
    const { stdout, stderr } = await runs('voluminous', 'sh', '-c', script);
    // One that did not start would show nothing either.
    assert.match(stdout, /ran\n$/, `${path}: ${stderr}`);
    assert.doesNotMatch(stdout, new RegExp(`${SECRET}|secret|below`), path);
    victim.untouched(path);
  }
  await attacked.image('voluminous', [], { Volumes: { '/proc/self/root': {} } });
  const { stdout } = await runs('voluminous', 'cat', `${victim.path}/secret`);
  assert.equal(stdout, '', 'over /proc');
});

test('top runs no program of the image (CVE-2022-1227)', async () => {
  const program = '#!/bin/sh\necho ran > /ran\necho PID COMMAND\necho 1 planted\n';
  const planted = ['bin/ps', 'usr/bin/ps', 'sbin/ps'].map((path) => ({ path, data: program, mode: 0o755 }));
  await attacked.image('planted', planted, { Env: ['PATH=/bin:/usr/bin:/sbin'] });
  await daemon.ok('run', '-d', '--name', 'planted', '--network', 'none', 'planted', 'sleep', '1000');
  assert.match(await daemon.ok('exec', 'planted', 'ps'), /planted/, 'the image does have such a program');
  await daemon.ok('exec', 'planted', 'rm', '/ran');
  for (const args of [[], ['-o', 'pid,args']]) {
    const said = await daemon.ok('top', 'planted', ...args);
    assert.match(said, /sleep 1000/);
    assert.doesNotMatch(said, /planted/);
  }
  assert.equal((await daemon.mydock(['exec', 'planted', 'test', '-e', '/ran'])).code, 1);
  await daemon.ok('rm', '-f', 'planted');
});

test('health checks run where the container runs, with no more than it has', async () => {
  const script = `(echo out > ${victim.path}/new) 2>/dev/null; id -u; grep -E "^(CapEff|Seccomp):" /proc/self/status
    for space in cgroup ipc mnt net pid uts; do readlink /proc/self/ns/$space; done`;
  const Healthcheck = { Test: ['CMD-SHELL', script], Interval: 200_000_000 };
  await attacked.image('checked', [], { Healthcheck, User: '7' });
  await daemon.ok('run', '-d', '--name', 'checked', '--network', 'none', 'checked', 'sleep', '1000');
  const output = await eventually('a result', async () => {
    const health = await daemon.inspect('checked', '{{json .State.Health}}');
    return (JSON.parse(health) as { Log: { Output: string }[] }).Log[0]?.Output;
  });
  const executed = await daemon.mydock(['exec', 'checked', 'sh', '-c', script]);
  assert.equal(output, executed.stdout);
  assert.match(output, /^7\nCapEff:\s+0+\nSeccomp:\s+2$/m);
  const own = await run(['readlink', '/proc/self/ns/mnt']);
  assert.ok(!output.includes(own.stdout.trim()), output);
  victim.untouched('by a health check');
  await daemon.ok('rm', '-f', 'checked');
});

test('labels of an image do not become annotations, which runtimes obey', async () => {
  const labels = {
    'run.oci.handler': 'krun',
    'org.systemd.property.ExecStart': '/bin/evil',
    'run.oci.hooks.stderr': '/evil',
    'io.katacontainers.config.hypervisor.path': '/evil',
    ['__proto__']: 'polluted',
    constructor: 'polluted',
  };
  await attacked.image('labelled', [], { Labels: labels, Env: ['LD_PRELOAD=/evil.so', 'PATH=/evil:/bin'] });
  await daemon.ok('run', '-d', '--name', 'labelled', '--network', 'none', 'labelled', 'sleep', '1000');
  const id = await daemon.inspect('labelled', '{{.Id}}');
  const spec: unknown = JSON.parse(
    readFileSync(join(daemon.execRoot, 'containers', id, 'config.json'), 'utf8'),
  );
  const { annotations = {}, hooks = {}, process } = spec as Record<string, Record<string, unknown>>;
  for (const label of Object.keys(labels)) assert.ok(!Object.hasOwn(annotations, label), label);
  assert.deepEqual(hooks, {});
  assert.ok(JSON.stringify(process).includes('LD_PRELOAD=/evil.so'), 'of the container alone');
  assert.equal(await daemon.inspect('labelled', '{{index .Config.Labels "constructor"}}'), 'polluted');
  await daemon.ok('rm', '-f', 'labelled');
});

test('manifests that are malformed, or an image and a list at once', async () => {
  const layer = await busyboxLayer();
  const good = makeImage({ layers: [layer] });
  const manifest = JSON.parse(good.manifest.data.toString()) as Record<string, unknown>;
  const deep = `${'['.repeat(100_000)}${']'.repeat(100_000)}`;
  const { mediaType } = good.manifest;
  const list = 'application/vnd.docker.distribution.manifest.list.v2+json';
  const malformed: [type: string, content: object | Buffer][] = [
    [mediaType, { ...manifest, manifests: [{ digest: good.manifest.digest, size: 1, mediaType }] }],
    [list, { ...manifest, manifests: [] }],
    [mediaType, { ...manifest, mediaType: list }],
    [mediaType, { schemaVersion: 2, mediaType }],
    [mediaType, { ...manifest, config: null }],
    [mediaType, { ...manifest, layers: [null, 1, 'x', {}] }],
    [mediaType, { ...manifest, layers: { length: 1e9 } }],
    [
      mediaType,
      { ...manifest, layers: [{ ...(manifest['config'] as object), digest: '../../../etc/passwd' }] },
    ],
    [mediaType, { ...manifest, layers: [{ ...(manifest['config'] as object), size: -1 }] }],
    [mediaType, { ...manifest, layers: Array(20_000).fill((manifest['layers'] as object[])[0]) }],
    [list, { schemaVersion: 2, mediaType: list, manifests: [{ platform: null }, null, 7] }],
    [mediaType, Buffer.from('null')],
    [mediaType, Buffer.from(deep)],
    [mediaType, Buffer.from('{"__proto__":{"layers":[]},"schemaVersion":2}')],
  ];
  const before = await daemon.ok('images', '-q');
  for (const [index, [type, content]] of malformed.entries()) {
    const reference = gateway.add(`malformed-${index}`, 'latest', { ...good, manifest: blob(type, content) });
    const pulled = await daemon.mydock(['pull', '-q', reference]);
    assert.notEqual(pulled.code, 0, `manifest ${index} was taken`);
    assert.notEqual(pulled.stderr, '');
    assert.equal((await daemon.api('GET', '/_ping')).status, 200, `after manifest ${index}`);
  }
  assert.equal(await daemon.ok('images', '-q'), before, 'nothing of them stays');
});

const MEBIBYTE = 1024 * 1024;

/** A layer with a file of that many MiB of zeros, in small members of gzip. */
function zeros(mebibytes: number): Layer {
  const whole = makeTar([{ path: 'zeros', data: '', claimedSize: mebibytes * MEBIBYTE }]);
  const [header, end] = [whole.subarray(0, 512), whole.subarray(512)];
  const piece = Buffer.alloc(MEBIBYTE);
  const hash = createHash('sha256').update(header);
  for (let i = 0; i < mebibytes; i++) hash.update(piece);
  const packed = gzipSync(piece);
  const data = [gzipSync(header), ...Array<Buffer>(mebibytes).fill(packed), gzipSync(end)];
  return {
    diffId: `sha256:${hash.update(end).digest('hex')}`,
    compression: 'gzip',
    data: Buffer.concat(data),
  };
}

function diskBytes(folder: string): number {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .reduce((sum, { parentPath, name }) => sum + statSync(join(parentPath, name)).blocks * 512, 0);
}

test('a layer of zeros takes little disk and little memory', async () => {
  const peak = (): number =>
    Number(/VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${daemon.pid}/status`, 'utf8'))?.[1] ?? 0) * 1024;
  const before = diskBytes(daemon.dataRoot);
  const peakBefore = peak();
  const layers = [await busyboxLayer(), zeros(128)];
  const reference = gateway.add('bomb', 'latest', makeImage({ layers }));
  await daemon.ok('pull', '-q', reference);
  const size = (await runs(reference, 'stat', '-c', '%s', '/zeros')).stdout;
  assert.equal(size, `${128 * MEBIBYTE}\n`);
  const taken = diskBytes(daemon.dataRoot) - before;
  assert.ok(taken < 16 * MEBIBYTE, `${taken} bytes of disk`);
  assert.ok(peak() - peakBefore < 96 * MEBIBYTE, `${peak() - peakBefore} bytes of memory`);
});
