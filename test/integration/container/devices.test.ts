/** Devices of the host in containers: `--device`, `--device-cgroup-rule`, CDI specification files, `--gpus`. */
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { type Daemon, daemonWithBusybox } from '../harness.ts';

let daemon: Daemon;
let close: () => Promise<void>;
/** Outside of the daemon's folder: the daemon is told of it when it is started. */
const folder = join('/run', `cdi-${process.pid}`);
const low = join(folder, 'low');
const high = join(folder, 'high');
before(async () => {
  for (const path of [low, high]) mkdirSync(path, { recursive: true });
  ({ daemon, close } = await daemonWithBusybox(['--cdi-spec-dir', low, '--cdi-spec-dir', high]));
});
after(async () => {
  await close();
  rmSync(folder, { recursive: true });
});

async function shell(flags: readonly string[], line: string): Promise<string> {
  return await daemon.ok('run', '--rm', ...flags, 'busybox', 'sh', '-c', line);
}

async function refusal(...flags: string[]): Promise<string> {
  const { code, stderr } = await daemon.mydock(['run', '--rm', ...flags, 'busybox', 'true']);
  // 127 where the message speaks of a missing file, as with Docker.
  assert.ok(code === 125 || code === 127, `${code}: ${stderr}`);
  return stderr;
}

/** What a shell says to opening a path for reading and for writing. */
function opening(path: string): string {
  return `(: < ${path}) 2>&1 && echo read; (: > ${path}) 2>&1 && echo written; true`;
}

test('the letters of --device are what can be done with it', async () => {
  // Reading the kernel's log takes the capability as well, on some hosts.
  const flagsOf = (mapping: string): string[] => ['--cap-add', 'SYSLOG', '--device', mapping];
  assert.equal(await shell(flagsOf('/dev/kmsg:/dev/x'), opening('/dev/x')), 'read\nwritten');
  assert.match(
    await shell(flagsOf('/dev/kmsg:/dev/x:r'), opening('/dev/x')),
    /^read\n.*Operation not permitted$/,
  );
  assert.match(
    await shell(flagsOf('/dev/kmsg:/dev/x:w'), opening('/dev/x')),
    /Operation not permitted\nwritten$/,
  );
  assert.match(await refusal('--device', '/dev/kmsg:/dev/x:rx'), /invalid device specification|bad mode/);
  assert.match(
    await refusal('--device', '/dev/nothing'),
    /error gathering device information while adding custom device "\/dev\/nothing": no such file or directory/,
  );
});

test('--device follows links, and takes all of a folder', async () => {
  const devices = join(folder, 'devices');
  mkdirSync(join(devices, 'below'), { recursive: true });
  symlinkSync('/dev/kmsg', join(folder, 'link'));
  assert.equal(
    await shell(['--device', join(folder, 'link')], `stat -c %t:%T ${join(folder, 'link')}`),
    '1:b',
  );
  // A device node of a folder of the host: /dev/net is one where it exists, /dev/pts always.
  const names = await shell(['--device', '/dev/pts:/dev/theirs'], 'ls /dev/theirs');
  assert.match(names, /ptmx/);
  assert.match(await refusal('--device', devices), /not a device node/);
});

test('--device-cgroup-rule opens nodes that the container makes', async () => {
  const line = `mknod /tmp/k c 1 11; ${opening('/tmp/k')}`;
  assert.match(await shell(['--cap-add', 'SYSLOG'], line), /not permitted\n.*not permitted$/);
  const flags = ['--cap-add', 'SYSLOG', '--device-cgroup-rule', 'c 1:* r'];
  assert.match(await shell(flags, line), /^read\n.*not permitted$/);
  assert.match(await refusal('--device-cgroup-rule', 'x 1:1 r'), /invalid device cgroup (rule )?format/);
});

const SPEC = `cdiVersion: "0.7.0"
kind: vendor.com/card
containerEdits:
  env: [GLOBAL=file]
devices:
- name: one
  containerEdits:
    env: [CARD=one]
    deviceNodes: [{path: /dev/card, hostPath: /dev/kmsg, permissions: r, fileMode: 0640, gid: 44}]
    mounts: [{hostPath: FOLDER/library, containerPath: /usr/lib/card, options: [ro, rbind]}]
    hooks:
    - {hookName: createContainer, path: /bin/sh, args: [sh, -c, 'cat > FOLDER/state']}
    - {hookName: poststop, path: /bin/sh, args: [sh, -c, ': > FOLDER/stopped']}
    additionalGids: [44]
- name: two
  containerEdits:
    env: [CARD=two]
`;

test('a CDI device with everything that it can bring along', async () => {
  writeFileSync(join(folder, 'library'), 'from the host\n');
  writeFileSync(join(low, 'card.yaml'), SPEC.replaceAll('FOLDER', folder));
  const line =
    'echo $GLOBAL $CARD; stat -c %t:%T:%a:%g /dev/card; cat /usr/lib/card; id -G; (echo x > /dev/card) 2>&1; (: > /usr/lib/card) 2>&1; true';
  const output = await shell(['--device', 'vendor.com/card=one'], line);
  const lines = output.split('\n');
  assert.deepEqual(lines.slice(0, 3), ['file one', '1:b:640:44', 'from the host']);
  assert.match(lines[3] ?? '', /\b44\b/);
  assert.match(lines[4] ?? '', /Operation not permitted/);
  assert.match(lines[5] ?? '', /Read-only file system/);
  const state = JSON.parse(readFileSync(join(folder, 'state'), 'utf8')) as { status: string; bundle: string };
  assert.equal(state.status, 'creating');
  assert.ok(existsSync(join(folder, 'stopped')));
  assert.equal(
    await shell(['--device', 'vendor.com/card=one', '--device', 'vendor.com/card=two'], 'echo $CARD'),
    'two',
  );
});

test('a later folder goes first; info lists devices and what is wrong with files', async () => {
  const override = {
    cdiVersion: '0.5.0',
    kind: 'vendor.com/card',
    devices: [{ name: 'two', containerEdits: { env: ['CARD=high'] } }],
  };
  writeFileSync(join(high, 'card.json'), JSON.stringify(override));
  writeFileSync(join(high, 'broken.json'), JSON.stringify({ ...override, device: [] }));
  assert.equal(await shell(['--device', 'vendor.com/card=two'], 'echo $CARD'), 'high');
  const info = (await daemon.api('GET', '/info')).json<{
    CDISpecDirs: string[];
    DiscoveredDevices: { Source: string; ID: string }[];
    Warnings: string[];
  }>();
  assert.deepEqual(info.CDISpecDirs, [low, high]);
  assert.deepEqual(info.DiscoveredDevices, [
    { Source: 'cdi', ID: 'vendor.com/card=one' },
    { Source: 'cdi', ID: 'vendor.com/card=two' },
  ]);
  assert.ok(
    info.Warnings.some((text) => text.includes('broken.json: device is unknown')),
    info.Warnings.join('\n'),
  );
});

test('devices that there are not, and GPUs with and without a description', async () => {
  assert.match(
    await refusal('--device', 'vendor.com/card=three'),
    /CDI device injection failed: unresolvable CDI devices vendor.com\/card=three/,
  );
  assert.match(
    await refusal('--gpus', 'all'),
    /could not select device driver "" with capabilities: \[\[gpu\]\]/,
  );
  const gpus = ['0', '1', 'all'].map((name) => ({ name, containerEdits: { env: [`GPU_${name}=yes`] } }));
  writeFileSync(
    join(low, 'gpu.json'),
    JSON.stringify({ cdiVersion: '0.5.0', kind: 'nvidia.com/gpu', devices: gpus }),
  );
  assert.equal(await shell(['--gpus', 'all'], 'env | grep ^GPU'), 'GPU_all=yes');
  assert.equal(await shell(['--gpus', '2'], 'env | grep ^GPU | sort'), 'GPU_0=yes\nGPU_1=yes');
  assert.equal(await shell(['--gpus', '"device=1"'], 'env | grep ^GPU'), 'GPU_1=yes');
});
