/** Mounts of every kind: images, tmpfs, binds with what lies below them, and those of other containers. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { type Daemon, daemonWithBusybox } from '../harness.ts';

let daemon: Daemon;
let close: () => Promise<void>;
before(async () => {
  ({ daemon, close } = await daemonWithBusybox());
  await daemon.ok('run', '--name', 'extra', 'busybox', 'sh', '-c', 'mkdir /only; echo image > /only/here');
  await daemon.ok('commit', 'extra', 'extra');
  await daemon.ok('rm', 'extra');
});
after(async () => await close());

async function shell(flags: readonly string[], line: string): Promise<string> {
  return await daemon.ok('run', '--rm', ...flags, 'busybox', 'sh', '-c', line);
}

test('an image is mounted, whole or in part, read-only', async () => {
  assert.equal(
    await shell(
      ['--mount', 'type=image,source=extra,target=/i'],
      'cat /i/only/here; touch /i/x 2>&1 || true; ls -d /i/bin',
    ),
    'image\ntouch: /i/x: Read-only file system\n/i/bin',
  );
  assert.equal(await shell(['--mount', 'type=image,src=extra,dst=/i,image-subpath=only'], 'ls /i'), 'here');
  assert.equal(
    await shell(['--mount', 'type=image,src=extra,dst=/f,image-subpath=only/here'], 'cat /f'),
    'image',
  );
});

test('an image that containers mount is in use, also after a restart of the daemon', async () => {
  const mount = 'type=image,source=extra,target=/i';
  await daemon.ok('run', '-d', '--name', 'user', '--mount', mount, 'busybox', 'sleep', '60');
  await daemon.stop('SIGKILL');
  await daemon.launch();
  await daemon.fails(1, /conflict.*unable to remove repository reference "extra/s, 'rmi', 'extra');
  await daemon.fails(
    1,
    /cannot be forced/,
    'rmi',
    '-f',
    await daemon.ok('images', '-q', '--no-trunc', 'extra'),
  );
  assert.equal(await daemon.ok('exec', 'user', 'cat', '/i/only/here'), 'image');
  const [shown] = JSON.parse(await daemon.inspect('user', '{{json .Mounts}}')) as Record<string, unknown>[];
  assert.deepEqual([shown?.['Type'], shown?.['Name'], shown?.['RW']], ['image', 'extra', false]);
  await daemon.ok('rm', '-f', 'user');
});

test('an image that is not here is told as missing', async () => {
  const Mounts = [{ Type: 'image', Source: 'nowhere', Target: '/i' }];
  const answer = await daemon.api('POST', '/containers/create', { Image: 'busybox', HostConfig: { Mounts } });
  assert.deepEqual([answer.status, answer.text.trim()], [404, '{"message":"No such image: nowhere:latest"}']);
});

test('tmpfs by --mount, with size, mode and words', async () => {
  const mount = 'type=tmpfs,target=/t,tmpfs-size=1m,tmpfs-mode=1750,tmpfs-options=exec';
  assert.match(
    await shell(
      ['--mount', mount],
      'stat -c %a /t; grep " /t " /proc/mounts; printf "#!/bin/sh\necho ran\n" > /t/s; chmod +x /t/s; /t/s',
    ),
    /^1750\ntmpfs \/t tmpfs rw,nosuid,nodev,relatime,size=1024k,mode=1750.*\nran$/,
  );
});

/** A folder with a mount below it. */
function nested(): string {
  const folder = join(daemon.folder, 'nested');
  if (!existsSync(folder)) {
    mkdirSync(join(folder, 'below'), { recursive: true });
    execFileSync('mount', ['-t', 'tmpfs', 'tmpfs', join(folder, 'below')]);
    writeFileSync(join(folder, 'below/inner'), 'inner');
  }
  return folder;
}

test('what lies below a bind: with it, without it, read-only with it or not', async () => {
  const folder = nested();
  try {
    const bind = async (words: string) =>
      await shell(
        ['--mount', `type=bind,source=${folder},target=/b${words}`],
        'ls /b/below; touch /b/x 2>/dev/null && echo top; touch /b/below/x 2>/dev/null && echo below; rm -f /b/x /b/below/x',
      );
    assert.equal(await bind(''), 'inner\ntop\nbelow');
    assert.equal(await bind(',bind-recursive=disabled'), 'top\nbelow');
    assert.equal(await bind(',readonly'), 'inner');
    assert.equal(await bind(',readonly,bind-recursive=writable'), 'inner\nbelow');
    assert.equal(await bind(',readonly,bind-recursive=readonly,bind-propagation=rprivate'), 'inner');
    assert.equal(
      await shell(['-v', `${folder}:/b:ro`], 'touch /b/below/x 2>/dev/null || echo frozen'),
      'frozen',
    );
  } finally {
    execFileSync('umount', [join(folder, 'below')]);
  }
});

test('clients before version 1.44 mean that mounts below a read-only bind stay writable', async () => {
  const folder = nested();
  if (!existsSync(join(folder, 'below/inner'))) {
    execFileSync('mount', ['-t', 'tmpfs', 'tmpfs', join(folder, 'below')]);
  }
  try {
    for (const [version, expected] of [
      ['v1.43', 0],
      ['v1.44', 1],
    ] as const) {
      const name = `old${expected}`;
      const created = await daemon.api('POST', `/${version}/containers/create?name=${name}`, {
        Image: 'busybox',
        Cmd: ['touch', '/b/below/x'],
        HostConfig: { Binds: [`${folder}:/b:ro`] },
      });
      assert.equal(created.status, 201, created.text);
      assert.equal((await daemon.mydock(['start', '-a', name])).code, expected, version);
      await daemon.ok('rm', name);
    }
  } finally {
    execFileSync('umount', [join(folder, 'below')]);
  }
  const image = {
    Image: 'busybox',
    HostConfig: { Mounts: [{ Type: 'image', Source: 'extra', Target: '/i' }] },
  };
  const old = await daemon.api('POST', '/v1.47/containers/create', image);
  assert.deepEqual(
    [old.status, old.text.trim()],
    [400, '{"message":"Mount type \\"Image\\" needs API v1.48 or newer"}'],
  );
});

test('bind sources: made by -v and on request, missing otherwise', async () => {
  const missing = join(daemon.folder, 'not-there');
  await daemon.fails(
    125,
    /invalid mount config for type "bind": bind source path does not exist: .*not-there/,
    ...['run', '--rm', '--mount', `type=bind,source=${missing},target=/b`, 'busybox'],
  );
  await shell(['--mount', `type=bind,source=${missing},target=/b,bind-create-src`], 'touch /b/x');
  assert.ok(existsSync(join(missing, 'x')));
});

test('mounts of the host arrive where their folder is shared, and what is not shared is told', async () => {
  const folder = join(daemon.folder, 'shared');
  mkdirSync(join(folder, 'late'), { recursive: true });
  await daemon.fails(
    125,
    /path .*\/shared is mounted on \/.* but it is not a shared mount/,
    ...['run', '--rm', '-v', `${folder}:/s:rshared`, 'busybox'],
  );
  await daemon.fails(
    125,
    /path .*\/shared is mounted on \/.* but it is not a shared or slave mount/,
    ...['run', '--rm', '-v', `${folder}:/s:rslave`, 'busybox'],
  );
  execFileSync('mount', ['--bind', folder, folder]);
  execFileSync('mount', ['--make-shared', folder]);
  try {
    const flags = ['--name', 'slave', '-v', `${folder}:/s:rslave`, '-v', `${folder}:/p`];
    await daemon.ok('run', '-d', ...flags, 'busybox', 'sleep', '60');
    execFileSync('mount', ['-t', 'tmpfs', 'tmpfs', join(folder, 'late')]);
    writeFileSync(join(folder, 'late/arrived'), '');
    assert.equal(
      await daemon.ok('exec', 'slave', 'ls', '/s/late', '/p/late'),
      '/p/late:\n\n/s/late:\narrived',
    );
    await daemon.ok('rm', '-f', 'slave');
  } finally {
    execFileSync('umount', ['-R', folder]);
  }
});

test('volumes-from gives volumes and binds, read-only where that is said', async () => {
  const folder = join(daemon.folder, 'from');
  mkdirSync(folder);
  await daemon.ok(
    'create',
    '--name',
    'giver',
    '-v',
    'given:/g',
    '-v',
    `${folder}:/b`,
    '-v',
    '/anonymous',
    'busybox',
  );
  assert.equal(await shell(['--volumes-from', 'giver'], 'touch /g/x /b/x /anonymous/x && echo all'), 'all');
  assert.equal(
    await shell(['--volumes-from', 'giver:ro'], 'ls /g /b /anonymous; touch /g/y 2>/dev/null || echo frozen'),
    '/anonymous:\nx\n\n/b:\nx\n\n/g:\nx\nfrozen',
  );
  await daemon.fails(125, /invalid mode: nocopy/, 'run', '--rm', '--volumes-from', 'giver:nocopy', 'busybox');
  await daemon.fails(125, /No such container: nobody/, 'run', '--rm', '--volumes-from', 'nobody', 'busybox');
  await daemon.ok('rm', '-v', 'giver');
  assert.equal(await daemon.ok('volume', 'ls', '-q'), 'given');
  await daemon.ok('volume', 'rm', 'given');
});
