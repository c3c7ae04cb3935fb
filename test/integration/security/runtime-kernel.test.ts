/**
 * Attempts on the kernel from a container: namespaces of its own making, file systems, devices, modules, files of /proc
 * and /sys. Each is made a second time where its defence is taken away by an option, to show that it would come to
 * something. What the seccomp profile denies call by call stands in container/security.test.ts.
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { copyFileSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { attackProgram, outcomes, winners } from '../../fixtures/attack.ts';
import { type Daemon, daemonWithBusybox } from '../harness.ts';

let daemon: Daemon;
let close: () => Promise<void>;
let program = '';
before(async () => {
  ({ daemon, close } = await daemonWithBusybox());
  program = join(daemon.folder, 'attack');
  copyFileSync(await attackProgram(), program);
});
after(async () => await close());

async function attack(flags: readonly string[], ...args: string[]): Promise<string> {
  return await daemon.ok(
    'run',
    '--rm',
    '-v',
    `${program}:/attack:ro`,
    // On hosts that have it, it would stand in for what is missing elsewhere.
    '--security-opt',
    'apparmor=unconfined',
    ...flags,
    'busybox',
    '/attack',
    ...args,
  );
}

/** Capabilities that this machine's root has: others cannot be given to a container. */
function hostHas(capability: number): boolean {
  const bits = /CapBnd:\s+(\w+)/.exec(readFileSync('/proc/self/status', 'utf8'))?.[1] ?? '0';
  return ((BigInt(`0x${bits}`) >> BigInt(capability)) & 1n) === 1n;
}

const NAMESPACES = ['unshare', 'unshare-32', 'unshare-x32', 'clone3', 'cgroup-mount', 'proc-mount'];

test('no namespaces and mounts of its own, by whichever ABI', async () => {
  assert.deepEqual(winners(await attack([], 'each', ...NAMESPACES)), []);
  const free = winners(await attack(['--security-opt', 'seccomp=unconfined'], 'each', ...NAMESPACES));
  for (const name of ['unshare', 'clone3', 'cgroup-mount'])
    assert.ok(free.includes(name), `${name}: ${free}`);
  if (process.arch === 'x64') assert.ok(free.includes('unshare-32'), `${free}`);
  // With something masked the kernel gives no other procfs to user namespaces.
  assert.ok(!free.includes('proc-mount'), `${free}`);
});

/** Calls of the host's administrator, with the capability that opens them. */
const CALLS = {
  module: ['SYS_MODULE', 16],
  bpf: ['SYS_ADMIN', 21],
  perf: ['SYS_ADMIN', 21],
  syslog: ['SYSLOG', 34],
  reboot: ['SYS_BOOT', 22],
  account: ['SYS_PACCT', 20],
  ports: ['SYS_RAWIO', 17],
} as const;

test('modules, BPF, perf, the log, kexec, swap, reboot, accounting, I/O ports', async () => {
  const names = Object.keys(CALLS);
  assert.deepEqual(winners(await attack([], 'each', ...names, 'kexec', 'swap')), []);
  const unconfined = await attack(
    ['--security-opt', 'seccomp=unconfined'],
    'each',
    ...names,
    'kexec',
    'swap',
  );
  const open = winners(unconfined).filter((name) => name !== 'perf' && name !== 'bpf' && name !== 'syslog');
  assert.deepEqual(open, [], 'capabilities stand behind the filter');
  const given = Object.values(CALLS).filter(([, number]) => hostHas(number));
  const flags = [...new Set(given.flatMap(([name]) => ['--cap-add', name].join('=')))];
  const won = winners(await attack(flags, 'each', ...names));
  for (const name of ['bpf', 'syslog'] as const) {
    if (hostHas(CALLS[name][1])) assert.ok(won.includes(name), `${name}: ${won}`);
  }
});

test('a file of the host by its handle (open_by_handle_at)', async () => {
  const secret = join(daemon.folder, 'secret');
  writeFileSync(secret, 'of the host');
  const handle = execFileSync(program, ['handle-of', secret], { encoding: 'utf8' });
  // The program lies on the same file system: where a mount of it starts does not matter to handles.
  assert.match(outcomes(await attack([], 'handle', '/attack', handle))['handle'] ?? '', /^held EPERM/);
  const unconfined = await attack(['--security-opt', 'seccomp=unconfined'], 'handle', '/attack', handle);
  assert.match(outcomes(unconfined)['handle'] ?? '', /^held EPERM/);
  const free = await attack(['--cap-add', 'DAC_READ_SEARCH'], 'handle', '/attack', handle);
  assert.equal(outcomes(free)['handle'], 'won of the host');
});

/** A disk of the host and one of its control devices, where it has them. */
function hostDevices(): string[][] {
  const disk = readdirSync('/sys/block').find((name) => /^([vs]d|xvd|nvme|loop)/.test(name));
  const control = /^ *(\d+) (loop-control|fuse|vsock)$/m.exec(readFileSync('/proc/misc', 'utf8'))?.[1];
  return [
    ...(control === undefined ? [] : [['c', '10', control]]),
    ...(disk === undefined
      ? []
      : [['b', ...readFileSync(`/sys/block/${disk}/dev`, 'utf8').trim().split(':')]]),
  ];
}

test('devices of the host by nodes of its own making', async () => {
  const devices = hostDevices();
  assert.ok(devices.length > 0, 'the host has a device');
  for (const device of devices) {
    assert.match(await attack([], 'device', ...device), /^device held EPERM/, `${device}`);
    const rule = `${device[0]} *:* rmw`;
    assert.match(
      await attack(['--device-cgroup-rule', rule], 'device', ...device),
      /^device won/,
      `${device}`,
    );
  }
});

const CONTROLS = [
  '/proc/sys/kernel/core_pattern',
  '/proc/sys/kernel/modprobe',
  '/proc/sys/kernel/hotplug',
  '/proc/sys/vm/panic_on_oom',
  '/proc/sys/fs/binfmt_misc/register',
  '/proc/sys/net/ipv4/ip_forward',
  '/proc/sysrq-trigger',
  '/proc/irq/default_smp_affinity',
  '/proc/scsi/scsi',
  '/sys/kernel/uevent_helper',
  '/sys/kernel/mm/transparent_hugepage/enabled',
];
const SECRETS = ['kcore', 'keys', 'timer_list', 'interrupts', 'sched_debug', 'latency_stats', 'scsi/scsi'];

test('files of the kernel that rule it or tell of the host', async () => {
  assert.deepEqual(winners(await attack([], 'write', ...CONTROLS)), []);
  const secrets = SECRETS.map((name) => `/proc/${name}`);
  assert.deepEqual(winners(await attack([], 'read', ...secrets)), []);
  const open = ['--security-opt', 'systempaths=unconfined'];
  assert.ok(
    winners(await attack(open, 'write', ...CONTROLS)).includes('write /proc/sys/kernel/core_pattern'),
  );
  const told = winners(await attack(open, 'read', ...secrets));
  for (const name of ['keys', 'interrupts']) assert.ok(told.includes(`read /proc/${name}`), `${told}`);
});

/** Each of them asks for a capability of the host's, or is about the opener alone. */
const HARMLESS = /^kernel-file won \/proc\/(mtrr|pressure\/\w+|dynamic_debug\/control|slabinfo)$/;

test('no file of /proc and /sys, known or not, opens for writing', async () => {
  const lines = (await attack([], 'kernel-files', '/proc', '/sys')).split('\n');
  assert.equal(lines.at(-1), 'kernel-files held walked');
  assert.deepEqual(
    lines.slice(0, -1).filter((line) => !HARMLESS.test(line)),
    [],
  );
  const open = await attack(['--security-opt', 'systempaths=unconfined'], 'kernel-files', '/proc');
  assert.ok(open.split('\n').length > 100, 'without read-only paths there are many');
});

test('masks and read-only mounts are not taken away', async () => {
  for (const path of ['/proc/keys', '/proc/sys', '/sys', '/sys/fs/cgroup']) {
    for (const name of ['uncover', 'remount']) {
      assert.match(await attack([], name, path), /held EPERM/, `${name} ${path}`);
    }
  }
  assert.match(await attack(['--cap-add', 'SYS_ADMIN'], 'uncover', '/proc/keys'), /^uncover won/);
  assert.match(await attack(['--cap-add', 'SYS_ADMIN'], 'remount', '/proc/sys'), /^remount won/);
});
