import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Progress } from './progress.ts';
import { releaseAll } from './release-all.ts';
import type { BuildParts } from './solve/build-parts.ts';
import { StepSources } from './solve/step-sources.ts';
import type { SourceTree } from './source/source-tree.ts';

test('all are let go, in order; the first failure is told', async () => {
  const told: string[] = [];
  const letGo = (name: string, fails: boolean) => async () => {
    told.push(name);
    if (fails) throw new Error(`cannot let go of ${name}`);
  };
  await assert.rejects(
    releaseAll([letGo('a', false), letGo('b', true), () => undefined, letGo('c', true), letGo('d', false)]),
    /cannot let go of b/,
  );
  assert.deepEqual(told, ['a', 'b', 'c', 'd']);
  await releaseAll([letGo('e', false)]);
});

test('trees of a build are let go although one of them cannot be, or was never opened', async () => {
  const told: string[] = [];
  const unused = () => assert.fail('nothing of the build is asked for');
  const sources = new StepSources({
    parts: {} as BuildParts,
    named: {},
    session: undefined,
    progress: new Progress(() => undefined, 'test'),
    signal: new AbortController().signal,
    main: unused,
    image: unused,
    cacheNamespace: undefined,
    lock: { pin: unused },
  });
  const tree = (title: string): SourceTree => ({
    path: '/',
    title,
    times: 'kept',
    live: false,
    release: () => {
      told.push(title);
      return title === 'stuck' ? Promise.reject(new Error('EBUSY')) : Promise.resolve();
    },
  });
  await sources.own('one', () => Promise.resolve(tree('stuck')));
  await assert.rejects(sources.own('two', () => Promise.reject(new Error('not there'))));
  await sources.own('three', () => Promise.resolve(tree('last')));
  await assert.rejects(sources.release(), /EBUSY/);
  assert.deepEqual(told, ['stuck', 'last']);
});
