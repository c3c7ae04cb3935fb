import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type DiffID, parseDiffID } from '../../image/digest.ts';
import type { CacheSource } from '../cache/cache-source.ts';
import type { StepCache } from '../cache/step-cache.ts';
import { StepCacheUse } from './step-cache-use.ts';

const layer = (digit: string): DiffID => parseDiffID(`sha256:${digit.repeat(64)}`);

/** This machine's cache: what it was asked to keep and to collect, in order. */
function machine(definitions: readonly string[] = []) {
  const told: string[] = [];
  const here = new Set<DiffID>();
  const cache = {
    mayHave: (definition: string) => definitions.includes(definition),
    hold: async (diffId: DiffID) => {
      told.push(`hold ${diffId.slice(7, 8)}`);
      return { release: async () => void told.push(`let go of ${diffId.slice(7, 8)}`) };
    },
    holdNew: () => ({
      onStored: (diffId: DiffID) => told.push(`made ${diffId.slice(7, 8)}`),
      release: async () => void told.push('let go of what was made'),
    }),
    hasLayer: (diffId: DiffID) => here.has(diffId),
  } as unknown as StepCache;
  return { cache, told, here };
}

function use(cache: StepCache, imports: readonly CacheSource[] = []): StepCacheUse {
  return new StepCacheUse({ cache, imports, keeps: true, signal: new AbortController().signal });
}

test('a step is looked for only where some cache knows of one like it', async () => {
  const imported = (...definitions: string[]): CacheSource => ({
    mayHave: async (definition) => definitions.includes(definition),
    find: async () => undefined,
  });
  const { cache } = machine(['here']);
  const caches = use(cache, [imported('there'), imported('elsewhere')]);
  assert.deepEqual(
    await Promise.all(['here', 'there', 'elsewhere', 'nowhere'].map((one) => caches.mayHave(one))),
    [true, true, true, false],
  );
  assert.equal(await use(cache).mayHave('there'), false);
});

test('layers that were made are kept until all is stored, and collected once at the end', async () => {
  const { cache, told } = machine();
  const steps = use(cache);
  steps.newLayers.onStored(layer('1'));
  const stored = Promise.withResolvers<void>();
  const failed = Promise.withResolvers<void>();
  steps.settling(stored.promise);
  steps.settling(failed.promise).catch(() => undefined);
  const released = steps.release();
  steps.newLayers.onStored(layer('2'));
  failed.reject(new Error('the layer below'));
  stored.resolve();
  await released;
  assert.deepEqual(told, ['made 1', 'made 2', 'let go of what was made']);
});

test('a layer of another build is taken where it is still there once it is held', async () => {
  const { cache, told, here } = machine();
  const steps = use(cache);
  const step = (digit: string) => ({ key: digit, layer: { diffId: layer(digit), sizeBytes: 1 } });
  assert.equal(await steps.take(step('1'), 'definition', undefined), false);
  here.add(layer('2'));
  assert.equal(await steps.take(step('2'), 'definition', undefined), true);
  assert.deepEqual(told, ['hold 1', 'let go of 1', 'hold 2']);
  assert.deepEqual(
    steps.trail.map(({ key }) => key),
    ['2'],
  );
  await steps.release();
  assert.deepEqual(told.slice(3), ['let go of 2', 'let go of what was made']);
});

test('what an imported cache says of keys makes no names of records here', async () => {
  const aliases: string[] = [];
  const here = new Set(['of a step here']);
  const cache = {
    find: async (key: string) => (here.has(key) ? { key, layer: undefined } : undefined),
    use: () => () => undefined,
    keep: () => () => undefined,
    store: ({ key }: { key: string }) => here.add(key),
    alias: (alias: string, key: string) => aliases.push(`${alias} -> ${key}`),
    holdNew: () => ({ onStored: () => undefined, release: async () => undefined }),
  } as unknown as StepCache;
  const lying: CacheSource = {
    mayHave: async () => true,
    find: async () => ({ key: 'of a step here', layer: undefined }),
  };
  const steps = use(cache, [lying]);
  const found = await steps.find('of another step', 'definition');
  assert.equal(found?.key, 'of a step here');
  steps.alias('quick', found.key);
  assert.deepEqual(aliases, []);
  const step = { definition: 'definition', layer: undefined, description: '', parent: undefined };
  steps.store({ key: 'done', ...step });
  steps.alias('quick', 'done');
  assert.deepEqual(aliases, ['quick -> done']);
});
