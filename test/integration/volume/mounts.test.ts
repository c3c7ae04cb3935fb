/** -v and --tmpfs: binds, named and anonymous volumes, what they are filled with, options, and what is refused. */
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
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

test('a bind shows a host folder or file, both ways', async () => {
  const folder = join(daemon.folder, 'bound');
  mkdirSync(folder);
  writeFileSync(join(folder, 'in'), 'from the host\n');
  assert.equal(
    await shell(['-v', `${folder}:/mnt/deep`], 'cat /mnt/deep/in; echo back > /mnt/deep/out'),
    'from the host',
  );
  assert.equal(readFileSync(join(folder, 'out'), 'utf8'), 'back\n');
  assert.equal(
    await shell(['-v', `${folder}/in:/etc/motd:ro`], 'cat /etc/motd; (echo x > /etc/motd) 2>&1 || true'),
    "from the host\nsh: can't create /etc/motd: Read-only file system",
  );
});

test('a bind of a folder that is not there makes it', async () => {
  const folder = join(daemon.folder, 'made/by/bind');
  await shell(['-v', `${folder}:/x`], 'touch /x/y');
  assert.ok(existsSync(join(folder, 'y')));
});

test('a named volume lasts, is shared, and starts with what the image has there', async () => {
  assert.equal(
    await shell(['-v', 'site:/var/www'], 'cat /var/www/index.html; echo more > /var/www/more'),
    'served by mydock',
  );
  assert.equal(
    await shell(['-v', 'site:/elsewhere:ro'], 'cat /elsewhere/more; (touch /elsewhere/x) 2>&1 || true'),
    'more\ntouch: /elsewhere/x: Read-only file system',
  );
  assert.equal(await shell(['-v', 'home:/home/alice'], 'stat -c %u:%g /home/alice'), '1000:1000');
  assert.ok(statSync(join(daemon.dataRoot, 'volumes/site/_data/more')).isFile());
});

test('a volume over a folder that the image lacks is made', async () => {
  assert.equal(await shell(['-v', 'fresh:/not/there'], 'ls -A /not/there; stat -c %a /not/there'), '755');
});

test('nocopy leaves it empty', async () => {
  assert.equal(await shell(['-v', 'bare:/var/www:nocopy'], 'ls -A /var/www'), '');
});

test('an anonymous volume goes with --rm', async () => {
  await shell(['-v', '/scratch'], 'touch /scratch/x; mount | grep -c " /scratch "');
  const id = await daemon.ok('create', '-v', '/scratch', 'busybox');
  const name = await daemon.inspect(id, '{{(index .Mounts 0).Name}}');
  assert.match(name, /^[0-9a-f]{64}$/);
  await daemon.ok('rm', '-v', id);
  assert.equal(existsSync(join(daemon.dataRoot, 'volumes', name)), false);
});

test('inspect lists the mounts', async () => {
  await daemon.ok('create', '--name', 'listed', '-v', 'site:/a', '-v', `${daemon.folder}:/b:ro`, 'busybox');
  const mounts = JSON.parse(await daemon.inspect('listed', '{{json .Mounts}}')) as Record<string, unknown>[];
  const short = mounts
    .map((mount) => [mount['Type'], mount['Destination'], mount['RW'], mount['Name']])
    .sort();
  assert.deepEqual(short, [
    ['bind', '/b', false, undefined],
    ['volume', '/a', true, 'site'],
  ]);
  await daemon.ok('rm', 'listed');
});

test('--tmpfs, with options', async () => {
  assert.match(
    await shell(['--tmpfs', '/fast:size=2m,mode=700'], 'grep " /fast " /proc/mounts'),
    /^tmpfs \/fast tmpfs rw,nosuid,nodev,noexec,relatime,size=2048k,mode=700/,
  );
});

test('what is malformed is refused before anything is made', async () => {
  await daemon.fails(
    125,
    /invalid (mount path|volume specification).*absolute/s,
    'run',
    '--rm',
    '-v',
    '/a:relative',
    'busybox',
  );
  await daemon.fails(
    125,
    /invalid|includes invalid characters/,
    'run',
    '--rm',
    '-v',
    'bad name:/x',
    'busybox',
  );
  await daemon.fails(125, /invalid mode: nonsense/, 'run', '--rm', '-v', 'a:/x:nonsense', 'busybox');
  assert.equal(await daemon.ok('ps', '-aq'), '');
});

test('mounts over each other come in the order of their paths', async () => {
  assert.equal(
    await shell(
      ['-v', 'inner:/a/b', '-v', 'outer:/a', '--tmpfs', '/a/b/c'],
      'grep -o " /a[^ ]* " /proc/mounts | tr -d "\\n"',
    ),
    ' /a  /a/b  /a/b/c ',
  );
});
