/**
 * Every operation of the Engine API's definition, driven with real requests, its answers held against the definition.
 * Prints the table of operations, which is docs/compatibility.md: `make compatibility` writes it
 * (MYDOCK_COMPATIBILITY=write), and otherwise the file must be up to date. Skipped where the definition is not
 * beside the checkout and MYDOCK_API_DEFINITION does not name it.
 */
import assert from 'node:assert/strict';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { after, before, test } from 'node:test';
import { CACHE } from '../fixtures/packages.ts';
import { type Daemon, daemonWithRegistry } from '../integration/harness.ts';
import { definitionPath, readDefinition } from './definition.ts';
import { Recorder } from './recorder.ts';
import { driveCreate, driveLifecycle, driveListAndInspect, drivePrune } from './situations/containers.ts';
import { driveExec } from './situations/exec.ts';
import { driveFiles } from './situations/files.ts';
import { driveDistribution, driveImages } from './situations/images.ts';
import { driveNetworks } from './situations/networks.ts';
import { driveBuild, drivePlugins, driveVolumes } from './situations/objects.ts';
import type { Stage } from './situations/stage.ts';
import { driveAttach, driveLogs, driveStats, driveWait } from './situations/streams.ts';
import { driveEvents, driveSystem } from './situations/system.ts';
import { compatibilityTable, plainTable } from './table.ts';

const TABLE = join(resolve(import.meta.dirname, '../..'), 'docs/compatibility.md');

const GROUPS: Record<string, (stage: Stage) => Promise<void>> = {
  create: driveCreate,
  'list and inspect': driveListAndInspect,
  lifecycle: driveLifecycle,
  prune: drivePrune,
  'files of containers': driveFiles,
  logs: driveLogs,
  attach: driveAttach,
  wait: driveWait,
  stats: driveStats,
  exec: driveExec,
  system: driveSystem,
  events: driveEvents,
  images: driveImages,
  distribution: driveDistribution,
  build: driveBuild,
  volumes: driveVolumes,
  networks: driveNetworks,
  plugins: drivePlugins,
};

const definitionFile = definitionPath();
const skip = definitionFile === undefined ? 'no API definition: name it by MYDOCK_API_DEFINITION' : false;
let stage: Stage;
let close: (() => Promise<void>) | undefined;

before(async () => {
  if (definitionFile === undefined) return;
  const definition = readDefinition(definitionFile);
  const made = await daemonWithRegistry();
  close = made.close;
  const daemon: Daemon = made.daemon;
  stage = {
    daemon,
    recorder: new Recorder(definition, daemon.socket),
    reference: `${made.registry.host}/busybox:latest`,
    registry: made.registry.host,
    push: made.registry.push,
  };
});
after(async () => await close?.());

for (const [name, drive] of Object.entries(GROUPS)) {
  test(`answers of ${name} are as the definition says`, { skip }, async () => {
    const failures: string[] = [];
    const note = (error: unknown): void => {
      failures.push(error instanceof Error ? error.message : String(error));
    };
    await drive(stage).catch(note);
    await stage.daemon.removeContainers().catch(note);
    assert.deepEqual([...stage.recorder.takeProblems(), ...failures], []);
  });
}

test('every other operation says that it is not there', { skip }, async () => {
  for (const { operation } of stage.recorder.outcomes()) await stage.recorder.probe(operation);
  assert.deepEqual(stage.recorder.takeProblems(), []);
});

test('docs/compatibility.md says what was found', { skip }, () => {
  const outcomes = stage.recorder.outcomes();
  process.stderr.write(`${plainTable(outcomes)}\n`);
  const unknown = outcomes.filter(({ answered, refused }) => answered.length + refused.length === 0);
  assert.deepEqual(
    unknown.map(({ operation }) => operation.name),
    [],
    'nothing is known of these operations',
  );
  const table = compatibilityTable(outcomes);
  if (process.env['MYDOCK_COMPATIBILITY'] === 'write') {
    // A sandbox can read the tree and no more; `make compatibility` takes it from there.
    writeFileSync(join(CACHE, 'compatibility.md'), table);
    return;
  }
  const inTree = existsSync(TABLE) ? readFileSync(TABLE, 'utf8') : '';
  assert.ok(inTree === table, 'docs/compatibility.md is out of date: run `make compatibility`');
});
