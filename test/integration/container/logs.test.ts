/** `logs`: both streams, -f, --tail, --since, --until, -t, long lines, and rotation. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { type Daemon, daemonWithBusybox } from '../harness.ts';

let daemon: Daemon;
let close: () => Promise<void>;
before(async () => {
  ({ daemon, close } = await daemonWithBusybox());
});
after(async () => await close());

/** Runs a shell line to its end in a container of this name. */
async function finished(name: string, line: string, ...flags: string[]): Promise<void> {
  await daemon.ok('run', '-d', '--name', name, ...flags, 'busybox', 'sh', '-c', line);
  await daemon.ok('wait', name);
}

test('stdout and stderr come back on their own streams, in order', async () => {
  await finished('both', 'echo one; echo two >&2; echo three; printf unfinished');
  const result = await daemon.mydock(['logs', 'both']);
  assert.deepEqual(result, { code: 0, stdout: 'one\nthree\nunfinished', stderr: 'two\n' });
});

test('--tail', async () => {
  await finished('ten', 'for i in $(seq 10); do echo $i; done');
  assert.equal(await daemon.ok('logs', '--tail', '3', 'ten'), '8\n9\n10');
  assert.equal(await daemon.ok('logs', '-n', '1', 'ten'), '10');
  assert.equal(await daemon.ok('logs', '--tail', '0', 'ten'), '');
  assert.equal((await daemon.ok('logs', '--tail', 'all', 'ten')).split('\n').length, 10);
  assert.equal((await daemon.ok('logs', '--tail', '1000', 'ten')).split('\n').length, 10);
});

test('-t, --since and --until', async () => {
  await finished('timed', 'echo early; sleep 1.2; echo late');
  const lines = (await daemon.ok('logs', '-t', 'timed')).split('\n');
  assert.equal(lines.length, 2);
  const [time = '', word] = lines[1]?.split(' ') ?? [];
  assert.equal(word, 'late');
  assert.match(time, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z$/);
  assert.equal(await daemon.ok('logs', '--since', time, 'timed'), 'late');
  const middle = (Date.parse(time) / 1000 - 0.6).toFixed(3);
  assert.equal(await daemon.ok('logs', '--until', middle, 'timed'), 'early');
  assert.equal(await daemon.ok('logs', '--since', middle, 'timed'), 'late');
  assert.equal(await daemon.ok('logs', '--since', '1h', 'timed'), 'early\nlate');
});

test('-f follows to the end of the container', async () => {
  await daemon.ok(
    'run',
    '-d',
    '--name',
    'followed',
    'busybox',
    'sh',
    '-c',
    'echo a; sleep 0.7; echo b; sleep 0.3; echo c',
  );
  const live = daemon.live(['logs', '-f', 'followed']);
  await live.sees(/a\n/);
  const result = await live.ended;
  assert.deepEqual([result.code, result.stdout], [0, 'a\nb\nc\n']);
});

test("-f goes on over a restart of the container's program", async () => {
  await daemon.ok('run', '-d', '--name', 'again', 'busybox', 'sh', '-c', 'echo run; exec sleep 1000');
  await daemon.ok('restart', '-t', '0', 'again');
  assert.equal(await daemon.ok('logs', 'again'), 'run\nrun');
});

test("lines longer than the log's chunks come back whole", async () => {
  await finished('long', 'head -c 100000 /dev/zero | tr "\\0" x; echo; echo short');
  const { stdout } = await daemon.mydock(['logs', 'long']);
  assert.equal(stdout, `${'x'.repeat(100_000)}\nshort\n`);
});

test("a terminal's output is raw", async () => {
  await finished('terminal', 'echo hello; echo error >&2', '-t');
  const result = await daemon.mydock(['logs', 'terminal']);
  assert.deepEqual(result, { code: 0, stdout: 'hello\r\nerror\r\n', stderr: '' });
});

test('logs of what is not there', async () => {
  await daemon.fails(1, /No such container: nobody/, 'logs', 'nobody');
});

test('--log-opt max-size rotates, and logs reads over the files', async () => {
  const flags = ['--log-opt', 'max-size=20k', '--log-opt', 'max-file=3'];
  await finished('rotated', 'for i in $(seq 1 1000); do echo "line number $i"; done', ...flags);
  const lines = (await daemon.ok('logs', 'rotated')).split('\n');
  assert.equal(lines.at(-1), 'line number 1000');
  assert.ok(lines.length > 250 && lines.length < 800, `${lines.length} lines are kept`);
  const numbers = lines.map((line) => Number(line.split(' ')[2]));
  assert.ok(
    numbers.every((number, i) => number === (numbers[0] ?? 0) + i),
    'no line is lost in between',
  );
});
