/**
 * mydock installed on a machine with systemd, started by its units as an administrator would: the socket starts the
 * daemon, group mydock may use it, containers outlive the daemon's restarts and its deaths, systemd's own reloads leave
 * their limits alone, and no client starts what systemd has stopped. Runs in the virtual machine of `make test-vm`,
 * which has `make install` in build/vm-install.
 */
import assert from 'node:assert/strict';
import { existsSync, readFileSync, readlinkSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { after, test } from 'node:test';
import { busyboxTar } from '../fixtures/catalog.ts';
import { eventually, type Result, run } from '../integration/command.ts';

const ROOT = resolve(import.meta.dirname, '../..');
const SOCKET = '/run/mydock.sock';
const LIMIT_BYTES = 48 * 1024 * 1024;

/** Runs a command that must succeed; its stdout without the last line feed. */
async function ok(...command: string[]): Promise<string> {
  const { code, stdout, stderr } = await run(command, { timeoutMs: 120_000 });
  assert.equal(code, 0, `${command.join(' ')}: ${code}\n${stderr}${stdout}`);
  return stdout.replace(/\n$/, '');
}

const unitState = async (unit: string): Promise<string> =>
  (await run(['systemctl', 'is-active', unit])).stdout.trim();

const mainPid = async (): Promise<number> =>
  Number(await ok('systemctl', 'show', '--property=MainPID', '--value', 'mydock.service'));

const pidOf = async (container: string): Promise<string> =>
  await ok('mydock', 'inspect', '--format', '{{.State.Pid}}', container);

/** The client as a user of the machine: nobody, in `groups`. */
async function asNobody(groups: string, ...args: string[]): Promise<Result> {
  const identity = ['--reuid=65534', '--regid=65534', `--groups=${groups}`];
  return await run(['setpriv', ...identity, 'env', 'HOME=/nonexistent', 'mydock', ...args]);
}

function cgroupOf(pid: string): string {
  const [, path = ''] = /^0::(.*)$/m.exec(readFileSync(`/proc/${pid}/cgroup`, 'utf8')) ?? [];
  return join('/sys/fs/cgroup', path);
}

after(async () => {
  await run(['sh', '-c', 'mydock rm -f $(mydock ps -aq)']);
  await run(['systemctl', 'stop', 'mydock.service', 'mydock.socket']);
});

test('make install, and well-formed units', async () => {
  assert.ok(existsSync('/run/systemd/system'), 'this machine runs systemd');
  await ok('cp', '-a', `${ROOT}/build/vm-install/.`, '/');
  await ok('groupadd', '--system', 'mydock');
  await ok('systemctl', 'daemon-reload');
  const { code, stderr } = await run([
    'systemd-analyze',
    '--man=no',
    'verify',
    'mydock.service',
    'mydock.socket',
  ]);
  assert.deepEqual([code, stderr], [0, '']);
});

test('the socket is there before the daemon, for root and group mydock', async () => {
  await ok('systemctl', 'enable', 'mydock.service');
  assert.equal(await ok('systemctl', 'is-enabled', 'mydock.socket'), 'enabled');
  await ok('systemctl', 'start', 'mydock.socket');
  const { mode, uid, gid } = statSync(SOCKET);
  const group = Number((await ok('getent', 'group', 'mydock')).split(':')[2]);
  assert.deepEqual([(mode & 0o777).toString(8), uid, gid], ['660', 0, group]);
  assert.equal(await unitState('mydock.service'), 'inactive');
});

test('who is not in the group is refused, and starts nothing', async () => {
  const { code, stderr } = await asNobody('65534', 'version');
  assert.equal(code, 1, stderr);
  assert.match(stderr, /permission denied/);
  assert.equal(await unitState('mydock.service'), 'inactive');
});

test('the first request of a member of the group starts the daemon', async () => {
  const group = (await ok('getent', 'group', 'mydock')).split(':')[2] ?? '';
  const { code, stdout, stderr } = await asNobody(group, 'version', '--format', '{{.Server.Version}}');
  assert.equal(code, 0, stderr);
  assert.match(stdout, /^\d+\.\d+/);
  assert.equal(await unitState('mydock.service'), 'active');
});

test('a container has its limits on cgroup v2, and they outlive a daemon-reload', async () => {
  const tar = await busyboxTar();
  const imported = await run(['mydock', 'import', '-', 'busybox'], { stdin: tar });
  assert.equal(imported.code, 0, imported.stderr);
  await ok(
    'mydock',
    'run',
    '-d',
    '--name',
    'lives',
    '-m',
    String(LIMIT_BYTES),
    '--pids-limit',
    '33',
    'busybox',
    'sleep',
    '1d',
  );
  const group = cgroupOf(await pidOf('lives'));
  const limits = (): string[] =>
    ['memory.max', 'pids.max'].map((file) => readFileSync(join(group, file), 'utf8').trim());
  assert.deepEqual(limits(), [String(LIMIT_BYTES), '33'], group);
  await ok('systemctl', 'daemon-reload');
  await ok('systemctl', 'set-property', '--runtime', 'mydock.service', 'CPUWeight=90');
  assert.deepEqual(limits(), [String(LIMIT_BYTES), '33'], 'after systemd went through its units');
});

/** That the container `lives` is what it was, and that the daemon which says so is systemd's. */
async function livesOn(pid: string, when: string): Promise<void> {
  assert.equal(await pidOf('lives'), pid, when);
  assert.equal(await ok('mydock', 'exec', 'lives', 'echo', 'here'), 'here', when);
  await isRunBySystemd(when);
}

async function isRunBySystemd(when: string): Promise<void> {
  assert.equal(await unitState('mydock.service'), 'active', when);
  const daemons = (await run(['pgrep', '-x', 'mydockd'])).stdout.trim();
  assert.equal(daemons, String(await mainPid()), `${when} there is systemd's daemon, and no other`);
}

test('it is confined by the default AppArmor profile', async () => {
  const profile = 'mydock-default (enforce)';
  assert.equal(await ok('mydock', 'exec', 'lives', 'cat', '/proc/1/attr/current'), profile);
  assert.equal(await ok('mydock', 'exec', 'lives', 'cat', '/proc/self/attr/current'), profile);
});

test('what the unit sets is not passed on: privileged containers have all that the machine has', async (context) => {
  const score = await run(['systemd-analyze', 'security', '--no-pager', 'mydock.service']);
  context.diagnostic(score.stdout.trim().split('\n').at(-1) ?? '');
  const field = (text: string, name: string): string =>
    new RegExp(`^${name}:\\s*(\\S+)`, 'm').exec(text)?.[1] ?? '';
  const inside = await ok(
    'mydock',
    'run',
    '--rm',
    '--privileged',
    'busybox',
    'cat',
    '/proc/self/status',
    '/proc/self/oom_score_adj',
  );
  const machine = readFileSync('/proc/1/status', 'utf8');
  for (const name of ['CapBnd', 'NoNewPrivs', 'Seccomp', 'Seccomp_filters'])
    assert.equal(field(inside, name), field(machine, name), name);
  assert.match(inside, /\n0$/, 'the score of the daemon is its own');
  const pid = await mainPid();
  assert.equal(
    readlinkSync(`/proc/${pid}/ns/mnt`),
    readlinkSync('/proc/1/ns/mnt'),
    "its mounts are the machine's",
  );
  await ok('mkdir', '-p', '/srv/shared');
  await ok('mount', '--bind', '--make-rshared', '/srv/shared', '/srv/shared');
  await ok(
    'mydock',
    'run',
    '--rm',
    '--privileged',
    '-v',
    '/srv/shared:/mnt:rshared',
    'busybox',
    'sh',
    '-c',
    'mkdir -p /mnt/inner && mount -t tmpfs tmpfs /mnt/inner && touch /mnt/inner/there',
  );
  assert.ok(
    existsSync('/srv/shared/inner/there'),
    'what it mounts below a shared folder is there for the machine',
  );
  await ok('umount', '-R', '/srv/shared');
});

test('a takeover beside the unit is refused; a restart of it keeps all clients', async () => {
  const taken = await run(['mydockd', '--takeover', '--host', 'unix:///run/mydock.sock']);
  assert.equal(taken.code, 1);
  assert.match(taken.stdout + taken.stderr, /systemctl restart mydock\.service/);
  const clients = Array.from({ length: 3 }, () => run(['mydock', 'ps', '-q'], { timeoutMs: 120_000 }));
  await ok('systemctl', 'restart', 'mydock.service');
  clients.push(run(['mydock', 'ps', '-q'], { timeoutMs: 120_000 }));
  assert.equal((await clients.at(-1))?.code, 0);
  await Promise.all(clients);
});

test('containers outlive a restart and a stop of the daemon', async () => {
  const container = await pidOf('lives');
  await ok('systemctl', 'restart', 'mydock.service');
  await livesOn(container, 'after a restart');
  await ok('systemctl', 'stop', 'mydock.service', 'mydock.socket');
  assert.ok(existsSync(`/proc/${container}`), 'it runs without a daemon');
  await ok('systemctl', 'start', 'mydock.socket');
  await livesOn(container, 'after a stop');
});

test('a daemon that crashes again and again is started again, waited for by clients, and says so', async () => {
  const container = await pidOf('lives');
  for (const crash of [1, 2, 3, 4]) {
    const old = await mainPid();
    process.kill(old, 'SIGKILL');
    await eventually('systemd sees its end', async () => (await mainPid()) !== old);
    await livesOn(container, `after crash ${crash}`);
  }
  const said = await ok('journalctl', '--unit=mydock.service', '--no-pager', '--output=cat');
  assert.match(said, /the last mydockd did not end by itself/);
});

test('a configuration that cannot be used fails the service, and clients are told', async () => {
  await ok('mkdir', '-p', '/etc/mydock');
  writeFileSync('/etc/mydock/daemon.json', '{"no-such-key": 1}');
  try {
    await ok('systemctl', 'restart', 'mydock.service');
    await eventually('the service fails', async () => (await unitState('mydock.service')) === 'failed');
    // The socket listens still, and a request starts the service anew, but not for ever.
    const waiting = await run(['mydock', 'version'], { timeoutMs: 120_000 });
    assert.equal(waiting.code, 1, waiting.stderr);
    await eventually('the socket is given up', async () => (await unitState('mydock.socket')) === 'failed');
    const told = await run(['mydock', 'ps']);
    assert.equal(told.code, 1);
    assert.match(told.stderr, /mydock\.service has failed \(.+\): `journalctl -u mydock\.service` says why/);
    const said = await ok('journalctl', '--unit=mydock.service', '--no-pager', '--output=cat');
    assert.match(said, /no-such-key/);
  } finally {
    rmSync('/etc/mydock/daemon.json');
  }
  await ok('systemctl', 'start', 'mydock.service');
  await livesOn(await pidOf('lives'), 'after the configuration was mended');
});

test('what the administrator has stopped no client starts; `mydock daemon` works the service', async () => {
  const container = await pidOf('lives');
  await ok('systemctl', 'stop', 'mydock.socket', 'mydock.service');
  const refused = await run(['mydock', 'ps']);
  assert.equal(refused.code, 1, refused.stdout);
  assert.match(refused.stderr, /mydock\.service is not started: `systemctl start mydock\.service` starts it/);
  const withOptions = await run(['mydock', 'daemon', 'start', '--debug']);
  assert.equal(withOptions.code, 1, withOptions.stdout);
  assert.match(withOptions.stderr, /systemd starts the daemon here .*\/etc\/mydock\/daemon\.json/);
  assert.equal((await run(['pgrep', '-x', 'mydockd'])).stdout, '');
  await ok('mydock', 'daemon', 'start');
  await livesOn(container, 'after `mydock daemon start`');
  await ok('mydock', 'daemon', 'stop');
  assert.deepEqual(
    [await unitState('mydock.service'), await unitState('mydock.socket')],
    ['inactive', 'inactive'],
  );
  assert.ok(existsSync(`/proc/${container}`), 'it runs without a daemon');
  await ok('systemctl', 'start', 'mydock.service');
  await livesOn(container, 'after a start by hand');
});

test('the journal has what the daemon says', async () => {
  await eventually('a line of the daemon', async () =>
    /"msg":/.test(await ok('journalctl', '--unit=mydock.service', '--no-pager', '--output=cat')),
  );
});

test('the journald log driver writes where journalctl finds it', async () => {
  await ok(
    'mydock',
    'run',
    '--name',
    'speaks',
    '--log-driver',
    'journald',
    'busybox',
    'echo',
    'said to the journal',
  );
  await eventually('the line', async () =>
    /said to the journal/.test(await ok('journalctl', 'CONTAINER_NAME=speaks', '--no-pager', '--output=cat')),
  );
});
