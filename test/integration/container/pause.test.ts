/** `pause`, `unpause` and what other verbs do about a paused container; the state survives the daemon. */
import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
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

const COUNTER = ['busybox', 'sh', '-c', 'i=0; while :; do i=$((i+1)); echo $i; sleep 0.02; done'];

async function post(container: string, verb: string): Promise<{ status: number; text: string }> {
  return await daemon.api('POST', `/containers/${container}/${verb}`);
}

/** Whether the log grows. */
async function runs(container: string): Promise<boolean> {
  const lines = await daemon.ok('logs', container);
  await new Promise((resolve) => setTimeout(resolve, 200));
  return (await daemon.ok('logs', container)) !== lines;
}

test('a paused container does nothing until it is unpaused', async () => {
  await daemon.ok('run', '-d', '--name', 'pp', ...COUNTER);
  assert.equal((await post('pp', 'pause')).status, 204);
  assert.equal(
    await daemon.inspect('pp', '{{.State.Status}} {{.State.Paused}} {{.State.Running}}'),
    'paused true true',
  );
  assert.equal(await runs('pp'), false);
  const [listed] = (await daemon.api('GET', '/containers/json?filters={"status":["paused"]}')).json<
    { State: string; Status: string }[]
  >();
  assert.equal(listed?.State, 'paused');
  assert.match(listed?.Status ?? '', /^Up .*\(Paused\)$/);
  assert.equal((await post('pp', 'unpause')).status, 204);
  assert.equal(await daemon.inspect('pp', '{{.State.Status}} {{.State.Paused}}'), 'running false');
  await eventually('it runs on', async () => await runs('pp'));
  await daemon.ok('rm', '-f', 'pp');
});

test('verbs that do not fit say so in the words of Docker', async () => {
  await daemon.ok('create', '--name', 'still', 'busybox', 'true');
  await daemon.ok('run', '-d', '--name', 'held', 'busybox', 'sleep', '1000');
  assert.match((await post('still', 'pause')).text, /ontainer \w+ is not running/);
  assert.match((await post('still', 'unpause')).text, /Container \w+ is not paused/);
  assert.match((await post('held', 'unpause')).text, /Container \w+ is not paused/);
  await post('held', 'pause');
  const again = await post('held', 'pause');
  assert.equal(again.status, 409);
  assert.match(again.text, /Container \w+ is already paused/);
  const start = await post('held', 'start');
  assert.equal(start.status, 409);
  assert.match(start.text, /cannot start a paused container, try unpause instead/);
  const exec = await daemon.api('POST', '/containers/held/exec', { Cmd: ['true'] });
  assert.equal(exec.status, 409);
  assert.match(exec.text, /Container \w+ is paused, unpause the container before exec/);
  const remove = await daemon.api('DELETE', '/containers/held');
  assert.equal(remove.status, 409);
  assert.match(remove.text, /paused/);
  assert.equal((await daemon.api('DELETE', '/containers/held?force=1')).status, 204);
  await daemon.ok('rm', 'still');
});

test('stop and kill end a paused container', async () => {
  await daemon.ok(
    'run',
    '-d',
    '--name',
    'ss',
    'busybox',
    'sh',
    '-c',
    'trap "exit 7" TERM; echo ready; while :; do sleep 0.05; done',
  );
  await eventually('it takes the signal', async () => (await daemon.ok('logs', 'ss')) === 'ready');
  await post('ss', 'pause');
  assert.equal((await post('ss', 'stop?t=60')).status, 204);
  assert.equal(await daemon.inspect('ss', '{{.State.Status}} {{.State.ExitCode}}'), 'exited 7');
  await daemon.ok('start', 'ss');
  await post('ss', 'pause');
  assert.equal((await post('ss', 'kill')).status, 204);
  assert.equal(await daemon.ok('wait', 'ss'), '137');
  await daemon.ok('rm', 'ss');
});

test('a new daemon finds a paused container paused, also one that was resumed meanwhile', async () => {
  await daemon.ok('run', '-d', '--name', 'kept', ...COUNTER);
  await post('kept', 'pause');
  await daemon.stop('SIGKILL');
  await daemon.launch();
  assert.equal(await daemon.inspect('kept', '{{.State.Status}}'), 'paused');
  assert.equal(await runs('kept'), false);
  assert.equal((await post('kept', 'unpause')).status, 204);
  await eventually('it runs on', async () => await runs('kept'));
  await daemon.ok('rm', '-f', 'kept');
});

test('wait does not take a pause for an end', async () => {
  const shared = join(daemon.folder, 'shared');
  mkdirSync(shared);
  const line = 'until [ -e /shared/end ]; do sleep 0.02; done; exit 3';
  await daemon.ok('run', '-d', '--name', 'ww', '-v', `${shared}:/shared`, 'busybox', 'sh', '-c', line);
  assert.equal((await post('ww', 'pause')).status, 204);
  writeFileSync(join(shared, 'end'), '');
  const waiting = daemon.ok('wait', 'ww');
  await new Promise((resolve) => setTimeout(resolve, 300));
  assert.equal(await daemon.inspect('ww', '{{.State.Status}}'), 'paused');
  assert.equal((await post('ww', 'unpause')).status, 204);
  assert.equal(await waiting, '3');
  await daemon.ok('rm', 'ww');
});
