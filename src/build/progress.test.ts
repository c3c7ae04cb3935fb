import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { BuildStatus, BuildVertex } from '../api/build-status.ts';
import { Progress } from './progress.ts';

function recorded(): { progress: Progress; told: () => string[] } {
  const vertexes: BuildVertex[] = [];
  const progress = new Progress((status: BuildStatus) => vertexes.push(...(status.vertexes ?? [])), 'seed');
  const told = (): string[] =>
    vertexes.splice(0).map(({ name, started, completed, cached, error }) => {
      const state = completed === undefined ? (started === undefined ? 'announced' : 'started') : 'completed';
      return `${name}: ${error ?? (cached ? 'cached' : state)}`;
    });
  return { progress, told };
}

test('a build that is tried again tells of its steps once, and of what has become of them', () => {
  const { progress, told } = recorded();
  const names = ['read', 'cached twice', 'cached, then run', 'run, then cached', 'given up', 'same', 'same'];
  const first = names.map((name) => progress.vertex(name));
  const [read, twice, cachedThenRun, runThenCached, givenUp] = first;
  for (const vertex of [read, runThenCached]) {
    vertex?.start();
    vertex?.complete();
  }
  for (const vertex of [twice, cachedThenRun]) vertex?.cached();
  givenUp?.start();
  givenUp?.fail(new Error('canceled'));
  told();

  progress.again();
  const second = names.map((name) => progress.vertex(name));
  assert.deepEqual(
    second.map(({ digest }) => digest),
    first.map(({ digest }) => digest),
  );
  assert.equal(new Set(second.map(({ digest }) => digest)).size, names.length);
  assert.ok(second.every(({ ended }) => !ended));
  read?.start();
  read?.complete();
  twice?.cached();
  runThenCached?.cached();
  assert.deepEqual(told(), []);
  assert.equal(runThenCached?.ended, true);
  for (const vertex of [cachedThenRun, givenUp]) {
    vertex?.start();
    vertex?.complete();
  }
  assert.deepEqual(told(), [
    'cached, then run: started',
    'cached, then run: completed',
    'given up: started',
    'given up: completed',
  ]);
  progress.vertex('new');
  assert.deepEqual(told(), ['new: announced']);
});

test('a step that fails only when it is done again says so', () => {
  const { progress, told } = recorded();
  const step = progress.vertex('step');
  step.start();
  step.complete();
  told();
  progress.again();
  progress.vertex('step').start();
  assert.deepEqual(told(), []);
  step.fail(new Error('no more'));
  assert.deepEqual(told(), ['step: no more']);
});
