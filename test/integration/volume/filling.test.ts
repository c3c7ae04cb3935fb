/** What a new volume takes over from the image: everything, once, whole, whoever else starts at the same time. */
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { eventually } from '../command.ts';
import { type Daemon, daemonWithBusybox } from '../harness.ts';

let daemon: Daemon;
let close: () => Promise<void>;

const TREE = [
  'mkdir -p /data/sub; chmod 1775 /data; chown 7:8 /data',
  'echo content > /data/file; chown 12:34 /data/file; chmod 4751 /data/file',
  'touch -d "2001-02-03 00:00:00" /data/file',
  'ln /data/file /data/sub/hard; ln -s /etc/passwd /data/link; mkfifo /data/pipe; mknod /data/null c 1 3',
  'mkdir /data/many; cd /data/many; for i in $(seq 1 1000); do echo $i > $i; done',
];

before(async () => {
  ({ daemon, close } = await daemonWithBusybox());
  await daemon.ok('run', '--name', 'tree', '--cap-add', 'MKNOD', 'busybox', 'sh', '-c', TREE.join('; '));
  await daemon.ok('commit', 'tree', 'tree');
  await daemon.ok('rm', 'tree');
});
after(async () => await close());

const data = (volume: string): string => join(daemon.dataRoot, 'volumes', volume, '_data');

test('owners, modes, times, hard links and special files', async () => {
  const output = await daemon.ok(
    ...['run', '--rm', '-v', 'all:/data', 'tree', 'sh', '-c'],
    [
      'stat -c "%a %u:%g" /data /data/file',
      'stat -c %Y /data/file',
      'test /data/file -ef /data/sub/hard && echo same',
      'readlink /data/link',
      'stat -c "%F %t:%T" /data/pipe /data/null',
      'ls /data/many | wc -l',
      'grep -c " /data " /proc/mounts',
    ].join('; '),
  );
  assert.deepEqual(output.split('\n'), [
    '1775 7:8',
    '4751 12:34',
    String(Date.UTC(2001, 1, 3) / 1000),
    'same',
    '/etc/passwd',
    'fifo 0:0',
    'character special file 1:3',
    '1000',
    '1',
  ]);
});

test('many containers that start at once on one new volume all find it filled', async () => {
  const outputs = await Promise.all(
    Array.from({ length: 6 }, () =>
      daemon.ok('run', '--rm', '-v', 'racing:/data', 'tree', 'sh', '-c', 'ls /data/many | wc -l'),
    ),
  );
  assert.deepEqual(outputs, Array(6).fill('1000'));
});

test('containers that start at once make the same places in a volume of theirs', async () => {
  const codes = await Promise.all(
    Array.from({ length: 8 }, async () => {
      const flags = ['-v', 'common:/c', '--tmpfs', '/c/a/b/c/d/e/f/g/h'];
      return (await daemon.mydock(['run', '--rm', ...flags, 'busybox', 'true'])).code;
    }),
  );
  assert.deepEqual(codes, Array(8).fill(0));
});

test('a volume that was emptied stays empty when its container starts again', async () => {
  await daemon.ok('create', '--name', 'again', '-v', 'emptied:/data', 'tree', 'ls', '-A', '/data');
  for (const name of readdirSync(data('emptied'))) {
    rmSync(join(data('emptied'), name), { recursive: true });
  }
  assert.equal(await daemon.ok('start', '-a', 'again'), '');
  await daemon.ok('rm', 'again');
});

test('nocopy, content that is there, parts of volumes and volumes-from are taken as they are', async () => {
  const list = async (...flags: string[]) =>
    await daemon.ok('run', '--rm', ...flags, 'tree', 'ls', '-A', '/data');
  assert.equal(await list('-v', 'bare:/data:nocopy'), '');
  assert.equal(await list('--mount', 'source=bare,target=/data,volume-nocopy'), '');
  await daemon.ok('run', '--rm', '-v', 'mine:/x', 'busybox', 'sh', '-c', 'mkdir /x/part; touch /x/own');
  assert.equal(await list('-v', 'mine:/data'), 'own\npart');
  assert.equal(await list('--mount', 'source=mine,target=/data,volume-subpath=part'), '');
  await daemon.ok('create', '--name', 'source', '-v', '/data', 'busybox');
  assert.equal(await list('--volumes-from', 'source'), '');
  await daemon.ok('rm', '-v', 'source');
});

test('a filling that the daemon did not survive is done again, as a whole', async () => {
  await daemon.ok(
    'create',
    '--name',
    'late',
    '-v',
    'half:/data',
    'tree',
    'sh',
    '-c',
    'ls /data/many | wc -l',
  );
  // What a crash in the middle leaves: a marker, and a part of the files.
  await daemon.stop('SIGKILL');
  rmSync(join(data('half'), 'many'), { recursive: true });
  mkdirSync(join(data('half'), 'many'));
  writeFileSync(join(data('half'), 'many/1'), 'partly');
  writeFileSync(join(data('half'), '../filling'), '');
  await daemon.launch();
  assert.deepEqual(readdirSync(data('half')), []);
  assert.equal(await daemon.ok('start', '-a', 'late'), '1000');
  assert.deepEqual(readdirSync(join(data('half'), '..')), ['_data']);
  await daemon.ok('rm', 'late');
});

test('the daemon answers while a large volume is filled, and a kill leaves nothing half-made', async () => {
  // On a busy machine a filling may be over before it is seen; a daemon that does nothing else never answers in one.
  let name = '';
  let creating: Promise<unknown> = Promise.resolve();
  let wasAnswered = false;
  for (let turn = 0; turn < 20 && !wasAnswered; turn++) {
    await creating;
    name = `cut-${turn}`;
    const marker = join(data(name), '../filling');
    let isOver = false;
    creating = daemon.mydock(['create', '--name', name, '-v', `${name}:/data`, 'tree']).then(() => {
      isOver = true;
    });
    await eventually('the filling has begun', () => isOver || existsSync(marker));
    assert.equal((await daemon.api('GET', '/_ping')).status, 200);
    wasAnswered = existsSync(marker);
  }
  assert.ok(wasAnswered, 'it was answered before the filling was over');
  await daemon.stop('SIGKILL');
  await creating;
  await daemon.launch();
  const names = readdirSync(data(name));
  if (names.length > 0) assert.equal(readdirSync(join(data(name), 'many')).length, 1000);
});
