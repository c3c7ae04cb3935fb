/** `start`, `stop`, `kill`, `restart`, `wait`, `rm` and --restart: states, signals, exit codes, errors. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { eventually } from '../command.ts';
import { type Daemon, daemonWithBusybox } from '../harness.ts';

let daemon: Daemon;
let close: () => Promise<void>;
before(async () => {
  ({ daemon, close } = await daemonWithBusybox());
});
after(async () => await close());

const SLEEP = ['busybox', 'sleep', '1000'];

test('kill sends KILL, or the signal that -s names', async () => {
  await daemon.ok('run', '-d', '--name', 'victim', ...SLEEP);
  assert.equal(await daemon.ok('kill', 'victim'), 'victim');
  assert.equal(await daemon.ok('wait', 'victim'), '137');
  await daemon.fails(1, /[Cc]ontainer \w+ is not running/, 'kill', 'victim');
  await daemon.ok('rm', 'victim');
  const line = 'trap "echo hup" HUP; trap "exit 9" TERM; echo on; while :; do sleep 0.05; done';
  await daemon.ok('run', '-d', '--name', 'handler', 'busybox', 'sh', '-c', line);
  await eventually('it listens', async () => (await daemon.ok('logs', 'handler')) === 'on');
  await daemon.ok('kill', '-s', 'HUP', 'handler');
  await eventually('the signal is handled', async () => (await daemon.ok('logs', 'handler')) === 'on\nhup');
  await daemon.ok('kill', '--signal', '15', 'handler');
  assert.equal(await daemon.ok('wait', 'handler'), '9');
  await daemon.fails(1, /[Ii]nvalid signal: NONSENSE/, 'kill', '-s', 'NONSENSE', 'handler');
  await daemon.ok('rm', 'handler');
});

test('stop of a stopped container and start of a running one change nothing', async () => {
  await daemon.ok('run', '-d', '--name', 'twice', ...SLEEP);
  assert.equal(await daemon.ok('start', 'twice'), 'twice');
  await daemon.ok('stop', '-t', '0', 'twice');
  assert.equal(await daemon.ok('stop', 'twice'), 'twice');
  assert.equal((await daemon.api('POST', '/containers/twice/stop')).status, 304);
  await daemon.ok('start', 'twice');
  assert.equal((await daemon.api('POST', '/containers/twice/start')).status, 304);
  await daemon.ok('rm', '-f', 'twice');
});

test('a stop that may take months does not kill at once', async () => {
  const script = 'trap "sleep 0.2; exit 7" TERM; touch /ready; while :; do sleep 0.1; done';
  const id = await daemon.ok('run', '-d', 'busybox', 'sh', '-c', script);
  await daemon.ok('exec', id, 'sh', '-c', 'until [ -e /ready ]; do sleep 0.05; done');
  await daemon.ok('stop', '-t', '3000000', id);
  assert.equal(await daemon.inspect(id, '{{.State.ExitCode}}'), '7');
  await daemon.ok('rm', id);
});

test('restart gives a new process', async () => {
  await daemon.ok('run', '-d', '--name', 'anew', ...SLEEP);
  const before = await daemon.inspect('anew', '{{.State.Pid}} {{.State.StartedAt}}');
  await daemon.ok('restart', '-t', '0', 'anew');
  const later = await daemon.inspect('anew', '{{.State.Pid}} {{.State.StartedAt}}');
  assert.notEqual(before.split(' ')[0], later.split(' ')[0]);
  assert.notEqual(before.split(' ')[1], later.split(' ')[1]);
  assert.equal(await daemon.inspect('anew', '{{.State.Running}} {{.RestartCount}}'), 'true 0');
  await daemon.ok('rm', '-f', 'anew');
});

test('wait answers while it runs, when it ends, and afterwards; several in order', async () => {
  await daemon.ok('run', '-d', '--name', 'w1', 'busybox', 'sh', '-c', 'sleep 0.5; exit 11');
  await daemon.ok('run', '-d', '--name', 'w2', 'busybox', 'sh', '-c', 'exit 12');
  assert.equal(await daemon.ok('wait', 'w1', 'w2'), '11\n12');
  assert.equal(await daemon.ok('wait', 'w1'), '11');
  await daemon.ok('rm', 'w1', 'w2');
});

test('rm refuses a running container, -f takes it', async () => {
  await daemon.ok('run', '-d', '--name', 'busy', ...SLEEP);
  await daemon.fails(
    1,
    /cannot remove a running container|container is running: stop the container before removing/,
    'rm',
    'busy',
  );
  assert.equal(await daemon.ok('rm', '-f', 'busy'), 'busy');
  await daemon.fails(1, /No such container: busy/, 'rm', 'busy');
});

test('of two removals at once, the second is told of the first', async () => {
  const line = 'trap "echo heard" USR1; echo on; while :; do sleep 0.05; done';
  await daemon.ok('run', '-d', '--name', 'slow', '--stop-signal', 'USR1', 'busybox', 'sh', '-c', line);
  await eventually('it listens', async () => (await daemon.ok('logs', 'slow')) === 'on');
  // Whoever removes the container without force waits behind this.
  const stopped = daemon.api('POST', '/containers/slow/stop?t=120');
  await eventually('the stop waits', async () => (await daemon.ok('logs', 'slow')) === 'on\nheard');
  const removals = [1, 2].map(async () => await daemon.api('DELETE', '/containers/slow'));
  const refused = await Promise.race(removals);
  assert.deepEqual(
    [refused.status, refused.json()],
    [409, { message: 'removal of container slow is already in progress' }],
  );
  await daemon.ok('kill', 'slow');
  assert.deepEqual((await Promise.all(removals)).map(({ status }) => status).sort(), [204, 409]);
  assert.equal((await stopped).status, 204);
  await daemon.fails(1, /No such container: slow/, 'rm', 'slow');
});

test("the whole of a container's processes dies with its init", async () => {
  await daemon.ok(
    'run',
    '-d',
    '--name',
    'parent',
    'busybox',
    'sh',
    '-c',
    'sleep 7654 & sleep 7654 & exec sleep 1000',
  );
  await daemon.ok('kill', 'parent');
  await daemon.ok('wait', 'parent');
  const { run } = await import('../command.ts');
  assert.equal((await run(['pgrep', '-f', 'sleep 7654'])).stdout, '');
  await daemon.ok('rm', 'parent');
});

test('--restart on-failure:2 tries three times', async () => {
  await daemon.ok(
    'run',
    '-d',
    '--name',
    'failing',
    '--restart',
    'on-failure:2',
    'busybox',
    'sh',
    '-c',
    'echo try; exit 1',
  );
  await eventually(
    'it gives up',
    async () => (await daemon.inspect('failing', '{{.State.Status}} {{.RestartCount}}')) === 'exited 2',
  );
  assert.equal(await daemon.ok('logs', 'failing'), 'try\ntry\ntry');
  await daemon.ok('rm', 'failing');
});

test('--restart on-failure leaves a success alone', async () => {
  await daemon.ok('run', '-d', '--name', 'fine', '--restart', 'on-failure', 'busybox', 'true');
  await daemon.ok('wait', 'fine');
  await new Promise((resolve) => setTimeout(resolve, 400));
  assert.equal(await daemon.inspect('fine', '{{.State.Status}} {{.RestartCount}}'), 'exited 0');
  await daemon.ok('rm', 'fine');
});

test('--restart always starts again after a crash, but not after stop', async () => {
  await daemon.ok(
    'run',
    '-d',
    '--name',
    'always',
    '--restart',
    'always',
    'busybox',
    'sh',
    '-c',
    'sleep 0.3; exit 1',
  );
  await eventually(
    'it was restarted',
    async () => Number(await daemon.inspect('always', '{{.RestartCount}}')) >= 2,
  );
  await daemon.ok('stop', '-t', '0', 'always');
  await new Promise((resolve) => setTimeout(resolve, 800));
  assert.equal(await daemon.inspect('always', '{{.State.Running}}'), 'false');
  await daemon.ok('rm', 'always');
});

test('--restart and --rm exclude each other', async () => {
  await daemon.fails(125, /--restart.*--rm|--rm.*--restart/, 'run', '--rm', '--restart', 'always', 'busybox');
});
