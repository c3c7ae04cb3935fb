/** Operations on one container that meet: each is done in its turn, and what was acknowledged stays done. */
import assert from 'node:assert/strict';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, afterEach, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { exchange, frames } from '../../conformance/exchange.ts';
import { eventually } from '../command.ts';
import type { Daemon } from '../harness.ts';
import {
  daemonWithHeldRuntime,
  HELD_RUNTIME,
  holdRuntime,
  releaseRuntime,
  runtimeIsHeld,
} from '../held-runtime.ts';

/** Says a line, and ends with 7 as soon as there is /tmp/go. */
const UNTIL_GO = 'echo said; until test -e /tmp/go; do usleep 20000; done; rm /tmp/go; exit 7';

let daemon: Daemon;
let close: () => Promise<void>;

before(async () => {
  ({ daemon, close } = await daemonWithHeldRuntime());
});
after(async () => await close());
afterEach(releaseRuntime);

interface Inspected {
  readonly RestartCount: number;
  readonly State: { readonly Status: string; readonly Pid: number };
}

async function inspect(name: string): Promise<Inspected> {
  return (await daemon.api('GET', `/containers/${name}/json`)).json<Inspected>();
}

/** Waits for its turn with the container, behind all that is under way with it. */
async function inTurn(name: string): Promise<void> {
  assert.equal((await daemon.api('POST', `/containers/${name}/update`, {})).status, 200);
}

async function background(name: string, flags: readonly string[], script = UNTIL_GO): Promise<void> {
  await daemon.ok('run', '-d', '--name', name, ...flags, 'busybox', 'sh', '-c', script);
}

/** Ends its run: no daemon needs to answer. */
async function go(name: string): Promise<void> {
  writeFileSync(`/proc/${(await inspect(name)).State.Pid}/root/tmp/go`, '');
}

async function acknowledged(method: string, path: string): Promise<void> {
  const { status, text } = await daemon.api(method, path);
  assert.equal(status, 204, text);
}

/** The actions of all events so far. */
async function actions(name: string): Promise<string[]> {
  const filters = encodeURIComponent(JSON.stringify({ container: [name] }));
  const until = Math.ceil(Date.now() / 1000);
  const { text } = await daemon.api('GET', `/events?since=1&until=${until}&filters=${filters}`);
  const lines = text.split('\n').filter((line) => line !== '');
  return lines.map((line) => (JSON.parse(line) as { Action: string }).Action);
}

test('who attaches while it is being started is shown what it says', async () => {
  await daemon.ok('create', '--name', 'early', '--runtime', HELD_RUNTIME, 'busybox', 'echo', 'said');
  holdRuntime('start');
  const started = acknowledged('POST', '/containers/early/start');
  await runtimeIsHeld();
  const path = '/containers/early/attach?stream=1&stdout=1';
  const attached = exchange(daemon.socket, { method: 'POST', path });
  await eventually('it is attached', async () => (await actions('early')).includes('attach'));
  releaseRuntime();
  await started;
  assert.deepEqual(frames((await attached).body), [{ stream: 1, text: 'said\n' }]);
  await daemon.ok('rm', 'early');
});

test('what waits for its turn behind a removal finds nothing', async () => {
  await daemon.ok('create', '--name', 'leaving', '--runtime', HELD_RUNTIME, 'busybox', 'sh', '-c', UNTIL_GO);
  holdRuntime('start');
  const started = acknowledged('POST', '/containers/leaving/start');
  await runtimeIsHeld();
  const removed = acknowledged('DELETE', '/containers/leaving?force=1');
  const again = async (): Promise<number> => (await daemon.api('DELETE', '/containers/leaving')).status;
  await eventually('the removal waits', async () => (await again()) === 409);
  const renamed = daemon.api('POST', '/containers/leaving/rename?name=ghost');
  await eventually('the rename waits', async () => (await daemon.api('GET', '/_ping')).status === 200);
  releaseRuntime();
  await Promise.all([started, removed]);
  assert.equal((await renamed).status, 404);
  await daemon.ok('create', '--name', 'ghost', 'busybox');
  await daemon.ok('rm', 'ghost');
  assert.equal(await daemon.ok('ps', '-aq'), '');
});

test('a kill that meets a restart by the policy ends what that starts', async () => {
  await background('phoenix', ['--restart', 'always', '--runtime', HELD_RUNTIME]);
  holdRuntime('create');
  await go('phoenix');
  await runtimeIsHeld();
  const killed = acknowledged('POST', '/containers/phoenix/kill');
  // Not answered, or answered and undone: both are seen behind the restart.
  await Promise.race([killed, daemon.api('GET', '/_ping')]);
  releaseRuntime();
  await killed;
  await inTurn('phoenix');
  await daemon.reaches('phoenix', 'exited');
  assert.equal((await inspect('phoenix')).RestartCount, 1);
  await daemon.ok('rm', 'phoenix');
});

test('a start of what a user has killed, and still runs, does not take the kill back', async () => {
  await background('dying', ['--restart', 'always'], `trap '' TERM; ${UNTIL_GO}`);
  await acknowledged('POST', '/containers/dying/kill?signal=TERM');
  assert.equal((await daemon.api('POST', '/containers/dying/start')).status, 304);
  const ended = daemon.api('POST', '/containers/dying/wait');
  await go('dying');
  await ended;
  const { State, RestartCount } = await inspect('dying');
  assert.deepEqual([State.Status, RestartCount], ['exited', 0]);
  await daemon.ok('rm', 'dying');
});

test('a container of --rm whose restart fails goes', async () => {
  const folder = join(daemon.folder, 'bound');
  mkdirSync(folder);
  await background('once', ['--rm', '--mount', `type=bind,src=${folder},dst=/bound`]);
  rmSync(folder, { recursive: true });
  assert.notEqual((await daemon.api('POST', '/containers/once/restart?t=0')).status, 204);
  await eventually('it is gone', async () => (await daemon.ok('ps', '-aq')) === '');
});

test('a run that ends while another daemon takes over counts as one of its policy', async () => {
  await background('holder', ['--restart', 'always', '--runtime', HELD_RUNTIME]);
  await background('counted', ['--restart', 'on-failure:1']);
  const { Pid } = (await inspect('counted')).State;
  holdRuntime('create');
  await go('holder');
  // The first daemon cannot let go before this start has come to its end.
  await runtimeIsHeld();
  const taken = daemon.takeOver();
  await eventually('the takeover begins', () => daemon.log.includes('another mydockd takes over'));
  // From then on it waits; were this too soon, the run would end before, and count as any other.
  await sleep(500);
  writeFileSync(`/proc/${Pid}/root/tmp/go`, '');
  await eventually('the run has ended', () => !alive(Pid));
  releaseRuntime();
  await taken;
  await eventually('it runs again', async () => (await inspect('counted')).State.Status === 'running');
  assert.equal((await inspect('counted')).RestartCount, 1);
  await go('counted');
  await daemon.reaches('counted', 'exited');
  assert.equal(await daemon.ok('logs', 'counted'), 'said\nsaid');
  await daemon.ok('rm', '-f', 'holder', 'counted');
});

function alive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
