/** What the seccomp profiles and `--security-opt` let through, seen by system calls that come to something or not. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { syscallProbeProgram } from '../../fixtures/packages.ts';
import { type Daemon, daemonWithBusybox } from '../harness.ts';

const EPERM = 1;
const EBADF = 9;
const ENOSYS = 38;

let daemon: Daemon;
let close: () => Promise<void>;
let probe: string;
before(async () => {
  ({ daemon, close } = await daemonWithBusybox());
  probe = await syscallProbeProgram();
});
after(async () => await close());

/** errno of each named call of the probe. */
async function calls(flags: readonly string[], names: readonly string[]): Promise<Record<string, number>> {
  const output = await daemon.ok(
    'run',
    '--rm',
    '-v',
    `${probe}:/probe:ro`,
    ...flags,
    'busybox',
    '/probe',
    ...names,
  );
  return Object.fromEntries(
    output
      .split('\n')
      .map((line): [string, number] => [line.split(' ')[0] ?? '', Number(line.split(' ')[1])]),
  );
}

async function shell(flags: readonly string[], line: string): Promise<string> {
  return await daemon.ok('run', '--rm', ...flags, 'busybox', 'sh', '-c', line);
}

const UNCONFINED = ['--security-opt', 'seccomp=unconfined'];
const DENIED = [
  'unshare-user',
  'clone-user',
  'setns',
  'open_tree',
  'keyctl',
  'add_key',
  'io_uring_setup',
  'userfaultfd',
  'alg',
  'alg-high',
  'vsock',
  'vsock-high',
  'personality-no-random',
];
const ALLOWED = ['clone', 'inet', 'personality-query', 'personality-32'];

test('the default profile denies what the kernel alone would not', async () => {
  const filtered = await calls([], [...DENIED, ...ALLOWED, 'clone3', 'future']);
  for (const name of DENIED) assert.equal(filtered[name], EPERM, name);
  for (const name of ALLOWED) assert.equal(filtered[name], 0, name);
  assert.equal(filtered['clone3'], ENOSYS);
  assert.equal(filtered['future'], ENOSYS);
  const free = await calls(UNCONFINED, DENIED);
  for (const name of DENIED) assert.notEqual(free[name], EPERM, `${name}, unconfined`);
});

test('a capability opens its calls, and --privileged all', async () => {
  const admin = await calls(['--cap-add', 'SYS_ADMIN'], ['setns', 'unshare-user', 'keyctl', 'alg']);
  assert.deepEqual(admin, { setns: EBADF, 'unshare-user': 0, keyctl: EPERM, alg: EPERM });
  const privileged = await calls(['--privileged'], ['setns', 'keyctl']);
  assert.equal(privileged['setns'], EBADF);
  assert.notEqual(privileged['keyctl'], EPERM);
});

test('a profile of the user, in execs as well; --privileged leaves it', async () => {
  const path = join(daemon.folder, 'profile.json');
  const rule = { names: ['mkdir', 'mkdirat'], action: 'SCMP_ACT_ERRNO', errnoRet: 28 };
  writeFileSync(path, JSON.stringify({ defaultAction: 'SCMP_ACT_ALLOW', syscalls: [rule] }, null, 2));
  const flags = ['--security-opt', `seccomp=${path}`];
  assert.match(await shell(flags, 'mkdir /x 2>&1 || true'), /No space left/);
  assert.match(await shell(['--privileged', ...flags], 'mkdir /x 2>&1 || true'), /No space left/);
  await daemon.ok('run', '-d', '--name', 'profiled', ...flags, 'busybox', 'sleep', '1000');
  const exec = await daemon.mydock(['exec', '--privileged', 'profiled', 'mkdir', '/x']);
  assert.match(exec.stderr, /No space left/);
  await daemon.ok('rm', '-f', 'profiled');

  writeFileSync(path, '{');
  const broken = await daemon.mydock(['run', '--rm', ...flags, 'busybox', 'true']);
  assert.equal(broken.code, 125);
  assert.match(broken.stderr, /seccomp profile \(.*profile.json\) failed/);
});

test('paths are unmasked one by one, all together, and masked', async () => {
  const masked =
    'for p in /proc/interrupts /proc/keys; do grep -q " $p " /proc/self/mountinfo && echo $p; done; true';
  assert.equal(await shell([], masked), '/proc/interrupts\n/proc/keys');
  assert.equal(await shell(['--security-opt', 'unmask=/proc/k*'], masked), '/proc/interrupts');
  assert.equal(await shell(['--security-opt', 'unmask=ALL'], masked), '');
  assert.equal(await shell(['--security-opt', 'systempaths=unconfined'], masked), '');
  assert.equal(await shell(['--security-opt', 'mask=/etc/passwd:/etc/nothing'], 'wc -c < /etc/passwd'), '0');
  assert.match(
    await shell(['--security-opt', 'mask=/etc'], 'ls /etc | wc -l; touch /etc/x 2>&1 || true'),
    /^0\n.*Read-only file system/,
  );
});

test('masked and read-only paths over the API', async () => {
  const created = await daemon.api('POST', '/containers/create?name=paths', {
    Image: 'busybox',
    Cmd: ['sh', '-c', 'wc -c < /etc/group; touch /tmp/x 2>&1; grep -c " /proc/keys " /proc/self/mountinfo'],
    HostConfig: { MaskedPaths: ['/etc/group'], ReadonlyPaths: ['/tmp'] },
  });
  assert.equal(created.status, 201, created.text);
  const { stdout } = await daemon.mydock(['start', '-a', 'paths']);
  assert.match(stdout, /^0\n.*Read-only file system\n0\n$/);
  await daemon.ok('rm', 'paths');
  const refused = await daemon.api('POST', '/containers/create', {
    Image: 'busybox',
    HostConfig: { MaskedPaths: ['relative'] },
  });
  assert.equal(refused.status, 400);
});

test('labels and profiles of what this host lacks are accepted with a warning', async () => {
  for (const option of ['label=disable', 'label=type:x_t', 'apparmor=unconfined', 'label:level:s0:c1']) {
    assert.equal(await shell(['--security-opt', option], 'echo runs'), 'runs', option);
  }
  const { stderr } = await daemon.mydock([
    'create',
    '--name',
    'labels',
    '--security-opt',
    'label=type:x_t',
    'busybox',
  ]);
  assert.match(stderr, /SELinux is not available on this host/);
  await daemon.ok('rm', 'labels');
  for (const option of ['nonsense', 'label=color:red', 'mask=etc', 'no-new-privileges=maybe']) {
    const result = await daemon.mydock(['run', '--rm', '--security-opt', option, 'busybox']);
    assert.equal(result.code, 125, option);
    assert.match(result.stderr, /invalid --security-opt/, option);
  }
});

test('writable-cgroups', async () => {
  const line = 'cd /sys/fs/cgroup/pids 2>/dev/null || cd /sys/fs/cgroup; mkdir x && rmdir x && echo made';
  assert.equal(await shell(['--security-opt', 'writable-cgroups'], line), 'made');
});

test('exec --privileged has every capability, a plain exec those of the container', async () => {
  await daemon.ok('run', '-d', '--name', 'execs', '--cap-drop', 'ALL', 'busybox', 'sleep', '1000');
  const line = ['sh', '-c', 'grep CapEff /proc/self/status | cut -f2'];
  assert.equal(await daemon.ok('exec', 'execs', ...line), '0000000000000000');
  const ours = await daemon.ok('run', '--rm', '--privileged', 'busybox', ...line);
  assert.equal(await daemon.ok('exec', '--privileged', 'execs', ...line), ours);
  await daemon.ok('rm', '-f', 'execs');
});
