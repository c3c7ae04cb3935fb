/** `run` flags about the process: environment, user, groups, directory, host name, terminal, init, limits, sysctls. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
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

/** Output of a shell line in a new container with these flags. */
async function shell(flags: readonly string[], line: string): Promise<string> {
  return await daemon.ok('run', '--rm', ...flags, 'busybox', 'sh', '-c', line);
}

test('-e sets, overrides and passes through; PATH and HOSTNAME are there', async () => {
  const env = { PASSED: 'from the client', UNSET_ONE: undefined };
  const args = [
    'run',
    '--rm',
    '-h',
    'box',
    '-e',
    'A=1',
    '-e',
    'EMPTY=',
    '-e',
    'PASSED',
    '-e',
    'UNSET_ONE',
    '-e',
    'EQ=a=b',
  ];
  const result = await daemon.mydock([...args, 'busybox', 'env'], { env });
  const lines = result.stdout.trim().split('\n').sort();
  assert.deepEqual(lines, [
    'A=1',
    'EMPTY=',
    'EQ=a=b',
    'HOME=/root',
    'HOSTNAME=box',
    'PASSED=from the client',
    'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
  ]);
});

test('--env-file, with comments and -e on top of it', async () => {
  const file = join(daemon.folder, 'env');
  writeFileSync(file, '# comment\nONE=1\n\nTWO=has spaces \nOVER=file\nFROM_CLIENT\n');
  const args = [
    'run',
    '--rm',
    '--env-file',
    file,
    '-e',
    'OVER=flag',
    'busybox',
    'sh',
    '-c',
    'echo "$ONE|$TWO|$OVER|$FROM_CLIENT"',
  ];
  const result = await daemon.mydock(args, { env: { FROM_CLIENT: 'yes' } });
  assert.equal(result.stdout, '1|has spaces |flag|yes\n');
});

test('-u takes names, numbers and groups', async () => {
  assert.equal(
    await shell(['-u', 'alice'], 'id; echo $HOME'),
    'uid=1000(alice) gid=1000(alice) groups=50(staff),1000(alice)\n/home/alice',
  );
  assert.equal(await shell(['-u', '1234:50'], 'id -u; id -g; echo $HOME'), '1234\n50\n/');
  assert.equal(await shell(['-u', '1234'], 'id -u; id -g'), '1234\n0');
  assert.equal(await shell(['-u', 'daemon:staff'], 'id -un; id -gn'), 'daemon\nstaff');
  await daemon.fails(
    125,
    /unable to find user nobody-here: no matching entries in passwd file/,
    'run',
    '--rm',
    '-u',
    'nobody-here',
    'busybox',
  );
});

test('--group-add adds to the groups', async () => {
  assert.equal(
    await shell(['-u', '1234:1234', '--group-add', 'staff', '--group-add', '77'], 'id -G'),
    '1234 50 77',
  );
});

test('-w, made where it is missing', async () => {
  assert.equal(await shell([], 'pwd'), '/');
  assert.equal(await shell(['-w', '/made/new'], 'pwd; ls -ld . | cut -c1-10'), '/made/new\ndrwxr-xr-x');
  await daemon.fails(
    125,
    /working directory '?relative'? is invalid, it needs to be an absolute path/,
    'run',
    '--rm',
    '-w',
    'relative',
    'busybox',
  );
});

test('--hostname, --add-host and --dns show in /etc', async () => {
  const flags = [
    '-h',
    'box',
    '--add-host',
    'other:10.1.2.3',
    '--add-host',
    'six:2001:db8::1',
    '--dns',
    '10.9.9.9',
    '--dns-search',
    'example.org',
    '--dns-option',
    'ndots:2',
  ];
  const output = await shell(flags, 'hostname; cat /etc/hostname; cat /etc/hosts; cat /etc/resolv.conf');
  assert.match(output, /^box\nbox\n/);
  assert.match(output, /^127\.0\.0\.1\tlocalhost$/m);
  assert.match(output, /^10\.1\.2\.3\tother$/m);
  assert.match(output, /^2001:db8::1\tsix$/m);
  assert.match(output, /^172\.17\.0\.\d+\tbox$/m);
  assert.match(output, /^nameserver 10\.9\.9\.9$/m);
  assert.match(output, /^search example\.org$/m);
  assert.match(output, /^options ndots:2$/m);
});

test('without --hostname it is the short ID', async () => {
  const id = await daemon.ok('run', '-d', 'busybox', 'hostname');
  await daemon.ok('wait', id);
  assert.equal(await daemon.ok('logs', id), id.slice(0, 12));
  await daemon.ok('rm', id);
});

test('--init runs the program as a child of an init that reaps', async () => {
  const line =
    'sh -c "(sleep 0.1 &) ; true"; sleep 0.6; cat /proc/1/comm; ps -o pid,stat,comm | grep -c " Z" || true';
  const output = await shell(['--init'], line);
  assert.doesNotMatch(output, /^sh$/m);
  assert.match(output, /^0$/m);
  assert.equal((await daemon.mydock(['run', '--rm', '--init', 'busybox', 'sh', '-c', 'exit 9'])).code, 9);
});

test('--ulimit', async () => {
  assert.equal(
    await shell(['--ulimit', 'nofile=512:600', '--ulimit', 'core=0'], 'ulimit -Sn; ulimit -Hn; ulimit -c'),
    '512\n600\n0',
  );
  await daemon.fails(
    125,
    /invalid ulimit type: nonsense|invalid ulimit/,
    'run',
    '--rm',
    '--ulimit',
    'nonsense=1',
    'busybox',
  );
});

test('--sysctl sets what the container owns, and nothing else', async () => {
  assert.equal(
    await shell(
      ['--sysctl', 'net.ipv4.ip_unprivileged_port_start=99'],
      'cat /proc/sys/net/ipv4/ip_unprivileged_port_start',
    ),
    '99',
  );
  const refused = await daemon.mydock(['run', '--rm', '--sysctl', 'vm.swappiness=1', 'busybox', 'true']);
  assert.equal(refused.code, 125, refused.stderr);
});

test('--stop-signal and --stop-timeout are what stop uses', async () => {
  const line = 'trap "echo got USR1; exit 5" USR1; echo on; while :; do sleep 0.1; done';
  await daemon.ok('run', '-d', '--name', 'stopper', '--stop-signal', 'SIGUSR1', 'busybox', 'sh', '-c', line);
  await eventually('it listens', async () => (await daemon.ok('logs', 'stopper')) === 'on');
  await daemon.ok('stop', 'stopper');
  assert.equal(await daemon.inspect('stopper', '{{.State.ExitCode}}'), '5');
  await daemon.ok('rm', 'stopper');
  await daemon.ok(
    'run',
    '-d',
    '--name',
    'stubborn',
    '--stop-timeout',
    '1',
    'busybox',
    'sh',
    '-c',
    'trap "" TERM; while :; do sleep 0.1; done',
  );
  await daemon.ok('stop', 'stubborn');
  // By the daemon's own clock: the command line's start would count on a busy machine.
  const filters = encodeURIComponent(JSON.stringify({ container: ['stubborn'], event: ['kill'] }));
  const { text } = await daemon.api('GET', `/events?since=0&until=${Date.now() / 1000}&filters=${filters}`);
  const [first = 0, second = 0] = text
    .trim()
    .split('\n')
    .map((event) => (JSON.parse(event) as { timeNano: number }).timeNano / 1e6);
  assert.ok(second - first > 900 && second - first < 9500, `SIGKILL after ${second - first} ms`);
  assert.equal(await daemon.inspect('stubborn', '{{.State.ExitCode}}'), '137');
  await daemon.ok('rm', 'stubborn');
});

test('--label', async () => {
  const id = await daemon.ok('create', '--label', 'a=1', '-l', 'b', 'busybox');
  assert.equal(await daemon.inspect(id, '{{json .Config.Labels}}'), '{"a":"1","b":"","fixture":"busybox"}');
  await daemon.ok('rm', id);
});
