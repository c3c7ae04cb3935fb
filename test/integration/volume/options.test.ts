/** Options of the local driver: what they name is mounted while containers use the volume, and only then. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { eventually } from '../command.ts';
import { type Daemon, daemonWithBusybox } from '../harness.ts';

let daemon: Daemon;
let close: () => Promise<void>;
before(async () => {
  ({ daemon, close } = await daemonWithBusybox());
});
after(async () => await close());

interface InspectedVolume {
  Mountpoint: string;
  Options: Record<string, string> | null;
  Status?: { Mount?: { Mounted: boolean } };
}

async function inspected(name: string): Promise<InspectedVolume> {
  const [volume] = JSON.parse(await daemon.ok('volume', 'inspect', name)) as InspectedVolume[];
  assert.ok(volume !== undefined);
  return volume;
}

async function isMounted(name: string): Promise<boolean> {
  const { Mountpoint, Status } = await inspected(name);
  const inTable = readFileSync('/proc/self/mountinfo', 'utf8').includes(` ${Mountpoint} `);
  assert.equal(Status?.Mount?.Mounted, inTable, `status of ${name}`);
  return inTable;
}

/** A volume that is a folder of the host; returns the folder. */
async function bindVolume(name: string, o = 'bind'): Promise<string> {
  const device = mkdtempSync(join(daemon.folder, 'device-'));
  const options = ['-o', 'type=none', '-o', `o=${o}`, '-o', `device=${device}`];
  assert.equal(await daemon.ok('volume', 'create', ...options, name), name);
  return device;
}

test('a bind volume is mounted from its first container to its last', async () => {
  const device = await bindVolume('shared');
  assert.deepEqual((await inspected('shared')).Options, { type: 'none', o: 'bind', device });
  assert.equal(await isMounted('shared'), false);
  await daemon.ok('run', '-d', '--name', 'first', '-v', 'shared:/x', 'busybox', 'sleep', '60');
  assert.equal(await isMounted('shared'), true);
  await daemon.ok('run', '--rm', '-v', 'shared:/y', 'busybox', 'sh', '-c', 'echo written > /y/file');
  assert.equal(await isMounted('shared'), true);
  assert.equal(readFileSync(join(device, 'file'), 'utf8'), 'written\n');
  await daemon.fails(1, /remove shared: volume is in use - \[[0-9a-f]{64}\]/, 'volume', 'rm', 'shared');
  await daemon.ok('rm', '-f', 'first');
  assert.equal(await isMounted('shared'), false);
  await daemon.ok('volume', 'rm', 'shared');
  assert.deepEqual(readdirSync(device), ['file']);
});

test('a killed daemon forgets no mount: what runs keeps it, what ended gives it back', async () => {
  await bindVolume('lasting');
  await bindVolume('ending');
  await daemon.ok('run', '-d', '--name', 'lasts', '-v', 'lasting:/x', 'busybox', 'sleep', '60');
  await daemon.ok(
    'run',
    '-d',
    '--name',
    'ends',
    '-v',
    'ending:/x',
    'busybox',
    'sh',
    '-c',
    'read x < /x/wait',
  );
  await daemon.reaches('ends', 'exited');
  await daemon.ok('run', '-d', '--name', 'killed', '-v', 'ending:/x', 'busybox', 'sleep', '60');
  const pid = Number(await daemon.inspect('killed', '{{.State.Pid}}'));
  await daemon.stop('SIGKILL');
  process.kill(pid, 'SIGKILL');
  await daemon.launch();
  await daemon.reaches('killed', 'exited');
  await eventually('the volume is unmounted', async () => !(await isMounted('ending')));
  assert.equal(await isMounted('lasting'), true);
  await daemon.ok('run', '--rm', '-v', 'lasting:/x', 'busybox', 'touch', '/x/more');
  assert.equal(await isMounted('lasting'), true);
  await daemon.ok('rm', '-f', 'lasts', 'ends', 'killed');
  assert.equal(await isMounted('lasting'), false);
});

test('an empty device is filled from the image; one with content is taken as it is', async () => {
  const device = await bindVolume('site');
  assert.equal(
    await daemon.ok('run', '--rm', '-v', 'site:/var/www', 'busybox', 'cat', '/var/www/index.html'),
    'served by mydock',
  );
  assert.deepEqual(readdirSync(device), ['index.html']);
  const full = await bindVolume('full');
  writeFileSync(join(full, 'mine'), '');
  assert.equal(await daemon.ok('run', '--rm', '-v', 'full:/var/www', 'busybox', 'ls', '/var/www'), 'mine');
  assert.equal(await isMounted('site'), false);
});

test('a tmpfs volume is shared while it is used, and then gone', async () => {
  const options = ['-o', 'type=tmpfs', '-o', 'device=tmpfs', '-o', 'o=mode=700,uid=1000', '-o', 'size=1m'];
  await daemon.ok('volume', 'create', ...options, 'memory');
  await daemon.ok('run', '-d', '--name', 'holder', '-v', 'memory:/m', 'busybox', 'sleep', '60');
  const see = async (line: string) =>
    await daemon.ok('run', '--rm', '-v', 'memory:/m', 'busybox', 'sh', '-c', line);
  assert.equal(await see('echo kept > /m/x; stat -c %a:%u /m'), '700:1000');
  assert.equal(
    await see('cat /m/x; head -c 2000000 /dev/zero 2>/dev/null > /m/big || echo full'),
    'kept\nfull',
  );
  await daemon.ok('rm', '-f', 'holder');
  assert.equal(await see('ls -A /m'), '');
});

test('a read-only device is read-only wherever the volume is mounted', async () => {
  const device = await bindVolume('frozen', 'bind,ro');
  writeFileSync(join(device, 'x'), 'seen');
  assert.equal(
    await daemon.ok(
      ...['run', '--rm', '-v', 'frozen:/x', 'busybox', 'sh', '-c'],
      'cat /x/x; touch /x/y 2>&1 || true',
    ),
    'seentouch: /x/y: Read-only file system',
  );
});

test('what is wrong with options is said before anything is made', async () => {
  const wrong: [RegExp, ...string[]][] = [
    [/create v1: invalid option: "x"/, '-o', 'x=y'],
    [/create v1: missing required option: "device"/, '-o', 'type=tmpfs'],
    [/create v1: missing required option: "type"/, '-o', 'device=/x'],
    [/create v1: missing required option: "device"/, '-o', 'o=bind'],
    [/create v1: error looking up volume plugin nope: plugin "nope" not found/, '-d', 'nope'],
  ];
  for (const [message, ...flags] of wrong) await daemon.fails(1, message, 'volume', 'create', ...flags, 'v1');
  assert.equal(await daemon.ok('volume', 'ls', '-q', '--filter', 'name=v1'), '');
});

test('a device that cannot be mounted fails the create, naming volume, device and reason', async () => {
  const options = ['-o', 'type=none', '-o', 'o=bind', '-o', 'device=/nowhere/at/all'];
  await daemon.ok('volume', 'create', ...options, 'broken');
  await daemon.fails(
    125,
    /error while mounting volume '.*\/volumes\/broken\/_data': failed to mount local volume: mount \/nowhere\/at\/all:.*\/broken\/_data, flags: 0x1000: no such file or directory/,
    ...['run', '--rm', '-v', 'broken:/x', 'busybox'],
  );
  assert.equal(await daemon.ok('ps', '-aq'), '');
  await daemon.ok('volume', 'rm', 'broken');
});

test('--mount makes volumes with options and labels, and cp reaches into stopped containers', async () => {
  const device = join(daemon.folder, 'by-mount');
  mkdirSync(device);
  const mount = `source=made,target=/x,volume-label=a=b,volume-opt=type=none,volume-opt=o=bind,volume-opt=device=${device}`;
  await daemon.ok('create', '--name', 'stopped', '--mount', mount, 'busybox');
  assert.equal(await daemon.ok('volume', 'inspect', '-f', '{{json .Labels}}', 'made'), '{"a":"b"}');
  const file = join(daemon.folder, 'copied');
  writeFileSync(file, 'copied');
  await daemon.ok('cp', file, 'stopped:/x/copied');
  assert.equal(readFileSync(join(device, 'copied'), 'utf8'), 'copied');
  assert.equal(await isMounted('made'), false);
  await daemon.ok('rm', 'stopped');
});

test('sizes of what is mounted are measured while it is mounted, and never guessed', async () => {
  const device = await bindVolume('measured');
  writeFileSync(join(device, 'big'), Buffer.alloc(300_000, 1));
  const size = async (): Promise<number> => {
    const { Volumes } = (await daemon.api('GET', '/system/df?type=volume')).json<{
      Volumes: { Name: string; UsageData: { Size: number } }[];
    }>();
    return Volumes.find(({ Name }) => Name === 'measured')?.UsageData.Size ?? Number.NaN;
  };
  assert.equal(await size(), -1);
  await daemon.ok('run', '-d', '--name', 'user', '-v', 'measured:/x', 'busybox', 'sleep', '60');
  assert.ok((await size()) >= 300_000);
  await daemon.ok('rm', '-f', 'user');
});

test('the check knows what is to be mounted, and takes away what nobody uses', async () => {
  const device = await bindVolume('checked');
  writeFileSync(join(device, 'x'), '');
  await daemon.ok('run', '-d', '--name', 'checker', '-v', 'checked:/x', 'busybox', 'sleep', '60');
  assert.match(await daemon.ok('system', 'check', '--quick'), /no problems/);
  const { Mountpoint } = await inspected('checked');
  execFileSync('umount', ['-l', Mountpoint]);
  await daemon.fails(1, /^$/, 'system', 'check', '--quick');
  const told = await daemon.mydock(['system', 'check', '--quick']);
  assert.match(told.stdout, /volume checked: .*is no longer mounted on its folder/);
  await daemon.ok('rm', '-f', 'checker');
  execFileSync('mount', ['--bind', device, Mountpoint]);
  const mended = await daemon.mydock(['system', 'check', '--quick', '--repair']);
  assert.match(mended.stdout, /volume checked: it is mounted, and no container that runs uses it/);
  assert.equal(await isMounted('checked'), false);
  assert.deepEqual(readdirSync(device), ['x']);
});
