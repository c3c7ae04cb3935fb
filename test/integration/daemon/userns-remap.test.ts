/** `--userns-remap`: the daemon's containers, builds and volumes with the subordinate IDs of a user. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { run } from '../command.ts';
import { daemonCommand } from '../engine.ts';
import { type Daemon, daemonWithBusybox } from '../harness.ts';

const FIRST = 700_000;

let daemon: Daemon;
let close: () => Promise<void>;
let configuration: string;
before(async () => {
  // The sandbox's mount namespace is its own: the host's account files stay as they are.
  mkdirSync('/run/etc/upper', { recursive: true });
  mkdirSync('/run/etc/work');
  execFileSync('mount', [
    '-t',
    'overlay',
    '-o',
    'lowerdir=/etc,upperdir=/run/etc/upper,workdir=/run/etc/work',
    'etc',
    '/etc',
  ]);
  subordinates('');
  configuration = '/run/daemon.json';
  configure({});
  ({ daemon, close } = await daemonWithBusybox(['--config-file', configuration]));
});
after(async () => {
  await close();
  execFileSync('umount', ['/etc']);
});

function subordinates(subuid: string, subgid = subuid): void {
  writeFileSync('/etc/subuid', subuid);
  writeFileSync('/etc/subgid', subgid);
}

function configure(content: object): void {
  writeFileSync(configuration, JSON.stringify(content));
}

/** The daemon, started again with another configuration. */
async function restart(content: object): Promise<void> {
  await daemon.stop();
  configure(content);
  await daemon.launch();
}

async function mapOf(...flags: string[]): Promise<string> {
  return (await daemon.ok('run', '--rm', ...flags, 'busybox', 'cat', '/proc/self/uid_map'))
    .replace(/ +/g, ' ')
    .trim();
}

test('a switch maps new containers; older ones, images and volumes stay as they are', async () => {
  assert.doesNotMatch(await daemon.ok('info', '--format', '{{.SecurityOptions}}'), /userns/);
  await daemon.ok(
    'run',
    '-d',
    '--name',
    'old',
    '-v',
    'data:/data',
    'busybox',
    'sh',
    '-c',
    'touch /mine /data/old; sleep 1000',
  );
  subordinates(`other:100000:65536\nmydock:${FIRST}:65536\nmydock:900000:1000\n`);
  await restart({ 'userns-remap': 'default' });
  assert.match(await daemon.ok('info', '--format', '{{.SecurityOptions}}'), /name=userns/);
  assert.equal(await mapOf(), `0 ${FIRST} 65536\n 65536 900000 1000`);
  assert.equal(await daemon.ok('exec', 'old', 'stat', '-c', '%u', '/mine'), '0');
  await daemon.ok('restart', '-t', '0', 'old');
  assert.match(await daemon.ok('exec', 'old', 'cat', '/proc/self/uid_map'), /^ +0 +0 +4294967295$/);
  await daemon.ok(
    'run',
    '-d',
    '--name',
    'new',
    '-v',
    'data:/data',
    'busybox',
    'sh',
    '-c',
    'touch /data/new; sleep 1000',
  );
  assert.equal(await daemon.ok('exec', 'new', 'stat', '-c', '%u', '/data/old', '/bin/busybox'), '0\n0');
  const pid = await daemon.inspect('new', '{{.State.Pid}}');
  assert.equal(statSync(`/proc/${pid}`).uid, FIRST);
  assert.equal(statSync(join(daemon.dataRoot, 'volumes/data/_data/old')).uid, 0);
  // Whoever gets out as the container's root owns nothing of the engine's.
  const mapped = ['-uid', `+${FIRST - 1}`, '-o', '-gid', `+${FIRST - 1}`];
  const owned = execFileSync('find', [daemon.dataRoot, '-xdev', ...mapped], { encoding: 'utf8' });
  assert.equal(owned, '');
  assert.equal(await daemon.inspect('new', '{{.HostConfig.UsernsMode}}'), '');
  await restart({});
  assert.match(
    await daemon.ok('exec', 'new', 'cat', '/proc/self/uid_map'),
    new RegExp(`^ +0 +${FIRST} +65536$`, 'm'),
  );
  await daemon.ok('restart', '-t', '0', 'new');
  assert.match(
    await daemon.ok('exec', 'new', 'cat', '/proc/self/uid_map'),
    new RegExp(`^ +0 +${FIRST} +65536$`, 'm'),
  );
  assert.match(await mapOf(), /^0 0 4294967295$/);
  await daemon.ok('rm', '-f', 'old', 'new');
  await daemon.ok('volume', 'rm', 'data');
});

test('opting out, ranges of their own, and what only root of the host may', async () => {
  subordinates(`dockremap:${FIRST}:65536\n`);
  await restart({ 'userns-remap': 'default' });
  assert.equal(await mapOf('--userns', 'host'), '0 0 4294967295');
  assert.equal(
    await mapOf('--userns', 'host', '--privileged', '--network', 'host', '--pid', 'host'),
    '0 0 4294967295',
  );
  const [, first = '0'] = (await mapOf('--userns', 'auto')).split(' ');
  assert.ok(Number(first) >= FIRST + 65536, first);
  for (const flags of [['--privileged'], ['--network', 'host'], ['--pid', 'host']]) {
    await daemon.fails(125, /user namespaces/, 'run', '--rm', ...flags, 'busybox', 'true');
  }
  await daemon.ok('run', '-d', '--name', 'host', '--userns', 'host', 'busybox', 'sleep', '1000');
  await daemon.fails(
    125,
    /is in the host's user namespace: use --userns host/,
    'run',
    '--rm',
    '--network',
    'container:host',
    'busybox',
  );
  assert.equal(await mapOf('--userns', 'host', '--network', 'container:host'), '0 0 4294967295');
  assert.equal(await mapOf('--userns', 'container:host'), '0 0 4294967295');
  await daemon.removeContainers();
});

test('a container whose network is of a container that was made anew starts', async () => {
  subordinates(`dockremap:${FIRST}:65536\n`);
  await restart({ 'userns-remap': 'default' });
  await daemon.ok('run', '-d', '--name', 'web', 'busybox', 'sleep', '1000');
  await daemon.ok('run', '-d', '--name', 'beside', '--network', 'container:web', 'busybox', 'sleep', '1000');
  await daemon.ok('rm', '-f', 'web');
  await daemon.fails(1, /No such container: web/, 'restart', '-t', '0', 'beside');
  await daemon.ok('run', '-d', '--name', 'web', 'busybox', 'sleep', '1000');
  await daemon.ok('start', 'beside');
  const namespaces = async (name: string): Promise<string> =>
    await daemon.ok('exec', name, 'sh', '-c', 'readlink /proc/self/ns/user; readlink /proc/self/ns/net');
  assert.equal(await namespaces('beside'), await namespaces('web'));
  await daemon.removeContainers();
});

test('steps of a build are mapped, and the image has unmapped owners', async () => {
  subordinates(`builder:${FIRST}:65536\n`);
  await restart({ 'userns-remap': 'builder' });
  const context = join(daemon.folder, 'context');
  mkdirSync(context);
  writeFileSync(
    join(context, 'Dockerfile'),
    'FROM busybox\nWORKDIR /w/x\nCOPY Dockerfile /w/\nRUN cat /proc/self/uid_map > map; touch f; chown 33:34 f; id -u\nRUN <<EOF\nstat -c %u:%g /w/x/f > /w/seen\nEOF\nUSER alice\nRUN id -u > /tmp/alice\n',
  );
  await daemon.ok('build', '-t', 'built', context);
  const seen = await daemon.ok(
    'run',
    '--rm',
    '--userns',
    'host',
    'built',
    'sh',
    '-c',
    'cd /w; cat x/map seen /tmp/alice; stat -c %u:%g x/f /w /w/x /w/Dockerfile /tmp/alice',
  );
  assert.equal(seen.replace(/ +/g, ' '), ` 0 ${FIRST} 65536\n33:34\n1000\n33:34\n0:0\n0:0\n0:0\n1000:1000`);
  const { stdout, stderr, code } = await daemon.mydock(['build', '--network', 'host', '--no-cache', context]);
  assert.notEqual(code, 0);
  assert.match(stdout + stderr, /cannot share the host's network namespace when user namespaces are enabled/);
  await daemon.ok('rmi', 'built');
});

test('IDs above those that signed numbers hold', async () => {
  subordinates('dockremap:4000000000:65536\n');
  await restart({ 'userns-remap': 'default' });
  await daemon.ok('run', '--name', 'high', '-v', '/home', '-w', '/made', 'busybox', 'touch', '/made/file');
  await daemon.ok('cp', '/etc/hosts', 'high:/home/alice/');
  await daemon.ok('commit', 'high', 'high');
  const list = 'stat -c %u:%g /home/alice /made /made/file; id -u';
  assert.equal(
    await daemon.ok('run', '--rm', '-u', 'alice', '--volumes-from', 'high', 'high', 'sh', '-c', list),
    '1000:1000\n0:0\n0:0\n1000',
  );
  await daemon.ok('rm', '-v', 'high');
  await daemon.ok('rmi', 'high');
});

test('users and groups, by name and number; what is wrong is said before anything is served', async () => {
  const attempt = async (remap: string): Promise<string> => {
    const place = {
      dataRoot: join(daemon.folder, 'never'),
      execRoot: '/run/never',
      socket: '/run/never.sock',
    };
    const result = await run(daemonCommand(place, ['--userns-remap', remap]));
    assert.equal(result.code, 1, result.stderr);
    return result.stdout + result.stderr;
  };
  subordinates('');
  assert.match(
    await attempt('default'),
    /\/etc\/subuid has no range for mydock or dockremap; add a line such as mydock:100000:65536/,
  );
  subordinates('a:100000:65536\n', '');
  assert.match(await attempt('a'), /\/etc\/subgid has no range for a; add a line such as a:100000:65536/);
  subordinates('a:0:10\n');
  assert.match(await attempt('a'), /from 0 on holds root of the host/);
  subordinates('a:10:10\na:15:10\n');
  assert.match(await attempt('a'), /ranges of .*a.* overlap at 15/);
  subordinates('a:10\n');
  assert.match(await attempt('a'), /\/etc\/subuid, line 1: .*a:10.* is no range of IDs/);
  assert.match(await attempt('a:b:c'), /it must be default, USER or USER:GROUP/);
  const daemonUser = /^daemon:[^:]*:(\d+)/m.exec(readFileSync('/etc/passwd', 'utf8'))?.[1] ?? '';
  subordinates(`daemon:${FIRST}:70000\n`, `daemon:${FIRST}:70000\nstaff:800000:65536\n`);
  await restart({ 'userns-remap': `${daemonUser}:staff` });
  assert.equal(await mapOf(), `0 ${FIRST} 70000`);
  assert.match(
    await daemon.ok('run', '--rm', 'busybox', 'cat', '/proc/self/gid_map'),
    /^ +0 +800000 +65536$/,
  );
});
