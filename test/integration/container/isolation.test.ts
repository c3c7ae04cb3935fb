/** What a container sees and may do: namespaces, capabilities, seccomp, mounts, devices, and the flags that widen it. */
import assert from 'node:assert/strict';
import { chmodSync, chownSync, readFileSync, readlinkSync, statSync } from 'node:fs';
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

/** The effective capabilities' bits, as /proc shows them. */
async function capabilities(...flags: string[]): Promise<string> {
  return await shell(flags, 'grep CapEff /proc/self/status | cut -f2');
}

test('every namespace is its own, and the program is pid 1', async () => {
  const output = await shell(
    [],
    'cd /proc/self/ns; for n in ipc mnt net pid uts; do readlink $n; done; echo $$',
  );
  const lines = output.split('\n');
  for (const [i, name] of ['ipc', 'mnt', 'net', 'pid', 'uts'].entries()) {
    assert.match(lines[i] ?? '', new RegExp(`^${name}:`));
    assert.notEqual(lines[i], readlinkSync(`/proc/self/ns/${name}`));
  }
  assert.equal(lines[5], '1');
});

test("Docker's 14 default capabilities, and --cap-add, --cap-drop, --privileged", async () => {
  assert.equal(await capabilities(), '00000000a80425fb');
  assert.equal(await capabilities('--cap-drop', 'ALL'), '0000000000000000');
  assert.equal(await capabilities('--cap-drop', 'ALL', '--cap-add', 'NET_BIND_SERVICE'), '0000000000000400');
  assert.equal(await capabilities('--cap-add', 'CAP_SYS_ADMIN'), '00000000a82425fb');
  assert.equal(await capabilities('-u', 'alice'), '0000000000000000');
  const ours = /CapBnd:\s+(\w+)/.exec(readFileSync('/proc/self/status', 'utf8'))?.[1];
  assert.equal(await capabilities('--privileged'), ours);
});

test('an unknown capability is refused by name', async () => {
  const result = await daemon.mydock(['run', '--rm', '--cap-add', 'NONSENSE', 'busybox']);
  assert.equal(result.code, 125);
  assert.match(result.stderr, /invalid.*NONSENSE/i);
});

test('seccomp is on, and off with --security-opt seccomp=unconfined', async () => {
  const line = 'grep "^Seccomp:" /proc/self/status | cut -f2';
  assert.equal(await shell([], line), '2');
  assert.equal(await shell(['--security-opt', 'seccomp=unconfined'], line), '0');
  assert.match(await shell([], 'unshare -m true 2>&1 || true'), /Operation not permitted/);
});

test('--security-opt no-new-privileges', async () => {
  const line = 'grep NoNewPrivs /proc/self/status | cut -f2';
  assert.equal(await shell([], line), '0');
  assert.equal(await shell(['--security-opt', 'no-new-privileges'], line), '1');
});

test('masked paths are empty and read-only paths cannot be written', async () => {
  assert.equal(await shell([], 'cat /proc/kcore /proc/keys /proc/timer_list 2>/dev/null | wc -c'), '0');
  assert.match(
    await shell(
      [],
      '(: > /proc/bus/x) 2>&1; for p in bus fs irq sys; do [ ! -d /proc/$p ] || grep -c " /proc/$p ro," /proc/self/mountinfo; done',
    ),
    /^[^\n]*(Read-only file system|nonexistent directory)(\n1)+$/,
  );
  assert.match(await shell([], '(echo 1 > /proc/sys/kernel/panic) 2>&1 || true'), /Read-only file system/);
  assert.match(await shell([], 'mkdir /sys/x 2>&1 || true'), /Read-only file system|Operation not permitted/);
  assert.match(
    await shell([], 'cd /sys/fs/cgroup/memory 2>/dev/null || cd /sys/fs/cgroup; mkdir x 2>&1 || true'),
    /Read-only file system/,
  );
});

test("the host's /dev/null is out of reach: behind masked paths, and as stdin", async () => {
  const before = statSync('/dev/null');
  await daemon.ok('run', '-d', '--name', 'null', 'busybox', 'sleep', '60');
  const attack = (path: string): string[] => ['sh', '-c', `chmod 600 ${path}; chown 5 ${path}; true`];
  try {
    await daemon.ok('run', '--rm', 'busybox', ...attack('/proc/keys'));
    await daemon.ok('run', '--rm', 'busybox', ...attack('/proc/self/fd/0'));
    await daemon.ok('exec', 'null', ...attack('/proc/self/fd/0'));
    await daemon.ok('exec', 'null', 'sh', '-c', 'rm /dev/null; mkfifo /dev/null');
    await daemon.ok('exec', 'null', ...attack('/proc/self/fd/0'));
    assert.equal(await daemon.ok('exec', 'null', 'cat'), '');
    assert.equal(statSync('/dev/null').mode, before.mode);
    assert.equal(statSync('/dev/null').uid, before.uid);
  } finally {
    chmodSync('/dev/null', before.mode & 0o7777);
    chownSync('/dev/null', before.uid, before.gid);
    await daemon.ok('rm', '-f', 'null');
  }
});

test('the default devices, and no others', async () => {
  const names = (await shell([], 'ls -A /dev')).split('\n');
  for (const name of [
    'null',
    'zero',
    'full',
    'random',
    'urandom',
    'tty',
    'ptmx',
    'pts',
    'shm',
    'mqueue',
    'fd',
    'stdin',
  ]) {
    assert.ok(names.includes(name), `/dev/${name}`);
  }
  assert.ok(
    !names.includes('kmsg') && !names.some((name) => /^[sv]d|^mem$|^loop/.test(name)),
    names.join(' '),
  );
  assert.equal(await shell([], 'head -c 5 /dev/zero | wc -c; echo x > /dev/null'), '5');
  assert.match(
    await shell([], 'mknod /tmp/m c 1 1 && cat /tmp/m 2>&1 | head -c 100'),
    /Operation not permitted/,
  );
  assert.equal(await shell([], 'df -k /dev/shm | tail -1 | awk "{print \\$2}"'), '65536');
});

test('--device adds one, with its permissions', async () => {
  assert.equal(
    await shell(['--device', '/dev/null:/dev/other'], 'stat -c %t:%T /dev/other; echo x > /dev/other'),
    '1:3',
  );
  assert.match(
    await shell(
      ['--device', '/dev/zero:/dev/ro:r'],
      'head -c 3 /dev/ro | wc -c; (echo x > /dev/ro) 2>&1 || true',
    ),
    /^3/,
  );
});

test('--read-only, with what stays writable', async () => {
  assert.match(await shell(['--read-only'], 'touch /x 2>&1 || true'), /Read-only file system/);
  assert.equal(
    await shell(
      ['--read-only', '--tmpfs', '/work:size=1m,mode=1777'],
      'touch /work/x /dev/shm/x && stat -c %a /work; df -k /work | tail -1 | awk "{print \\$2}"',
    ),
    '1777\n1024',
  );
});

test('--privileged lifts masks and read-only mounts', async () => {
  assert.match(
    await shell(['--privileged'], 'mount -t tmpfs t /tmp && echo mounted; ls /dev'),
    /mounted[\s\S]*kmsg/,
  );
});

test("the container's root cannot be left", async () => {
  assert.equal(
    await shell(
      [],
      'cd /; ls -di / | awk "{print \\$1}" > /tmp/a; cd ../../../..; ls -di . | awk "{print \\$1}" | cmp - /tmp/a && echo same',
    ),
    'same',
  );
  assert.doesNotMatch(
    await shell([], 'cat /proc/self/mountinfo'),
    new RegExp(`- ext4 [^ ]+ .* ${daemon.folder}/data /`),
  );
});
