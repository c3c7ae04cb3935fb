/** Namespaces that containers share with the host and with one another: `--ipc`, `--pid`, `--uts`, and --group-add. */
import assert from 'node:assert/strict';
import { readdirSync, readlinkSync, rmSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { type Daemon, daemonWithBusybox } from '../harness.ts';

let daemon: Daemon;
let close: () => Promise<void>;
before(async () => {
  ({ daemon, close } = await daemonWithBusybox());
});
after(async () => await close());

async function shell(flags: readonly string[], line: string): Promise<string> {
  return await daemon.ok('run', '--rm', ...flags, 'busybox', 'sh', '-c', line);
}

async function sleeper(name: string, ...flags: string[]): Promise<void> {
  await daemon.ok('run', '-d', '--name', name, ...flags, 'busybox', 'sleep', '1000');
}

function ofHost(kind: string): string {
  return readlinkSync(`/proc/${daemon.pid}/ns/${kind}`);
}

async function namespaceIn(container: string, kind: string): Promise<string> {
  return await daemon.ok('exec', container, 'readlink', `/proc/self/ns/${kind}`);
}

test('--ipc shareable shares /dev/shm and message queues; private does not', async () => {
  await sleeper('donor', '--ipc', 'shareable', '--shm-size', '1m');
  await sleeper('alone');
  await daemon.ok('exec', 'donor', 'sh', '-c', 'echo shared > /dev/shm/x');
  const joins = ['--ipc', 'container:donor'];
  assert.equal(
    await shell(joins, 'cat /dev/shm/x; df -k /dev/shm | tail -1 | awk "{print \\$2}"'),
    'shared\n1024',
  );
  assert.equal(await shell(joins, 'readlink /proc/self/ns/ipc'), await namespaceIn('donor', 'ipc'));
  await sleeper('middle', ...joins);
  assert.equal(await shell(['--ipc', 'container:middle'], 'cat /dev/shm/x'), 'shared');
  assert.equal(
    await shell(['--user', '1000', ...joins], 'touch /dev/shm/y && stat -c %u /dev/shm/y'),
    '1000',
  );
  assert.match(await shell(joins, 'mount | grep " /dev/shm "'), /nosuid,nodev,noexec/);

  const refused = await daemon.mydock(['run', '--rm', '--ipc', 'container:alone', 'busybox', 'true']);
  assert.equal(refused.code, 125);
  assert.match(refused.stderr, /can't join IPC of container \w+: non-shareable IPC/);
  await daemon.ok('restart', '-t', '0', 'donor');
  assert.equal(await daemon.ok('exec', 'donor', 'ls', '/dev/shm'), '');
  await daemon.ok('stop', '-t', '0', 'donor');
  const stopped = await daemon.mydock(['run', '--rm', ...joins, 'busybox', 'true']);
  assert.match(stopped.stderr, /cannot join IPC namespace of a non running container/);
  await daemon.ok('rm', '-f', 'donor', 'alone', 'middle');
});

test('--ipc host, none and nonsense', async () => {
  const file = `/dev/shm/mydock-${process.pid}`;
  writeFileSync(file, 'host');
  assert.equal(
    await shell(['--ipc', 'host'], `cat ${file}; readlink /proc/self/ns/ipc`),
    `host${ofHost('ipc')}`,
  );
  assert.match(
    await shell(
      ['--ipc', 'none'],
      'ls -d /dev/shm 2>&1 || true; grep -c " /dev/shm " /proc/self/mountinfo || true',
    ),
    /0$/,
  );
  rmSync(file);
  const { code, stderr } = await daemon.mydock(['run', '--rm', '--ipc', 'mine', 'busybox']);
  assert.equal(code, 125);
  assert.match(stderr, /invalid IPC mode: mine/);
});

test('--pid host and of a container', async () => {
  assert.equal(await shell(['--pid', 'host'], 'readlink /proc/self/ns/pid'), ofHost('pid'));
  await sleeper('first');
  assert.equal(
    await shell(
      ['--pid', 'container:first'],
      'cat /proc/1/cmdline | tr "\\0" " "; readlink /proc/self/ns/pid',
    ),
    `sleep 1000 ${await namespaceIn('first', 'pid')}`,
  );
  await daemon.ok('rm', '-f', 'first');
});

test('--uts host', async () => {
  assert.equal(
    await shell(['--uts', 'host'], 'hostname; readlink /proc/self/ns/uts'),
    `${hostname()}\n${ofHost('uts')}`,
  );
  const { stderr } = await daemon.mydock(['run', '--rm', '--uts', 'host', '-h', 'other', 'busybox']);
  assert.match(stderr, /conflicting options: hostname and the UTS mode/);
});

test('--group-add by name and number; --sysctl of the own namespaces alone', async () => {
  assert.match(await shell(['--group-add', 'staff', '--group-add', '4242'], 'id -G'), /\b50\b.*\b4242\b/);
  for (const group of ['keep-groups', 'nonsense']) {
    const { code, stderr } = await daemon.mydock(['run', '--rm', '--group-add', group, 'busybox', 'true']);
    assert.notEqual(code, 0);
    assert.match(stderr, new RegExp(group));
  }
  assert.equal(await shell(['--sysctl', 'kernel.shmmax=65536'], 'cat /proc/sys/kernel/shmmax'), '65536');
  assert.equal(await shell(['--sysctl', 'net.ipv4.ip_forward=0'], 'cat /proc/sys/net/ipv4/ip_forward'), '0');
  for (const sysctl of ['kernel.panic=1', 'vm.swappiness=1', 'kernel.core_pattern=x', 'fs.file-max=9']) {
    const created = await daemon.api('POST', '/containers/create', {
      Image: 'busybox',
      HostConfig: { Sysctls: Object.fromEntries([sysctl.split('=')]) },
    });
    assert.equal(created.status, 400, sysctl);
  }
});

test('the daemon kills and forgets what shared memory held', async () => {
  await sleeper('crashing', '--ipc', 'shareable');
  await daemon.stop('SIGKILL');
  await daemon.launch();
  await daemon.ok('rm', '-f', 'crashing');
  assert.deepEqual(readdirSync(join(daemon.execRoot, 'containers')), []);
});
