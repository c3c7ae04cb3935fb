/** Containers with user namespaces of their own (`--userns auto`): who they are, whose files are whose, what they cannot do. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { after, afterEach, before, test } from 'node:test';
import { addon } from '../../../src/native/addon.ts';
import { eventually } from '../command.ts';
import { CLIENT } from '../engine.ts';
import { type Daemon, daemonWithBusybox } from '../harness.ts';

let daemon: Daemon;
let close: () => Promise<void>;
before(async () => {
  ({ daemon, close } = await daemonWithBusybox());
});
afterEach(async () => await daemon.removeContainers());
after(async () => await close());

async function run(flags: readonly string[], line: string): Promise<string> {
  return await daemon.ok('run', '--rm', '--userns', 'auto', ...flags, 'busybox', 'sh', '-c', line);
}

async function start(name: string, flags: readonly string[] = [], line = 'sleep 1000'): Promise<number> {
  await daemon.ok('run', '-d', '--name', name, '--userns', 'auto', ...flags, 'busybox', 'sh', '-c', line);
  return Number(await daemon.inspect(name, '{{.State.Pid}}'));
}

async function exec(name: string, line: string): Promise<string> {
  return await daemon.ok('exec', name, 'sh', '-c', line);
}

/** A daemon remembers for some seconds which ranges other processes were in; the next one looks anew. */
async function relaunch(): Promise<void> {
  await daemon.stop();
  await daemon.launch();
}

/** The first ID of the host that stands for the container's. */
function firstId(pid: number): number {
  return Number(readFileSync(`/proc/${pid}/uid_map`, 'utf8').trim().split(/\s+/)[1]);
}

function owner(path: string): string {
  const { uid, gid } = statSync(path);
  return `${uid}:${gid}`;
}

async function upper(name: string): Promise<string> {
  return await daemon.inspect(name, '{{.GraphDriver.Data.UpperDir}}');
}

test('root of the container is nobody on the host, and every container is somebody else', async () => {
  const [first, second] = [await start('first'), await start('second', ['--userns', 'auto:size=1000'])];
  const [a, b] = [firstId(first), firstId(second)];
  assert.ok(a >= 65536 && b >= 65536, `${a} and ${b}`);
  assert.ok(a + 65536 <= b || b + 1000 <= a, `ranges from ${a} and ${b} overlap`);
  assert.equal(await exec('first', 'id -u; cat /proc/self/uid_map | tr -s " "'), `0\n 0 ${a} 65536`);
  assert.equal(await exec('second', 'cat /proc/self/gid_map | tr -s " "'), ` 0 ${b} 1000`);
  assert.equal(statSync(`/proc/${first}`).uid, a);
  assert.match(
    readFileSync(`/proc/${first}/status`, 'utf8'),
    new RegExp(`^Uid:\\t${a}\\t${a}\\t${a}\\t${a}$`, 'm'),
  );
  assert.equal(await daemon.inspect('second', '{{.HostConfig.UsernsMode}}'), 'auto:size=1000');
  assert.match(await daemon.ok('top', 'first', '-o', 'uid,pid'), new RegExp(`^ *${a} +${first}$`, 'm'));
  await daemon.ok('rm', '-f', 'first');
  await relaunch();
  assert.equal(firstId(await start('third')), a, 'a range that was given back is given out again');
});

test('ranges are kept over restarts of containers and daemons, and never given out twice', async () => {
  const first = firstId(await start('first'));
  await daemon.ok('create', '--name', 'second', '--userns', 'auto', 'busybox', 'sleep', '1000');
  await daemon.stop('SIGKILL');
  await daemon.launch();
  const third = firstId(await start('third'));
  await daemon.ok('start', 'second');
  const second = firstId(Number(await daemon.inspect('second', '{{.State.Pid}}')));
  assert.equal(new Set([first, second, third]).size, 3);
  assert.equal(await exec('first', 'id -u'), '0', 'what ran goes on, and can be entered');
  await daemon.ok('restart', '-t', '0', 'first');
  assert.equal(firstId(Number(await daemon.inspect('first', '{{.State.Pid}}'))), first);
  const { code, stderr } = await daemon.mydock(['create', '--userns', 'auto:size=4000000000', 'busybox']);
  assert.equal(code, 1);
  assert.match(stderr, /cannot find 4000000000 unused user IDs for --userns auto/);
});

test('a range is held for as long as somebody is in it: by those that have joined, after its first container', async () => {
  await relaunch();
  const first = firstId(await start('first'));
  await daemon.ok(
    'run',
    '-d',
    '--name',
    'joined',
    '--network',
    'container:first',
    'busybox',
    'sleep',
    '1000',
  );
  await daemon.ok('rm', '-f', 'first');
  assert.equal(await exec('joined', 'id -u'), '0', 'it runs on, and can be entered');
  assert.notEqual(firstId(await start('second')), first);
  await daemon.stop('SIGKILL');
  await daemon.launch();
  assert.notEqual(firstId(await start('third')), first, 'a later daemon knows of it as well');
  await daemon.ok('rm', '-f', 'joined');
  await relaunch();
  assert.equal(firstId(await start('fourth')), first);
});

test('what a killed daemon has left of namespaces and mapped mounts is taken away', async () => {
  await start('kept');
  await daemon.stop('SIGKILL');
  const id = 'ab'.repeat(32);
  const pin = join(daemon.execRoot, 'userns', id);
  writeFileSync(pin, '');
  execFileSync('mount', ['--bind', '/proc/self/ns/user', pin]);
  const probe = join(daemon.dataRoot, '.tmp-userns-left');
  const mapped = join(daemon.execRoot, 'images', `${id}@00112233`);
  for (const folder of [mapped, join(probe, 'mapped/lower@1'), join(probe, 'target')]) {
    mkdirSync(folder, { recursive: true });
    execFileSync('mount', ['--bind', daemon.folder, folder]);
  }
  mkdirSync(join(daemon.dataRoot, '.tmp-userns-begun'));
  await daemon.launch();
  for (const path of [pin, mapped, probe, join(daemon.dataRoot, '.tmp-userns-begun')]) {
    assert.equal(existsSync(path), false, path);
  }
  assert.ok(existsSync(join(daemon.folder, 'log')), 'only mounts were taken away');
  assert.equal(await exec('kept', 'id -u'), '0');
  assert.deepEqual(readdirSync(join(daemon.execRoot, 'userns')), [await daemon.inspect('kept', '{{.Id}}')]);
});

test('on the disk files have the owners that the container sees', async () => {
  const pid = await start(
    'box',
    ['-w', '/made/by/us'],
    'touch /root-file; cp /bin/busybox /suid; chmod 4755 /suid; sleep 1000',
  );
  await eventually('the file is there', async () => (await exec('box', 'ls /')).includes('suid'));
  await exec(
    'box',
    'touch /theirs; chown 33:34 /theirs; chown -R alice /home; rm /etc/profile; mkdir /etc/new',
  );
  assert.equal(
    await exec('box', 'stat -c %u:%g /theirs / /etc/passwd /etc/hosts /made/by/us /dev/shm /tmp'),
    '33:34\n0:0\n0:0\n0:0\n0:0\n0:0\n0:0',
  );
  const folder = await upper('box');
  assert.equal(owner(join(folder, 'theirs')), '33:34');
  assert.equal(owner(join(folder, 'root-file')), '0:0');
  assert.equal(statSync(`/proc/${pid}/root/theirs`).uid, firstId(pid) + 33);
  const changes = await daemon.ok('diff', 'box');
  assert.match(changes, /^A \/theirs$/m);
  assert.match(changes, /^D \/etc\/profile$/m);
  assert.doesNotMatch(changes, /bin\/|\/proc|resolv/);
  await daemon.ok('commit', 'box', 'kept');
  assert.equal(
    await daemon.ok('run', '--rm', 'kept', 'stat', '-c', '%u:%g', '/theirs', '/root-file'),
    '33:34\n0:0',
  );
  const tar = join(daemon.folder, 'export.tar');
  await daemon.ok('export', '-o', tar, 'box');
  const list = execFileSync('tar', ['--numeric-owner', '-tvf', tar], { encoding: 'utf8' });
  assert.match(list, /33\/34 .* theirs$/m);
  assert.match(list, /^-rwsr-xr-x 0\/0 .* suid$/m);
  assert.doesNotMatch(list, new RegExp(String(firstId(pid)).slice(0, 5)));
  const difference = await daemon.mydock(['image', 'diff', '--format', 'json', 'container:box']);
  assert.equal(difference.code, 1, difference.stderr);
  assert.match(difference.stdout, /theirs/);
  assert.doesNotMatch(difference.stdout, new RegExp(String(firstId(pid)).slice(0, 5)));
  await daemon.ok('rmi', 'kept');
});

test('file capabilities of an image count, for the container alone; archives have them as images do', async () => {
  const tree = join(daemon.folder, 'capabilities');
  mkdirSync(join(tree, 'able'), { recursive: true });
  const tar = join(daemon.folder, 'busybox.tar');
  await daemon.ok('create', '--name', 'plain', 'busybox');
  await daemon.ok('export', '-o', tar, 'plain');
  const unpack = (from: string): void => {
    execFileSync('tar', ['--xattrs', '--xattrs-include=*', '--numeric-owner', '-xpf', from, '-C', tree]);
  };
  unpack(tar);
  // struct vfs_cap_data, version 2, effective: CAP_DAC_OVERRIDE.
  const capability = Buffer.from('0100000202000000000000000000000000000000', 'hex');
  copyFileSync(join(tree, 'bin/busybox'), join(tree, 'able/cat'));
  chmodSync(join(tree, 'able/cat'), 0o755);
  addon().setXattr(join(tree, 'able/cat'), 'security.capability', capability);
  writeFileSync(join(tree, 'secret'), 'of root', { mode: 0o600 });
  execFileSync('tar', ['--xattrs', '--xattrs-include=*', '-cf', tar, '-C', tree, '.']);
  await daemon.ok('import', tar, 'able');
  const asAlice = ['run', '--rm', '--userns', 'auto', '-u', 'alice', 'able'];
  assert.equal(await daemon.ok(...asAlice, '/able/cat', '/secret'), 'of root');
  await daemon.fails(1, /Permission denied/, ...asAlice, '/bin/cat', '/secret');
  await daemon.ok('run', '--name', 'changed', '--userns', 'auto', 'able', 'chown', '0', '/secret');
  await daemon.ok('export', '-o', tar, 'changed');
  unpack(tar);
  const found = addon()
    .listXattrs(join(tree, 'able/cat'))
    .find(({ name }) => name === 'security.capability');
  assert.equal(found?.value.toString('hex'), capability.toString('hex'));
  const difference = await daemon.mydock(['image', 'diff', '--only', 'files', 'container:changed']);
  assert.equal(difference.code, 0, difference.stdout);
  await daemon.ok('rm', 'plain', 'changed');
  await daemon.ok('rmi', 'able');
});

test('access lists name whom the container sees: on the disk, and in archives both ways', async () => {
  const pid = await start('lists', [], 'touch /file; sleep 1000');
  const file = `/proc/${pid}/root/file`;
  await eventually('the file is there', () => existsSync(file));
  // acl(5) as an extended attribute: user 1000 may read, write and execute.
  const list = (user: number): Buffer => {
    const entries = [
      [1, 6, -1],
      [2, 7, user],
      [4, 4, -1],
      [16, 7, -1],
      [32, 4, -1],
    ] as const;
    const value = Buffer.alloc(4 + entries.length * 8);
    value.writeUInt32LE(2);
    entries.forEach(([tag, mode, id], index) => {
      value.writeUInt16LE(tag, 4 + index * 8);
      value.writeUInt16LE(mode, 6 + index * 8);
      value.writeUInt32LE(id >>> 0, 8 + index * 8);
    });
    return value;
  };
  const name = 'system.posix_acl_access';
  const listOf = (path: string): string | undefined =>
    addon()
      .listXattrs(path)
      .find((xattr) => xattr.name === name)
      ?.value.toString('hex');
  addon().setXattr(file, name, list(firstId(pid) + 1000));
  const seen = list(1000).toString('hex');
  assert.equal(listOf(join(await upper('lists'), 'file')), seen);
  const place = ['--host', `unix://${daemon.socket}`];
  const tar = execFileSync(CLIENT, [...place, 'cp', 'lists:/file', '-']);
  const at = tar.indexOf(Buffer.concat([Buffer.from(`SCHILY.xattr.${name}=`), list(1000)]));
  assert.ok(at > 0, 'the archive has it as the container sees it');
  await daemon.ok('exec', 'lists', 'mkdir', '/into');
  const { code, stderr } = await daemon.mydock(['cp', '-', 'lists:/into'], { stdin: tar });
  assert.equal(code, 0, stderr);
  assert.equal(listOf(`/proc/${pid}/root/into/file`), list(firstId(pid) + 1000).toString('hex'));
  list(70_000).copy(tar, tar.indexOf(list(1000)));
  const beyond = await daemon.mydock(['cp', '-', 'lists:/into'], { stdin: tar });
  assert.equal(beyond.code, 1);
  assert.match(beyond.stderr, /names the user 70000, which the container's user namespace does not have/);
});

test('cp in and out, of running and of stopped containers', async () => {
  const source = join(daemon.folder, 'source');
  mkdirSync(join(source, 'inner'), { recursive: true });
  writeFileSync(join(source, 'inner', 'file'), 'text');
  chownSync(join(source, 'inner', 'file'), 33, 34);
  await daemon.ok(
    'create',
    '--name',
    'box',
    '--userns',
    'auto',
    '-v',
    'cp-volume:/mnt/deep/data',
    'busybox',
    'sleep',
    '1000',
  );
  await daemon.ok('cp', '-a', source, 'box:/before');
  await daemon.ok('cp', '-a', source, 'box:/mnt/deep/data/in-volume');
  await daemon.ok('start', 'box');
  await daemon.ok('cp', '-a', source, 'box:/running');
  await daemon.ok('cp', source, 'box:/plain');
  await daemon.ok('cp', '-a', source, 'box:/mnt/deep/data/again');
  assert.equal(
    await exec(
      'box',
      'cd /; stat -c %u:%g before/inner/file running/inner/file plain/inner/file mnt/deep/data/*/inner/file; cat running/inner/file',
    ),
    '33:34\n33:34\n33:34\n33:34\n33:34\ntext',
  );
  assert.equal(owner(join(daemon.dataRoot, 'volumes/cp-volume/_data/in-volume/inner/file')), '33:34');
  for (const state of ['running', 'stopped']) {
    const target = join(daemon.folder, `out-${state}`);
    await daemon.ok('cp', '-a', 'box:/running', target);
    assert.equal(owner(join(target, 'inner/file')), '33:34', state);
    await daemon.ok('stop', '-t', '0', 'box');
  }
  chownSync(join(source, 'inner', 'file'), 70_000, 0);
  await daemon.fails(
    1,
    /belongs to 70000:0, which the container's user namespace does not have/,
    'cp',
    '-a',
    source,
    'box:/beyond',
  );
  await daemon.ok('rm', 'box');
  await daemon.ok('volume', 'rm', 'cp-volume');
});

test('volumes hold the owners that containers see, whatever their ranges are; copy-up as well', async () => {
  await daemon.ok('volume', 'create', 'shared');
  await run(
    ['-v', 'shared:/v'],
    'touch /v/of-root; touch /v/of-alice; chown alice /v/of-alice; chmod 600 /v/*',
  );
  const folder = join(daemon.dataRoot, 'volumes/shared/_data');
  assert.equal(owner(join(folder, 'of-root')), '0:0');
  assert.equal(owner(join(folder, 'of-alice')), '1000:0');
  assert.equal(
    await run(['-v', 'shared:/v'], 'stat -c %u /v/of-root /v/of-alice; cat /v/of-root'),
    '0\n1000',
  );
  assert.equal(
    await daemon.ok('run', '--rm', '-v', 'shared:/v', 'busybox', 'stat', '-c', '%u', '/v/of-alice'),
    '1000',
  );
  assert.equal(
    await run(['-u', 'alice', '-v', 'shared:/v'], 'cat /v/of-root 2>&1; id -u'),
    "cat: can't open '/v/of-root': Permission denied\n1000",
  );
  assert.equal(
    await run(['-v', 'filled:/home'], 'stat -c %u /home /home/alice'),
    '0\n1000',
    'filled from the image',
  );
  assert.equal(owner(join(daemon.dataRoot, 'volumes/filled/_data/alice')), '1000:1000');
  assert.equal(
    await run(
      ['--mount', 'type=image,src=busybox,dst=/image'],
      'stat -c %u /image/etc/passwd /image/home/alice',
    ),
    '0\n1000',
  );
  assert.equal(await run(['--tmpfs', '/t:uid=1000,mode=700'], 'stat -c %u:%a /t'), '1000:700');
  // What root of a container leaves there set-ID belongs to root of the host.
  assert.equal(
    statSync(join(daemon.dataRoot, 'volumes')).mode & 0o077,
    0,
    'no user of the host gets at volumes',
  );
  await daemon.ok('volume', 'rm', 'shared', 'filled');
});

test("folders of the host keep the host's owners, unless they are mapped by name", async () => {
  const folder = join(daemon.folder, 'host');
  mkdirSync(folder, { mode: 0o755 });
  writeFileSync(join(folder, 'secret'), 'of the host', { mode: 0o600 });
  writeFileSync(join(folder, 'readable'), 'text', { mode: 0o644 });
  assert.equal(
    await run(
      ['-v', `${folder}:/m`],
      'stat -c %u /m/secret; cat /m/readable; cat /m/secret 2>&1; touch /m/new 2>&1; rm -f /m/readable 2>&1; chown 0 /m/secret 2>&1; chmod 666 /m/secret 2>&1; true',
    ),
    [
      '65534',
      "textcat: can't open '/m/secret': Permission denied",
      'touch: /m/new: Permission denied',
      "rm: can't remove '/m/readable': Permission denied",
      'chown: /m/secret: Operation not permitted',
      'chmod: /m/secret: Operation not permitted',
    ].join('\n'),
  );
  assert.deepEqual(readdirSync(folder).sort(), ['readable', 'secret']);
  chownSync(folder, 4321, 8765);
  await run(['-v', `${folder}:/m:idmap`], 'stat -c %u:%g /m >&2; touch /m/by-owner');
  assert.equal(owner(join(folder, 'by-owner')), '4321:8765');
  assert.equal(
    await run(
      ['--mount', `type=bind,src=${folder},dst=/m,idmap=uids=4321-1000-1;gids=8765-1000-1`],
      'stat -c %u:%g /m /m/secret',
    ),
    '1000:1000\n65534:65534',
  );
  chownSync(folder, 0, 0);
  await daemon.fails(
    125,
    /idmap=owner: .* belongs to root, whose files are not given/,
    'run',
    '--rm',
    '--userns',
    'auto',
    '-v',
    `${folder}:/m:idmap`,
    'busybox',
  );
  await daemon.fails(
    125,
    /user namespace does not have all of those uids/,
    'run',
    '--rm',
    '--userns',
    'auto:size=1000',
    '--mount',
    `type=bind,src=${folder},dst=/m,idmap=uids=0-1000-1`,
    'busybox',
  );
});

test('volumes of a folder of the host keep its owners; file systems that cannot map IDs are named', async () => {
  const folder = join(daemon.folder, 'of-the-host');
  mkdirSync(folder);
  writeFileSync(join(folder, 'file'), '', { mode: 0o600 });
  await daemon.ok('volume', 'create', '-o', 'type=none', '-o', 'o=bind', '-o', `device=${folder}`, 'bound');
  assert.equal(
    await run(['-v', 'bound:/v'], 'stat -c %u /v /v/file; touch /v/x 2>&1; true'),
    '65534\n65534\ntouch: /v/x: Permission denied',
  );
  await daemon.ok('volume', 'create', '-o', 'type=tmpfs', '-o', 'device=tmpfs', '-o', 'o=uid=33', 'memory');
  assert.equal(await run(['-v', 'memory:/v'], 'stat -c %u /v'), '33');
  const parts = ['lower', 'upper', 'work'].map((name) => join(daemon.folder, name));
  for (const part of parts) mkdirSync(part);
  const [lower, above, work] = parts;
  await daemon.ok(
    'volume',
    'create',
    '-o',
    'type=overlay',
    '-o',
    'device=overlay',
    '-o',
    `o=lowerdir=${lower},upperdir=${above},workdir=${work}`,
    'stacked',
  );
  await daemon.fails(
    125,
    /IDs cannot be mapped on .*stacked\/_data.*overlay/,
    'run',
    '--rm',
    '--userns',
    'auto',
    '-v',
    'stacked:/v',
    'busybox',
  );
  assert.equal(await daemon.ok('run', '--rm', '-v', 'stacked:/v', 'busybox', 'stat', '-c', '%u', '/v'), '0');
  await daemon.ok('volume', 'rm', 'bound', 'memory', 'stacked');
});

test('the network is its own: addresses, ports, names, ping, sysctls', async () => {
  await daemon.ok('network', 'create', 'names');
  try {
    await start(
      'web',
      ['--network', 'names', '-p', '127.0.0.1:18080:80'],
      'mkdir /w; echo hello > /w/index.html; httpd -f -p 80 -h /w',
    );
    await eventually(
      'the port answers',
      async () =>
        (await fetch('http://127.0.0.1:18080/').then(
          (answer) => answer.text(),
          () => '',
        )) === 'hello\n',
    );
    assert.equal(await run(['--network', 'names'], 'wget -qO- http://web/'), 'hello');
    assert.match(await run(['--network', 'names'], 'ping -c 1 -w 20 web'), /1 packets received/);
    assert.equal(
      await run(
        ['--sysctl', 'net.core.somaxconn=77', '--sysctl', 'net.ipv4.ip_forward=0'],
        'cat /proc/sys/net/core/somaxconn /proc/sys/net/ipv4/ip_forward',
      ),
      '77\n0',
    );
    assert.match(
      await run(['--cap-add', 'NET_ADMIN'], 'ip addr add 10.99.0.1/24 dev eth0 && ip addr show eth0'),
      /10\.99\.0\.1/,
    );
    assert.match(await run(['--network', 'none'], 'ip -o link | wc -l'), /^1$/);
  } finally {
    await daemon.ok('rm', '-f', 'web');
    await daemon.ok('network', 'rm', 'names');
  }
});

test('what is done to running containers', async () => {
  const pid = await start(
    'box',
    ['-t', '--health-cmd', 'test $(id -u) = 0', '--health-interval', '200ms', '--memory', '64m'],
    'id -u; tty; stat -c %u $(tty); sleep 1000',
  );
  await eventually(
    'it is healthy',
    async () => (await daemon.inspect('box', '{{.State.Health.Status}}')) === 'healthy',
  );
  assert.equal((await daemon.ok('logs', 'box')).replaceAll('\r', ''), '0\n/dev/pts/0\n0');
  await daemon.ok('pause', 'box');
  await daemon.ok('unpause', 'box');
  assert.match(await daemon.ok('stats', '--no-stream', 'box'), /box .*64MiB/);
  assert.equal(await daemon.ok('exec', '-u', '33:34', 'box', 'id'), 'uid=33 gid=34 groups=34');
  assert.equal(
    await daemon.ok('exec', '-t', 'box', 'sh', '-c', 'test -c /dev/console && test -w $(tty) && echo yes'),
    'yes\r',
  );
  await daemon.ok('update', '--memory', '80m', '--memory-swap', '160m', 'box');
  await daemon.stop('SIGKILL');
  await daemon.launch();
  assert.equal(await exec('box', 'cat /proc/1/uid_map | tr -s " "'), ` 0 ${firstId(pid)} 65536`);
  await daemon.ok('kill', 'box');
  await daemon.reaches('box', 'exited');
  assert.equal(existsSync(`${daemon.execRoot}/userns/${await daemon.inspect('box', '{{.Id}}')}`), false);
  assert.equal(await daemon.ok('wait', 'box'), '137');
});

test('namespaces of another container come with its user namespace', async () => {
  await start('main', ['--ipc', 'shareable'], 'echo shared > /dev/shm/x; sleep 1000 & touch /main; wait');
  const map = await exec('main', 'cat /proc/self/uid_map');
  const join_ = async (flags: readonly string[], line: string): Promise<string> =>
    await daemon.ok('run', '--rm', ...flags, 'busybox', 'sh', '-c', line);
  assert.equal(
    await join_(
      ['--network', 'container:main', '--pid', 'container:main'],
      'cat /proc/self/uid_map; touch /x; stat -c %u /x; kill -0 1 && ip -o link | grep -c eth0',
    ),
    `${map}\n0\n1`,
  );
  assert.equal(
    await join_(
      ['--ipc', 'container:main'],
      'cat /proc/self/uid_map; ping -c 1 -w 20 127.0.0.1 | grep -c "1 packets received"; cat /dev/shm/x; stat -c %u:%a /dev/shm',
    ),
    `${map}\n1\nshared\n0:1777`,
  );
  assert.equal(await join_(['--userns', 'container:main'], 'cat /proc/self/uid_map'), map);
  await start('other');
  for (const [message, ...flags] of [
    [/--userns auto and the namespaces of container main/, '--userns', 'auto', '--network', 'container:main'],
    [
      /containers main and other are in different user namespaces/,
      '--pid',
      'container:main',
      '--ipc',
      'container:other',
    ],
    [/No such container: nobody/, '--userns', 'container:nobody'],
  ] as const) {
    await daemon.fails(125, message, 'run', ...flags, 'busybox');
  }
  await daemon.ok('create', '--name', 'late', '--userns', 'container:main', 'busybox', 'id');
  await daemon.ok('stop', '-t', '0', 'main');
  await daemon.fails(1, /cannot join user namespace of a non running container/, 'start', 'late');
});

test("what needs the host's powers is refused in Docker's words", async () => {
  for (const [message, ...flags] of [
    [
      /privileged mode is incompatible with user namespaces\. {2}You must run the container in the host namespace/,
      '--privileged',
    ],
    [/cannot share the host's network namespace when user namespaces are enabled/, '--network', 'host'],
    [/cannot share the host PID namespace when user namespaces are enabled/, '--pid', 'host'],
  ] as const) {
    await daemon.fails(125, message, 'run', '--userns', 'auto', ...flags, 'busybox');
  }
  for (const mode of ['private', 'auto:', 'auto:uidmapping=1', 'auto:size=0']) {
    const { status, text } = await daemon.api('POST', '/containers/create', {
      Image: 'busybox',
      HostConfig: { UsernsMode: mode },
    });
    assert.equal(status, 400, mode);
    assert.match(text, /invalid user namespace mode/);
  }
  assert.equal(await run(['--ipc', 'host', '--uts', 'host'], 'id -u'), '0');
});

test('attacks: nothing of the host and of other containers can be changed', async () => {
  const victim = await start('victim', ['-v', 'mine:/v'], 'sleep 1000');
  const attempts = [
    ['chown 70000 /tmp', /Invalid argument/],
    ['mknod /tmp/disk b 8 0 || mknod /dev/disk b 8 0', /Operation not permitted/],
    ['mount -t tmpfs none /mnt', /mount/],
    ['mkdir /m && mount -t ext4 /dev/vda /m', /mount/],
    ['echo 1 > /proc/sys/kernel/panic', /Read-only|Permission denied/],
    [`kill -9 ${victim}`, /No such process/],
    ['cat /proc/1/root/proc/1/environ > /dev/null; ls /proc/2', /No such file/],
    ['echo 1 > /sys/fs/cgroup/pids/pids.max', /Read-only|Permission denied|nonexistent/],
    ['cat /dev/vda', /No such file/],
    ['nsenter -t 1 -m -u -n -i true; unshare -m true', /Operation not permitted|not permitted/],
    ['hostname owned', /not permitted/],
  ] as const;
  for (const [line, message] of attempts) {
    const { code, stdout, stderr } = await daemon.mydock([
      'run',
      '--rm',
      '--userns',
      'auto',
      'busybox',
      'sh',
      '-c',
      line,
    ]);
    assert.notEqual(code, 0, `${line}: ${stdout}`);
    assert.match(stdout + stderr, message, line);
  }
  // Also with every capability that can be given: they count inside the namespace alone.
  const strong = [
    '--cap-add',
    'ALL',
    '--security-opt',
    'seccomp=unconfined',
    '--security-opt',
    'systempaths=unconfined',
    '--security-opt',
    'apparmor=unconfined',
  ];
  for (const line of [
    'echo 1 > /proc/sys/kernel/panic',
    'echo core > /proc/sys/kernel/core_pattern',
    'mknod /tmp/disk b 8 0',
    'mkdir /m && mount -t ext4 /dev/vda /m',
    'chown 70000 /tmp',
    'reboot -f',
    'echo -1000 > /proc/self/oom_score_adj',
    'nice -n -19 true',
  ]) {
    const { code, stdout } = await daemon.mydock([
      'run',
      '--rm',
      '--userns',
      'auto',
      ...strong,
      'busybox',
      'sh',
      '-c',
      line,
    ]);
    assert.notEqual(code, 0, `${line}: ${stdout}`);
  }
  assert.equal(
    await run(strong, 'mkdir /m && mount -t tmpfs none /m && echo mounted'),
    'mounted',
    'it is root of its own namespace',
  );
  await daemon.reaches('victim', 'running');
  await daemon.ok('rm', '-f', 'victim');
  await daemon.ok('volume', 'rm', 'mine');
});

test('devices, small ranges, read-only roots, --init, users', async () => {
  assert.equal(
    await run(
      ['--device', '/dev/zero:/dev/nothing'],
      'head -c 4 /dev/nothing | wc -c; head -c 2 /dev/urandom | wc -c; echo x > /dev/null; ls -ln /dev/null | cut -c1-10',
    ),
    '4\n2\ncrw-rw-rw-',
  );
  assert.equal(
    await daemon.ok('run', '--rm', '--userns', 'auto:size=1', '-t', 'busybox', 'sh', '-c', 'id -u; tty'),
    '0\r\n/dev/pts/0\r',
  );
  assert.equal(
    await run(['--read-only', '--tmpfs', '/t'], 'touch /t/x; touch /x 2>&1; true'),
    'touch: /x: Read-only file system',
  );
  assert.equal(
    await run(
      ['--init', '-u', 'alice'],
      'id -u; cat /proc/1/comm; touch /home/alice/x && stat -c %u /home/alice/x',
    ),
    '1000\ndocker-init\n1000',
  );
  assert.equal(
    await run(
      ['--security-opt', 'no-new-privileges', '--cap-drop', 'ALL'],
      'id -u; grep CapEff /proc/self/status | cut -f 2',
    ),
    '0\n0000000000000000',
  );
  await daemon.fails(125, /1000/, 'run', '--rm', '--userns', 'auto:size=10', '-u', '1000', 'busybox', 'id');
});
