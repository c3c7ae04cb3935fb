/** volume import: new, empty and full volumes, containers that use them, and archives that are none or are out to harm. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { type Daemon, daemonWithBusybox } from '../harness.ts';

let daemon: Daemon;
let close: () => Promise<void>;
before(async () => {
  ({ daemon, close } = await daemonWithBusybox());
});
after(async () => await close());

async function shell(volume: string, line: string): Promise<string> {
  return await daemon.ok('run', '--rm', '-v', `${volume}:/d`, 'busybox', 'sh', '-c', line);
}

/** An archive that GNU tar makes of a new folder, which `fill` fills. */
function archive(name: string, fill: (folder: string) => void, ...flags: string[]): string {
  const folder = join(daemon.folder, name);
  mkdirSync(folder);
  fill(folder);
  const file = `${folder}.tar`;
  execFileSync('tar', ['-cf', file, '-C', folder, ...flags, '.']);
  return file;
}

test('an archive comes into a new volume, and into an empty one that a container has mounted', async () => {
  const file = archive('site', (folder) => {
    mkdirSync(join(folder, 'a'));
    writeFileSync(join(folder, 'a/b'), 'hello');
  });
  assert.equal(await daemon.ok('volume', 'import', 'site', file), 'site');
  assert.equal(await shell('site', 'cat /d/a/b; stat -c %U /d'), 'helloroot');
  await daemon.ok('run', '-d', '--name', 'user', '-v', 'empty:/empty', 'busybox', 'sleep', '100');
  execFileSync('gzip', ['-k', file]);
  const result = await daemon.mydock(['volume', 'import', 'empty'], { stdin: readFileSync(`${file}.gz`) });
  assert.equal(result.code, 0, result.stderr);
  assert.equal(await daemon.ok('exec', 'user', 'cat', '/empty/a/b'), 'hello');
  await daemon.ok('rm', '-f', 'user');
});

test('a volume is exported, imported and exported to the same bytes', async () => {
  await shell(
    'one',
    'cd /d; mkdir -p a/b; echo x > a/x; ln a/x a/y; ln -s x a/z; mknod null c 1 3; chown 5:6 a/x; touch -d "2001-02-03 04:05:06" a',
  );
  const files = ['one', 'two'].map((name) => join(daemon.folder, `${name}.tar`));
  const [first = '', second = ''] = files;
  await daemon.ok('volume', 'export', '-o', first, 'one');
  await daemon.ok('volume', 'import', 'two', first);
  await daemon.ok('volume', 'export', '-o', second, 'two');
  assert.ok(readFileSync(first).equals(readFileSync(second)));
});

test('content is not touched unless --merge says so', async () => {
  const file = archive('more', (folder) => writeFileSync(join(folder, 'new'), 'new'));
  await shell('full', 'echo old > /d/old');
  await daemon.fails(1, /import full: volume is not empty: merge into it/, 'volume', 'import', 'full', file);
  assert.equal(await shell('full', 'ls /d'), 'old');
  await daemon.ok('volume', 'import', '--merge', 'full', file);
  assert.equal(await shell('full', 'ls /d'), 'new\nold');
});

test('hostile archives reach nothing outside of the volume, and leave nothing', async () => {
  const victim = join(daemon.folder, 'victim');
  mkdirSync(victim);
  writeFileSync(join(victim, 'file'), 'untouched');
  const through = archive('through', (folder) => symlinkSync(victim, join(folder, 'link')));
  const second = archive(
    'second',
    (folder) => {
      mkdirSync(join(folder, 'link'));
      writeFileSync(join(folder, 'link/file'), 'overwritten');
    },
    '--no-recursion',
    'link/file',
  );
  execFileSync('tar', ['--concatenate', '-f', through, second]);
  await daemon.mydock(['volume', 'import', 'hostile', through]);
  const climbing = archive(
    'climbing',
    (folder) => writeFileSync(join(folder, 'x'), 'x'),
    '-P',
    '--transform',
    's,^./x$,../../../climbed,',
  );
  await daemon.fails(
    1,
    /import climbing: tar entry .*outside of the folder/,
    'volume',
    'import',
    'climbing',
    climbing,
  );
  assert.equal(readFileSync(join(victim, 'file'), 'utf8'), 'untouched');
  assert.deepEqual(readdirSync(victim), ['file']);
  assert.ok(!existsSync(join(daemon.dataRoot, 'climbed')));
  assert.ok(!existsSync(join(daemon.dataRoot, 'volumes/climbing')));
});

test('what is no archive makes no volume', async () => {
  for (const [stdin, message] of [
    ['', /import none: the archive is empty/],
    ['not a tar, and longer than a block'.repeat(100), /import none: tar/],
  ] as const) {
    const { code, stderr } = await daemon.mydock(['volume', 'import', 'none', '-'], { stdin });
    assert.equal(code, 1);
    assert.match(stderr, message);
  }
  const whole = readFileSync(
    archive('cut', (folder) => writeFileSync(join(folder, 'x'), Buffer.alloc(100_000))),
  );
  const { code } = await daemon.mydock(['volume', 'import', 'none'], { stdin: whole.subarray(0, 50_000) });
  assert.equal(code, 1);
  await daemon.fails(1, /open .*no-such-file: no such file/, 'volume', 'import', 'none', 'no-such-file');
  assert.ok(!(await daemon.ok('volume', 'ls', '-q')).split('\n').includes('none'));
  const left = readdirSync(join(daemon.dataRoot, 'volumes')).filter((name) => name.startsWith('.'));
  assert.deepEqual(left, []);
});

test('a daemon that is killed in the middle leaves nothing to the next one', async () => {
  const big = archive('big', (folder) => {
    for (let index = 0; index < 20; index++)
      writeFileSync(join(folder, String(index)), Buffer.alloc(1 << 20, 'x'));
  });
  const live = daemon.live(['volume', 'import', 'halved']);
  const bytes = readFileSync(big);
  live.type(bytes.subarray(0, 10 << 20));
  const staging = () =>
    readdirSync(join(daemon.dataRoot, 'volumes')).find((name) => name.startsWith('.tmp-'));
  for (let turn = 0; turn < 6000 && staging() === undefined; turn++) {
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  assert.ok(staging() !== undefined, 'it has begun');
  await daemon.stop('SIGKILL');
  live.child.kill('SIGKILL');
  await live.ended.catch(() => undefined);
  await daemon.launch();
  assert.equal(staging(), undefined);
  assert.ok(!(await daemon.ok('volume', 'ls', '-q')).split('\n').includes('halved'));
  assert.ok(statSync(join(daemon.dataRoot, 'volumes/site/_data/a/b')).isFile());
});

test('a volume that was there has all of an archive or nothing, also where the daemon is killed', async () => {
  const many = archive('many', (folder) => {
    for (let file = 0; file < 4000; file++) writeFileSync(join(folder, `f${file}`), '');
  });
  await daemon.ok('volume', 'create', 'whole');
  const content = join(daemon.dataRoot, 'volumes/whole/_data');
  const ended = daemon.mydock(['volume', 'import', 'whole', many]);
  for (const deadline = Date.now() + 120_000; Date.now() < deadline && readdirSync(content).length === 0; ) {
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  await daemon.stop('SIGKILL');
  await ended;
  await daemon.launch();
  assert.ok([0, 4000].includes(readdirSync(content).length), `${readdirSync(content).length} files`);
  assert.deepEqual(readdirSync(join(daemon.dataRoot, 'volumes/whole')), ['_data']);
});
