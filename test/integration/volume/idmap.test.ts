/** idmap on binds and volumes: whose files are whose, in the container and on the host, and what is refused. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { chownSync, existsSync, mkdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { type Daemon, daemonWithBusybox } from '../harness.ts';

let daemon: Daemon;
let close: () => Promise<void>;
let home: string;
before(async () => {
  ({ daemon, close } = await daemonWithBusybox());
  home = folder('home', 4321, 8765);
});
after(async () => await close());

/** A folder of the host that belongs to somebody, with a file of theirs. */
function folder(name: string, uid: number, gid: number): string {
  const path = join(daemon.folder, name);
  mkdirSync(path, { mode: 0o755 });
  writeFileSync(join(path, 'theirs'), '', { mode: 0o600 });
  for (const one of [path, join(path, 'theirs')]) chownSync(one, uid, gid);
  return path;
}

async function shell(flags: readonly string[], line: string): Promise<string> {
  return await daemon.ok('run', '--rm', ...flags, 'busybox', 'sh', '-c', line);
}

function owner(...path: string[]): string {
  const { uid, gid } = statSync(join(...path));
  return `${uid}:${gid}`;
}

test('-v …:idmap makes the owner of the folder the user of the container', async () => {
  assert.equal(
    await shell(
      ['-v', `${home}:/m:idmap`],
      'stat -c %u:%g /m /m/theirs && mkdir /m/made && id -u > /m/made/x',
    ),
    '0:0\n0:0',
  );
  assert.equal(owner(home, 'made'), '4321:8765');
  assert.equal(owner(home, 'made/x'), '4321:8765');
  assert.equal(
    await shell(
      ['-u', 'alice', '--mount', `type=bind,src=${home},dst=/m,idmap`],
      'stat -c %u:%g /m/theirs && cat /m/theirs && touch /m/of-alice && stat -c %u /etc/passwd',
    ),
    '1000:1000\n0',
  );
  assert.equal(owner(home, 'of-alice'), '4321:8765');
});

test('root of the container is not root on the host there', async () => {
  const place = folder('of-root', 4321, 8765);
  chownSync(join(place, 'theirs'), 0, 0);
  assert.equal(
    await shell(
      ['-v', `${place}:/m:idmap`],
      'cd /m; stat -c %u theirs; cat theirs 2>&1; touch own; chown 4321 own 2>&1 || chmod 4755 own',
    ),
    "65534\ncat: can't open 'theirs': Permission denied\nchown: own: Value too large for defined data type",
  );
  assert.equal(owner(place, 'own'), '4321:8765');
});

test('mappings by name, also of volumes, read-only, with mounts below', async () => {
  const words = 'idmap=uids=4321-7-1#0-0-1;gids=8765-8-1';
  const place = folder('named', 4321, 8765);
  mkdirSync(join(place, 'below'));
  // What is to propagate must lie on a mount that does.
  execFileSync('mount', ['--bind', place, place]);
  execFileSync('mount', ['--make-shared', place]);
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'uid=4321,gid=8765,mode=755', 'tmpfs', join(place, 'below')]);
  try {
    assert.equal(
      await shell(
        ['--mount', `type=bind,src=${place},dst=/m,ro,bind-propagation=rslave,${words}`],
        'stat -c %u:%g /m /m/below; touch /m/below/x 2>&1 || true',
      ),
      '7:8\n7:8\ntouch: /m/below/x: Read-only file system',
    );
    assert.equal(
      await shell(
        ['--mount', `type=bind,src=${place},dst=/m,bind-recursive=disabled,${words}`],
        'stat -c %u:%g /m /m/below',
      ),
      '7:8\n0:65534',
    );
  } finally {
    execFileSync('umount', ['-R', place]);
  }
  await shell(['-v', 'data:/d'], 'touch /d/x');
  assert.equal(
    await shell(
      ['--mount', 'type=volume,src=data,dst=/d,idmap=uids=0-1000-1;gids=0-1000-1', '-u', 'alice'],
      'stat -c %u:%g /d/x && touch /d/y',
    ),
    '1000:1000',
  );
  assert.equal(owner(daemon.dataRoot, 'volumes/data/_data/y'), '0:0');
});

test('it lasts over exec, restart, cp and a stopped container', async () => {
  const place = folder('lasting', 4321, 8765);
  await daemon.ok('run', '-d', '--name', 'lasting', '-v', `${place}:/m:rw,idmap`, 'busybox', 'sleep', '100');
  await daemon.ok('exec', 'lasting', 'touch', '/m/exec');
  await daemon.ok('restart', '-t', '0', 'lasting');
  await daemon.ok('exec', 'lasting', 'touch', '/m/again');
  const file = join(daemon.folder, 'copied');
  writeFileSync(file, 'x');
  await daemon.ok('cp', file, 'lasting:/m/running');
  assert.equal(await daemon.inspect('lasting', '{{(index .Mounts 0).Mode}}'), 'rw,idmap');
  await daemon.ok('stop', '-t', '0', 'lasting');
  await daemon.ok('cp', file, 'lasting:/m/stopped');
  await daemon.ok('rm', 'lasting');
  for (const name of ['exec', 'again', 'running', 'stopped']) {
    assert.equal(owner(place, name), '4321:8765', name);
  }
});

test("root's files become nobody else's by owner", async () => {
  const place = folder('roots', 0, 0);
  assert.equal(await shell(['-v', `${place}:/m:idmap`], 'stat -c %u /m'), '0');
  await daemon.fails(
    125,
    /idmap=owner: .*roots belongs to root, whose files are not given to the container's user 1000/,
    ...['run', '--rm', '-u', 'alice', '-v', `${place}:/m:idmap`, 'busybox', 'true'],
  );
});

test('what cannot be is refused: words before anything is made, file systems by name', async () => {
  const bind = (words: string) => [
    'run',
    '--rm',
    '--mount',
    `type=bind,src=${home},dst=/m,${words}`,
    'busybox',
    'true',
  ];
  await daemon.fails(125, /invalid idmap "uids=1-2": uids must be FROM-TO-LENGTH/, ...bind('idmap=uids=1-2'));
  await daemon.fails(125, /uids: 5 is mapped twice/, ...bind('idmap=uids=1-9-5#5-99-1'));
  await daemon.fails(
    125,
    /invalid mode: idmap,idmap/,
    ...['run', '--rm', '-v', `${home}:/m:idmap,idmap`, 'busybox'],
  );
  await daemon.fails(
    125,
    /cannot mix 'idmap' with mount type 'tmpfs'/,
    ...['run', '--mount', 'type=tmpfs,dst=/m,idmap', 'busybox'],
  );
  const answer = await daemon.api('POST', '/containers/create', {
    Image: 'busybox',
    HostConfig: { Mounts: [{ Type: 'bind', Source: home, Target: '/m', BindOptions: { IDMap: 5 } }] },
  });
  assert.equal(answer.status, 400);
  assert.match(answer.text, /as string in field HostConfig.Mounts\[0\].BindOptions.IDMap/);
  assert.equal(await daemon.ok('ps', '-aq'), '');
  await daemon.fails(
    125,
    /mount \/m: IDs cannot be mapped on \/sys\/kernel: its file system \(sysfs\).*does not support it: Invalid argument/,
    ...['run', '--rm', '-v', '/sys/kernel:/m:idmap=uids=0-1-1', 'busybox', 'true'],
  );
  assert.ok(!existsSync(join(home, 'x')));
});
