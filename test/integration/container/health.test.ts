/** Health checks: states, events, results, filters, timeouts, and restarts of what turned unhealthy. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { eventually } from '../command.ts';
import { TESTING_DOCKER } from '../engine.ts';
import { type Daemon, daemonWithBusybox } from '../harness.ts';

let daemon: Daemon;
let close: () => Promise<void>;
before(async () => {
  ({ daemon, close } = await daemonWithBusybox());
});
after(async () => await close());

interface Health {
  Status: string;
  FailingStreak: number;
  Log: { ExitCode: number; Output: string }[];
}

async function start(name: string, command: string, ...flags: string[]): Promise<void> {
  const check = ['--health-cmd', command, '--health-interval', '200ms'];
  await daemon.ok('run', '-d', '--name', name, ...check, ...flags, 'busybox', 'sleep', '1000');
}

async function health(name: string): Promise<Health> {
  return JSON.parse(await daemon.inspect(name, '{{json .State.Health}}')) as Health;
}

async function becomes(name: string, status: string): Promise<Health> {
  return await eventually(`${name} is ${status}`, async () => {
    const found = await health(name);
    return found.Status === status ? found : undefined;
  });
}

/** Actions of a container's events since the daemon came up. */
async function actions(name: string): Promise<string[]> {
  const filters = encodeURIComponent(JSON.stringify({ container: [name], event: ['health_status'] }));
  const until = Date.now() / 1000;
  const { text } = await daemon.api('GET', `/events?since=0&until=${until}&filters=${filters}`);
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => (JSON.parse(line) as { Action: string }).Action);
}

test('a container turns healthy, unhealthy and healthy again, and events tell it', async () => {
  await start('turns', 'cat /tmp/bad && exit 4 || true; test ! -e /tmp/bad', '--health-retries', '2');
  assert.match((await health('turns')).Status, /^(starting|healthy)$/);
  assert.match(await daemon.ok('ps', '--filter', 'name=turns'), /\(health: starting\)|\(healthy\)/);
  await becomes('turns', 'healthy');
  assert.match(await daemon.ok('ps', '--filter', 'health=healthy'), /turns/);
  await daemon.ok('exec', 'turns', 'sh', '-c', 'echo broken > /tmp/bad');
  const bad = await becomes('turns', 'unhealthy');
  assert.ok(bad.FailingStreak >= 2);
  assert.deepEqual([bad.Log.at(-1)?.ExitCode, bad.Log.at(-1)?.Output], [4, 'broken\n']);
  await daemon.ok('exec', 'turns', 'rm', '/tmp/bad');
  await becomes('turns', 'healthy');
  await eventually('five results', async () => (await health('turns')).Log.length === 5);
  assert.deepEqual(await actions('turns'), [
    'health_status: healthy',
    'health_status: unhealthy',
    'health_status: healthy',
  ]);
  await daemon.ok('rm', '-f', 'turns');
});

test('a check that takes too long is killed, and a long output is cut', async () => {
  await start('slow', 'echo begun; exec sleep 5', '--health-timeout', '300ms', '--health-retries', '1');
  const { Log } = await becomes('slow', 'unhealthy');
  assert.equal(Log[0]?.ExitCode, -1);
  assert.equal(Log[0]?.Output, 'Health check exceeded timeout (300ms): begun\n');
  await start('long', 'yes | head -c 100000');
  const { Log: said } = await becomes('long', 'healthy');
  assert.equal(said[0]?.Output.length, 4096 + '...'.length);
  await daemon.ok('rm', '-f', 'slow', 'long');
});

test('failures in the start period do not count', async () => {
  const period = [
    '--health-start-period',
    '30s',
    '--health-start-interval',
    '100ms',
    '--health-retries',
    '1',
  ];
  await start('warming', 'false', ...period);
  await eventually('three results', async () => (await health('warming')).Log.length >= 3);
  const { Status, FailingStreak } = await health('warming');
  assert.deepEqual([Status, FailingStreak], ['starting', 0]);
  await daemon.ok('rm', '-f', 'warming');
});

test('health goes on over a crash of the daemon, and ends with the run', {
  skip: TESTING_DOCKER,
}, async () => {
  await start('lasting', 'test ! -e /tmp/bad', '--health-retries', '1');
  await becomes('lasting', 'healthy');
  await daemon.stop('SIGKILL');
  await daemon.launch();
  assert.equal((await health('lasting')).Status, 'healthy');
  await daemon.ok('exec', 'lasting', 'touch', '/tmp/bad');
  await becomes('lasting', 'unhealthy');
  await daemon.ok('stop', '-t', '0', 'lasting');
  const results = (await health('lasting')).Log.length;
  await new Promise((resolve) => setTimeout(resolve, 600));
  assert.equal((await health('lasting')).Log.length, results);
  await daemon.ok('rm', 'lasting');
});

test('an unhealthy container is restarted where its label asks for it', {
  skip: TESTING_DOCKER,
}, async () => {
  const label = ['--label', 'mydock.restart-unhealthy=true', '--health-retries', '1', '--stop-timeout', '0'];
  await start('revived', 'test ! -e /run/bad', '--tmpfs', '/run', ...label);
  await becomes('revived', 'healthy');
  await daemon.ok('exec', 'revived', 'touch', '/run/bad');
  await eventually(
    'restarted and healthy',
    async () =>
      (await daemon.inspect('revived', '{{.RestartCount}} {{.State.Health.Status}}')) === '1 healthy',
  );
  await daemon.ok('rm', '-f', 'revived');
});

test('a restart that was not needed in the end does not stand in the way of the next one', {
  skip: TESTING_DOCKER,
}, async () => {
  // Its first check fails and the next ones do not: mostly before it would have been restarted.
  const check = 'test -e /once || { touch /once; exit 1; }; test ! -e /run/bad';
  const label = ['--label', 'mydock.restart-unhealthy=true', '--health-retries', '1', '--stop-timeout', '0'];
  await start('spared', check, '--tmpfs', '/run', ...label, '--health-interval', '10ms');
  await becomes('spared', 'healthy');
  const count = async (): Promise<number> => Number(await daemon.inspect('spared', '{{.RestartCount}}'));
  const before = await count();
  await daemon.ok('exec', 'spared', 'touch', '/run/bad');
  await eventually('restarted', async () => (await count()) > before);
  await daemon.ok('rm', '-f', 'spared');
});

test('--no-healthcheck and a check of an unknown kind run nothing', async () => {
  await daemon.ok('run', '-d', '--name', 'none', '--no-healthcheck', 'busybox', 'sleep', '100');
  assert.equal(await daemon.inspect('none', '{{json .State.Health}}').catch(() => 'null'), 'null');
  assert.match(await daemon.ok('ps', '--filter', 'health=none'), /none/);
  await daemon.fails(1, /invalid filter 'health=ill'/, 'ps', '--filter', 'health=ill');
  await daemon.ok('rm', '-f', 'none');
});
