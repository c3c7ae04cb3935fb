/** `run`: output, input, exit codes, names, --rm, and the errors that a wrong request gives. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { type Daemon, daemonWithBusybox } from '../harness.ts';

let daemon: Daemon;
let close: () => Promise<void>;
before(async () => {
  ({ daemon, close } = await daemonWithBusybox());
});
after(async () => await close());

test("stdout, stderr and exit code are the program's", async () => {
  const result = await daemon.mydock([
    'run',
    '--rm',
    'busybox',
    'sh',
    '-c',
    'echo out; echo err >&2; exit 42',
  ]);
  assert.deepEqual(result, { code: 42, stdout: 'out\n', stderr: 'err\n' });
});

test('-i passes stdin and its end', async () => {
  const input = Buffer.alloc(300_000, 'x');
  const result = await daemon.mydock(['run', '--rm', '-i', 'busybox', 'wc', '-c'], { stdin: input });
  assert.deepEqual(result, { code: 0, stdout: '300000\n', stderr: '' });
});

test('without -i stdin is empty', async () => {
  const result = await daemon.mydock(['run', '--rm', 'busybox', 'cat'], { stdin: 'not for you' });
  assert.deepEqual(result, { code: 0, stdout: '', stderr: '' });
});

test('binary output arrives byte for byte', async () => {
  const script =
    'i=0; while [ $i -lt 2000 ]; do printf "\\000\\001\\377line %d\\n" $i; i=$((i+1)); done | md5sum';
  const inside = await daemon.ok('run', '--rm', 'busybox', 'sh', '-c', script);
  const outside = await daemon.mydock([
    'run',
    '--rm',
    'busybox',
    'sh',
    '-c',
    script.replace(' | md5sum', ''),
  ]);
  assert.equal(outside.stdout.match(/line/g)?.length, 2000);
  assert.match(inside, /^[0-9a-f]{32} /);
});

test('20 MB of output arrive whole', async () => {
  const result = await daemon.mydock(['run', '--rm', 'busybox', 'sh', '-c', 'yes | head -c 20000000']);
  assert.equal(result.stdout.length, 20_000_000);
});

test('exit codes: 127 not found, 126 not executable, 125 daemon error, 128+n signal', async () => {
  assert.equal((await daemon.mydock(['run', '--rm', 'busybox', 'no-such-program'])).code, 127);
  assert.equal((await daemon.mydock(['run', '--rm', 'busybox', '/nowhere/at/all'])).code, 127);
  assert.equal((await daemon.mydock(['run', '--rm', 'busybox', '/etc/passwd'])).code, 126);
  assert.equal((await daemon.mydock(['run', '--rm', 'busybox', '/etc'])).code, 126);
  assert.equal((await daemon.mydock(['run', '--no-such-flag', 'busybox'])).code, 125);
  // The init of a pid namespace cannot kill itself; its shell reports its child's death in the same way.
  assert.equal(
    (await daemon.mydock(['run', '--rm', 'busybox', 'sh', '-c', 'sh -c "kill -9 \\$\\$"; exit $?'])).code,
    137,
  );
  assert.equal((await daemon.mydock(['run', '--rm', 'busybox', 'sh', '-c', 'exit 255'])).code, 255);
});

test('a program that is not found is named', async () => {
  await daemon.fails(
    127,
    /no-such-program.*executable file not found in \$PATH/s,
    'run',
    '--rm',
    'busybox',
    'no-such-program',
  );
});

test("the image's command, its replacement, and --entrypoint", async () => {
  assert.equal(
    (await daemon.mydock(['run', '--rm', '-i', 'busybox'], { stdin: 'echo from stdin\n' })).stdout,
    'from stdin\n',
  );
  assert.equal(await daemon.ok('run', '--rm', '--entrypoint', 'echo', 'busybox', 'a', 'b c'), 'a b c');
  assert.equal(await daemon.ok('run', '--rm', '--entrypoint', '/bin/true', 'busybox'), '');
});

test('-d prints the ID, and the container runs on', async () => {
  const id = await daemon.ok('run', '-d', '--name', 'detached', 'busybox', 'sleep', '1000');
  assert.match(id, /^[0-9a-f]{64}$/);
  assert.equal(await daemon.inspect('detached', '{{.Id}} {{.State.Running}}'), `${id} true`);
  await daemon.ok('rm', '-f', 'detached');
});

test('--name is unique, and refused where it is malformed', async () => {
  await daemon.ok('create', '--name', 'taken', 'busybox');
  await daemon.fails(
    125,
    /Conflict\. The container name "\/taken" is already in use by container/,
    'run',
    '--name',
    'taken',
    'busybox',
  );
  await daemon.fails(
    125,
    /Invalid container name \(-bad\)|Invalid container name \(b ad\)/,
    'run',
    '--name',
    'b ad',
    'busybox',
  );
  await daemon.ok('rm', 'taken');
});

test('a random name is two words', async () => {
  const id = await daemon.ok('create', 'busybox');
  assert.match(await daemon.inspect(id, '{{.Name}}'), /^\/[a-z]+_[a-z]+$/);
  await daemon.ok('rm', id);
});

test('--rm leaves no container, also after a failed start', async () => {
  await daemon.mydock(['run', '--rm', '--name', 'gone', 'busybox', 'true']);
  await daemon.mydock(['run', '--rm', '--name', 'gone', 'busybox', 'no-such-program']);
  assert.equal(await daemon.ok('ps', '-aq', '--filter', 'name=gone'), '');
});

test('create, start -a and a second start', async () => {
  const id = await daemon.ok('create', '--name', 'again', 'busybox', 'sh', '-c', 'echo started; exit 3');
  assert.match(id, /^[0-9a-f]{64}$/);
  assert.equal(await daemon.inspect('again', '{{.State.Status}}'), 'created');
  for (let turn = 0; turn < 2; turn++) {
    const result = await daemon.mydock(['start', '-a', 'again']);
    assert.deepEqual([result.code, result.stdout], [3, 'started\n']);
  }
  assert.equal(await daemon.ok('logs', 'again'), 'started\nstarted');
  await daemon.ok('rm', 'again');
});

test('files written stay until the container is removed, and are not seen by another', async () => {
  await daemon.ok('create', '--name', 'keeper', 'busybox', 'sh', '-c', 'cat /kept; echo x >> /kept');
  assert.equal((await daemon.mydock(['start', '-a', 'keeper'])).stdout, '');
  assert.equal((await daemon.mydock(['start', '-a', 'keeper'])).stdout, 'x\n');
  await daemon.fails(1, /can't open '\/kept'/, 'run', '--rm', 'busybox', 'cat', '/kept');
  await daemon.ok('rm', 'keeper');
});

test('an unknown image that no registry has', async () => {
  const result = await daemon.mydock(['run', '--rm', '127.0.0.1:1/none/such']);
  assert.equal(result.code, 125);
  assert.match(result.stderr, /Unable to find image '127\.0\.0\.1:1\/none\/such:latest' locally/);
});

test('--pull never does not ask a registry', async () => {
  await daemon.fails(125, /No such image: nowhere:latest/, 'run', '--rm', '--pull', 'never', 'nowhere');
});

test('flags after the image belong to the program', async () => {
  assert.equal(await daemon.ok('run', '--rm', 'busybox', 'echo', '--rm', '-d', '--', '-i'), '--rm -d -- -i');
});
