/** A few of the strikes of `make test-faults` by registries that lie, so that they go on working. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { FaultedDaemon } from '../../faults/faulted-daemon.ts';
import { Judge } from '../../faults/judge.ts';
import { LIES, lying } from '../../faults/registry-strikes.ts';
import { runScenario } from '../../faults/run-scenario.ts';
import { SCENARIOS } from '../../faults/scenarios/all.ts';

let daemon: FaultedDaemon;
let judge: Judge;

before(async () => {
  daemon = await FaultedDaemon.start({ args: ['--max-download-attempts', '1'] });
  judge = await Judge.begin(daemon);
});

after(async () => await daemon?.close());

async function strikes(scenarioName: string, lieName: string, point: string): Promise<void> {
  const scenario = SCENARIOS.find(({ name }) => name === scenarioName);
  const lie = LIES.find(({ name }) => name === lieName);
  assert.ok(scenario !== undefined && lie !== undefined, `${scenarioName} and ${lieName} are there`);
  const kind = lying(lie);
  const result = await runScenario(daemon, judge, scenario, kind, { picked: (title) => title === point });
  assert.deepEqual(result.failures, []);
  assert.equal(result.strikes, 1);
  assert.ok(daemon.registry.told > 0, 'the registry has lied');
}

test('a registry whose layers have other bytes leaves nothing of the pull', async () => {
  await strikes('pull', 'registry with other bytes', 'GET blobs (2.)');
});

test('a registry that fails is named by the error of the pull', async () => {
  await strikes('pull', 'registry that fails', 'GET manifests');
});
