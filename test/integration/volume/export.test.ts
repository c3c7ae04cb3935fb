/** volume export: what comes out, while containers write, to files and pipes, and what is refused. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
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

async function shell(line: string): Promise<string> {
  return await daemon.ok('run', '--rm', '-v', 'data:/d', 'busybox', 'sh', '-c', line);
}

function listed(file: string): string[] {
  return execFileSync('tar', ['-tf', file], { encoding: 'utf8' }).trim().split('\n');
}

test('a volume comes out as a tar, compressed where that is wanted, always the same', async () => {
  await shell(
    'cd /d; mkdir -p a/b; echo hello > a/b/c; ln a/b/c a/hard; ln -s /etc/passwd link; mkfifo f; chown 7:8 a',
  );
  const files = ['none', 'gzip', 'zstd'].map((kind) => join(daemon.folder, `${kind}.tar`));
  for (const file of files) {
    const kind = file.replace(/^.*\/|\.tar$/g, '');
    await daemon.ok('volume', 'export', '--compress', kind, '-o', file, 'data');
  }
  const [plain = '', gzip = '', zstd = ''] = files;
  assert.deepEqual(listed(plain), ['./', './a/', './a/b/', './a/b/c', './a/hard', './f', './link']);
  assert.deepEqual(execFileSync('gzip', ['-dc', gzip]), readFileSync(plain));
  assert.deepEqual([...readFileSync(zstd).subarray(0, 4)], [0x28, 0xb5, 0x2f, 0xfd]);
  const piped = await daemon.mydock(['volume', 'export', 'data', '-o', '-']);
  assert.equal(piped.code, 0);
  assert.equal(piped.stdout, readFileSync(plain, 'utf8'));
});

test('a container that writes meanwhile does not spoil it', async () => {
  await daemon.ok(
    ...['run', '-d', '--name', 'writer', '-v', 'busy:/d', 'busybox', 'sh', '-c'],
    'i=0; while true; do i=$((i+1)); echo $i > /d/$((i % 50)); rm -f /d/$(((i + 25) % 50)); head -c 100000 /dev/zero >> /d/growing; : > /d/growing; done',
  );
  await eventually('it writes', async () => existsSync(join(daemon.dataRoot, 'volumes/busy/_data/growing')));
  for (let turn = 0; turn < 5; turn++) {
    const file = join(daemon.folder, `busy-${turn}.tar`);
    await daemon.ok('volume', 'export', '-o', file, 'busy');
    assert.ok(listed(file).includes('./'));
  }
  await daemon.ok('rm', '-f', 'writer');
});

test('no link in a volume leads an export out of it', async () => {
  const outside = join(daemon.folder, 'outside');
  mkdirSync(outside);
  writeFileSync(join(outside, 'secret'), 'secret');
  await shell(`cd /d; ln -s ${outside} out; ln -s ../../../../.. up`);
  const file = join(daemon.folder, 'links.tar');
  await daemon.ok('volume', 'export', '-o', file, 'data');
  assert.ok(!listed(file).some((name) => name.includes('secret')));
});

test('what is refused, and what a client that leaves early leaves', async () => {
  await daemon.fails(
    1,
    /get no-such: no such volume/,
    'volume',
    'export',
    '-o',
    join(daemon.folder, 'x'),
    'no-such',
  );
  await daemon.fails(
    1,
    /invalid compression "lzma": must be/,
    'volume',
    'export',
    '--compress',
    'lzma',
    'data',
  );
  assert.ok(!existsSync(join(daemon.folder, 'x')));
  const large = join(daemon.dataRoot, 'volumes/data/_data/large');
  writeFileSync(large, Buffer.alloc(64 << 20, 'x'));
  const live = daemon.live(['volume', 'export', 'data']);
  await eventually('it has begun', async () => live.stdout.length > 0);
  live.child.kill('SIGKILL');
  await live.ended;
  await eventually('the volume is free again', async () => {
    const { code } = await daemon.mydock(['volume', 'rm', 'data']);
    return code === 0;
  });
  const open = execFileSync('sh', ['-c', `ls -l /proc/${daemon.pid}/fd`], { encoding: 'utf8' });
  assert.ok(!open.includes('volumes/data'), open);
});

test('the daemon answers quickly while a large tree is exported', async () => {
  await daemon.ok('volume', 'create', 'many');
  const place = join(daemon.dataRoot, 'volumes/many/_data');
  for (let folder = 0; folder < 100; folder++) {
    mkdirSync(join(place, String(folder)));
    for (let file = 0; file < 100; file++) writeFileSync(join(place, String(folder), String(file)), 'x');
  }
  const live = daemon.live(['volume', 'export', '-o', join(daemon.folder, 'many.tar'), 'many']);
  let done = false;
  const ended = live.ended.finally(() => {
    done = true;
  });
  const times: number[] = [];
  const begunAt = performance.now();
  while (!done) {
    const start = performance.now();
    assert.equal((await daemon.api('GET', '/_ping')).status, 200);
    times.push(performance.now() - start);
  }
  assert.equal((await ended).code, 0);
  // A daemon that packed the tree itself would answer once or twice; on a busy machine all of it takes long.
  const wholeMs = performance.now() - begunAt;
  times.sort((a, b) => a - b);
  const middleMs = times[Math.floor(times.length / 2)] ?? wholeMs;
  assert.ok(middleMs < wholeMs / 4, `pings took ${times.join(', ')} ms in an export of ${wholeMs} ms`);
  assert.equal(listed(join(daemon.folder, 'many.tar')).length, 10_101);
});
