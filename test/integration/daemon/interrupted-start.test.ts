/**
 * A daemon that is killed while a container is being started: what the supervisor was told to do by then it does, the next
 * daemon waits for it, and no run is begun twice. The runtime here stands still where the test wants it to.
 */
import assert from 'node:assert/strict';
import { existsSync, writeFileSync } from 'node:fs';
import { after, afterEach, before, test } from 'node:test';
import { eventually } from '../command.ts';
import type { Daemon } from '../harness.ts';
import {
  daemonWithHeldRuntime,
  HELD_RUNTIME,
  holdRuntime,
  releaseRuntime,
  runtimeIsHeld,
} from '../held-runtime.ts';

const SLEEPER = "trap 'exit 7' TERM; echo said; while :; do sleep 100000 & wait; done";

let daemon: Daemon;
let close: () => Promise<void>;

before(async () => {
  ({ daemon, close } = await daemonWithHeldRuntime());
});
after(async () => await close());
afterEach(releaseRuntime);

/** Kills the daemon while the runtime stands at `verb`, which `ask` leads to. */
async function killAt(verb: 'create' | 'start', ask: () => Promise<unknown>): Promise<void> {
  holdRuntime(verb);
  const cutOff = assert.rejects(ask());
  await runtimeIsHeld();
  await daemon.stop('SIGKILL');
  await cutOff;
}

/** Starts the next daemon; the runtime goes on when that one waits for it, or serves without. */
async function launchAround(): Promise<void> {
  const from = daemon.log.length;
  let serves = false;
  const launched = daemon.launch().finally(() => {
    serves = true;
  });
  const waits = (): boolean => daemon.log.slice(from).includes('waits for a supervisor');
  await eventually('the daemon waits, or serves', () => serves || waits());
  releaseRuntime();
  await launched;
}

const state = async (name: string): Promise<{ Status: string; StartedAt: string }> =>
  (await daemon.api('GET', `/containers/${name}/json`)).json<{
    State: { Status: string; StartedAt: string };
  }>().State;

async function create(name: string): Promise<void> {
  await daemon.ok('create', '--name', name, '--runtime', HELD_RUNTIME, 'busybox', 'sh', '-c', SLEEPER);
}

async function assertLines(name: string, count: number): Promise<void> {
  const said = Array.from({ length: count }, () => 'said').join('\n');
  await eventually(`${name} has spoken`, async () => (await daemon.ok('logs', name)).length >= said.length);
  assert.equal(await daemon.ok('logs', name), said);
}

test('a start that the daemon has not seen the end of is one run', async () => {
  await create('late');
  await killAt('create', () => daemon.api('POST', '/containers/late/start'));
  await launchAround();
  assert.equal((await state('late')).Status, 'running');
  assert.equal((await daemon.api('POST', '/containers/late/start')).status, 304);
  await assertLines('late', 1);
  await daemon.ok('stop', 'late');
  assert.equal(await daemon.inspect('late', '{{.State.ExitCode}}'), '7');
  await daemon.ok('rm', 'late');
});

test('a runtime that does not come to an end holds the next daemon up for some seconds, and nothing runs', async () => {
  await create('stuck');
  await killAt('create', () => daemon.api('POST', '/containers/stuck/start'));
  await daemon.launch();
  assert.match(daemon.log, /does not get ready: it is killed/);
  assert.equal((await state('stuck')).Status, 'created');
  releaseRuntime();
  await daemon.ok('start', 'stuck');
  await assertLines('stuck', 1);
  await daemon.ok('rm', '-f', 'stuck');
});

test('a restart that the daemon has not seen the end of is not taken for a stop', async () => {
  await create('again');
  await daemon.ok('start', 'again');
  await assertLines('again', 1);
  await killAt('start', () => daemon.api('POST', '/containers/again/restart?t=3'));
  releaseRuntime();
  await daemon.launch();
  const { Status, StartedAt } = await state('again');
  assert.equal(Status, 'running');
  // Waits for whatever is under way with the container.
  assert.equal((await daemon.api('POST', '/containers/again/update', {})).status, 200);
  assert.equal((await state('again')).StartedAt, StartedAt);
  await assertLines('again', 2);
  await daemon.ok('rm', '-f', 'again');
});

test('a start that the daemon has not seen the end of begins the count of its policy anew', async () => {
  const flags = ['--name', 'counted', '--restart', 'on-failure:1', '--runtime', HELD_RUNTIME];
  await daemon.ok('run', '-d', ...flags, 'busybox', 'sh', '-c', 'echo said; exit 3');
  const isGivenUp = async (): Promise<boolean> => {
    const template = '{{.State.Status}} {{.RestartCount}}';
    return (await daemon.inspect('counted', template)) === 'exited 1';
  };
  await eventually('its policy gives up', isGivenUp);
  await killAt('start', () => daemon.api('POST', '/containers/counted/start'));
  releaseRuntime();
  await daemon.launch();
  await eventually('its policy gives up again', async () => {
    return (await daemon.ok('logs', 'counted')).split('\n').length > 3 && (await isGivenUp());
  });
  await assertLines('counted', 4);
  await daemon.ok('rm', 'counted');
});

test('what a user stops before a new daemon comes to start it stays stopped', async () => {
  const names = Array.from({ length: 6 }, (_, index) => `queued-${index}`);
  const script = 'until test -e /tmp/go; do usleep 20000; done; rm /tmp/go';
  const flags = ['--restart', 'always', '--runtime', HELD_RUNTIME];
  const pids: number[] = [];
  for (const name of names) {
    await daemon.ok('run', '-d', '--name', name, ...flags, 'busybox', 'sh', '-c', script);
    pids.push(Number(await daemon.inspect(name, '{{.State.Pid}}')));
  }
  await daemon.stop('SIGKILL');
  holdRuntime('create');
  for (const pid of pids) writeFileSync(`/proc/${pid}/root/tmp/go`, '');
  for (const pid of pids) await eventually(`process ${pid} ends`, () => !existsSync(`/proc/${pid}/root/tmp`));
  await daemon.launch();
  // Four are started at once, in the order of their creation: these hold up the other two.
  await runtimeIsHeld();
  const [, , , , stopped = '', last = ''] = names;
  assert.equal((await state(stopped)).Status, 'restarting');
  assert.equal((await daemon.api('POST', `/containers/${stopped}/stop`)).status, 204);
  releaseRuntime();
  await daemon.reaches(last, 'running');
  assert.equal((await daemon.api('POST', `/containers/${stopped}/update`, {})).status, 200);
  assert.equal((await state(stopped)).Status, 'exited');
  await daemon.ok('rm', '-f', ...names);
});
