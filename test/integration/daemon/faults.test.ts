/**
 * A few of the strikes of `make test-faults` (test/faults), so that they go on working: the daemon, and a process of the
 * runtime, killed in the middle of operations.
 */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { FaultedDaemon } from '../../faults/faulted-daemon.ts';
import { Judge } from '../../faults/judge.ts';
import type { Point } from '../../faults/order.ts';
import { runScenario } from '../../faults/run-scenario.ts';
import { RuntimeMarks } from '../../faults/runtime-marks.ts';
import { daemonKilledMeanwhile, runtimeKilled } from '../../faults/runtime-strikes.ts';
import { SCENARIOS } from '../../faults/scenarios/all.ts';
import { daemonKilled, type Strike } from '../../faults/strikes.ts';
import { ROOT } from '../../run/discovery.ts';

let marks: RuntimeMarks;
let daemon: FaultedDaemon;
let judge: Judge;

before(async () => {
  marks = new RuntimeMarks();
  daemon = await FaultedDaemon.start({ runtime: join(ROOT, 'build/faults/mydock-runtime') });
  judge = await Judge.begin(daemon);
});

after(async () => {
  await daemon?.close();
  marks?.close();
});

async function strikes(name: string, kind: Strike<Point>, points: readonly string[]): Promise<void> {
  const scenario = SCENARIOS.find((one) => one.name === name);
  assert.ok(scenario !== undefined, `there is a scenario "${name}"`);
  const result = await runScenario(daemon, judge, scenario, kind, {
    picked: (title) => points.includes(title),
  });
  assert.deepEqual(result.failures, []);
  assert.equal(result.strikes, points.length, `all of ${points.join(', ')} are among its points`);
}

test('a daemon killed while it creates a container leaves all of it or nothing', async () => {
  await strikes('create with volumes', daemonKilled, ['end create/volumes', 'begin create/fill']);
});

test('a daemon killed while it starts a container leaves nothing of the run, or the whole run', async () => {
  await strikes('start', daemonKilled, ['end network/plug', 'begin start/config', 'begin start/record']);
});

test('a daemon killed while it removes a container leaves the rest to the next one', async () => {
  await strikes('remove with anonymous volumes', daemonKilled, ['end remove/record', 'end remove/home']);
});

test('a daemon killed while it connects a network leaves a container that is on it, or is not', async () => {
  await strikes('network connect that moves ports', daemonKilled, ['end network/plug']);
});

test('a runtime killed while it makes a container fails the start, and leaves nothing', async () => {
  await strikes('start', runtimeKilled(marks), ['launch/cgroups-made', 'init/entered']);
});

test('a daemon killed while the runtime makes a container', async () => {
  await strikes('start', daemonKilledMeanwhile(marks), ['init/set-up']);
});

test('a daemon killed while it removes an image leaves the rest to the next one', async () => {
  await strikes('image remove', daemonKilled, ['end image-remove/record']);
});
