/** A few of the strikes of `make test-faults` at what an operation needs of the machine, so that they go on working. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { FaultedDaemon } from '../../faults/faulted-daemon.ts';
import { Judge } from '../../faults/judge.ts';
import { LACKS, lacking, mountRoots } from '../../faults/resource-strikes.ts';
import { runScenario } from '../../faults/run-scenario.ts';
import { SCENARIOS } from '../../faults/scenarios/all.ts';

let daemon: FaultedDaemon;
let judge: Judge;

before(async () => {
  daemon = await FaultedDaemon.start({ beforeStart: mountRoots });
  judge = await Judge.begin(daemon);
});

after(async () => await daemon?.close());

async function strikes(scenarioName: string, lackName: string, point: string): Promise<void> {
  const scenario = SCENARIOS.find(({ name }) => name === scenarioName);
  const lack = LACKS.find(({ name }) => name === lackName);
  assert.ok(scenario !== undefined && lack !== undefined, `${scenarioName} and ${lackName} are there`);
  const kind = lacking(lack);
  const result = await runScenario(daemon, judge, scenario, kind, { picked: (title) => title === point });
  assert.deepEqual(result.failures, []);
  assert.equal(result.strikes, 1);
}

test('a container that is created on a full disk', async () => {
  await strikes('create with volumes', 'full data root', 'begin create/record');
});

test('a container that is created on a disk that cannot be written', async () => {
  await strikes('create with volumes', 'read-only data root', 'begin create/home');
});

test('a container that is created by a daemon that can open nothing more', async () => {
  await strikes('create with volumes', 'no descriptors', 'begin create/record');
});
