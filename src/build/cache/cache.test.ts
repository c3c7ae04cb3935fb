import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openDatabase } from '../../base/database.ts';
import { parseDiffID } from '../../image/digest.ts';
import type { BuildCacheEntry } from '../builder.ts';
import { Executions } from '../solve/executions.ts';
import { allowedBytes } from './cache-budget.ts';
import { CacheKeeper } from './cache-keeper.ts';
import { BUILD_MIGRATIONS } from './cache-schema.ts';
import { StepCache } from './step-cache.ts';

const layer = (digit: string) => parseDiffID(`sha256:${digit.repeat(64)}`);

class Store {
  readonly here = new Map<string, number>();
  readonly ofImages = new Set<string>();

  cache(): StepCache {
    const database = openDatabase(':memory:', [BUILD_MIGRATIONS]);
    const cache: StepCache = new StepCache({
      database,
      snapshotter: {
        layer: (diffId) => {
          const sizeBytes = this.here.get(diffId);
          return sizeBytes === undefined ? undefined : { diffId, sizeBytes };
        },
      },
      images: {
        hold: () => Promise.resolve({ release: () => Promise.resolve() }),
        holdNew: () => ({ onStored: () => undefined, release: () => Promise.resolve() }),
        layerReferences: (diffId) => (this.ofImages.has(diffId) ? 1 : 0),
        collectLayers: (layers) => {
          const used = new Set<string>(cache.layers());
          for (const one of layers) if (!used.has(one) && !this.ofImages.has(one)) this.here.delete(one);
          return Promise.resolve();
        },
      },
    });
    return cache;
  }

  add(cache: StepCache, key: string, digit: string, sizeBytes: number): void {
    this.here.set(layer(digit), sizeBytes);
    cache.store({
      key,
      definition: `definition of ${key}`,
      layer: { diffId: layer(digit), sizeBytes },
      description: key,
      parent: undefined,
    });
  }
}

test('records are found by key and alias, and forgotten with their layer', async () => {
  const store = new Store();
  const cache = store.cache();
  store.add(cache, 'k', '1', 10);
  cache.store({ key: 'none', definition: 'd', layer: undefined, description: '', parent: 'k' });
  cache.alias('quick', 'k');
  cache.alias('lost', 'no such key');
  assert.equal((await cache.find('quick'))?.layer?.diffId, layer('1'));
  assert.deepEqual(await cache.find('none'), { key: 'none', layer: undefined });
  assert.equal(await cache.find('lost'), undefined);
  assert.ok(cache.mayHave('definition of k') && !cache.mayHave('other'));
  store.here.delete(layer('1'));
  assert.equal(await cache.find('quick'), undefined);
  assert.ok(!cache.mayHave('definition of k'));
  store.add(cache, 'k', '2', 10);
  store.here.clear();
  cache.sweep();
  assert.deepEqual(cache.layers(), []);
});

test('a record has so many other names and no more; the last one is among them', async () => {
  const store = new Store();
  const cache = store.cache();
  store.add(cache, 'k', '1', 10);
  store.add(cache, 'other', '1', 10);
  cache.alias('of another', 'other');
  let known = 0;
  for (let i = 0; i < 500; i++) {
    cache.alias(`quick ${i}`, 'k');
    assert.equal((await cache.find(`quick ${i}`))?.key, 'k');
  }
  for (let i = 0; i < 500; i++) if ((await cache.find(`quick ${i}`)) !== undefined) known++;
  assert.ok(known <= 64, `${known} names are known`);
  assert.equal((await cache.find('of another'))?.key, 'other');
});

test('a layer of two records goes with the second; one in use stays', async () => {
  const store = new Store();
  const cache = store.cache();
  store.add(cache, 'a', '1', 10);
  store.add(cache, 'b', '1', 10);
  const end = cache.use('a');
  assert.equal(await cache.remove('a'), 0);
  assert.equal(await cache.remove('b'), 0);
  assert.ok(store.here.has(layer('1')));
  end();
  end();
  assert.equal(await cache.remove('a'), 10);
  assert.ok(!store.here.has(layer('1')));
});

const entry = (id: string, sizeBytes: number, more: Partial<BuildCacheEntry> = {}): BuildCacheEntry => ({
  id,
  type: 'regular',
  description: '',
  inUse: false,
  shared: false,
  sizeBytes,
  createdMs: Number(id),
  lastUsedMs: Number(id),
  usageCount: 1,
  parents: [],
  ...more,
});

function keeper(entries: BuildCacheEntry[], budget = {}, maxEntries = 1000) {
  const removed: string[] = [];
  const store = {
    entries: () => Promise.resolve(entries),
    remove: (id: string) => {
      removed.push(id);
      return Promise.resolve(entries.find((one) => one.id === id)?.sizeBytes ?? 0);
    },
  };
  const disk = () => ({ totalBytes: 1000, freeBytes: 500 });
  const options = { directory: '/', stores: [store], budget, disk, maxEntries };
  return { removed, keeper: new CacheKeeper(options) };
}

test('the budget takes the longest unused, and neither what is used nor what images share', async () => {
  const entries = [
    entry('3', 100),
    entry('1', 100),
    entry('2', 100, { inUse: true }),
    entry('4', 100, { shared: true }),
  ];
  const one = keeper(entries, { reservedSpaceBytes: 0, maxUsedSpaceBytes: 250, minFreeSpaceBytes: 0 });
  await one.keeper.collect();
  assert.deepEqual(one.removed, ['1']);
  const off = keeper(entries, { enabled: false, maxUsedSpaceBytes: 1 });
  await off.keeper.collect();
  assert.deepEqual(off.removed, []);
  const roomy = keeper(entries);
  await roomy.keeper.collect();
  assert.deepEqual(roomy.removed, []);
});

test('entries without bytes are too many at some time; the longest unused go, also of images', async () => {
  const entries = [
    entry('5', 0),
    entry('1', 0, { inUse: true }),
    entry('3', 0),
    entry('2', 100, { shared: true }),
    entry('4', 100),
  ];
  const one = keeper(entries, {}, 3);
  await one.keeper.collect();
  assert.deepEqual(one.removed, ['2', '3']);
  const both = keeper(entries, { reservedSpaceBytes: 0, maxUsedSpaceBytes: 50, minFreeSpaceBytes: 0 }, 3);
  await both.keeper.collect();
  assert.deepEqual(both.removed, ['2', '3', '4']);
});

test('what a disk allows', () => {
  const budget = { reservedSpaceBytes: 100, maxUsedSpaceBytes: 600, minFreeSpaceBytes: 200 };
  const allowed = (used: number, freeBytes: number) =>
    allowedBytes(budget, used, { totalBytes: 1000, freeBytes });
  assert.equal(allowed(700, 300), 600);
  assert.equal(allowed(500, 150), 450);
  assert.equal(allowed(120, 0), 100);
});

test('prune: filters, limits, what stays without --all', async () => {
  const signal = new AbortController().signal;
  const entries = [
    entry('1', 10, { type: 'exec.cachemount' }),
    entry('2', 20, { shared: true }),
    entry('3', 30, { inUse: true }),
    entry('4', 40, { type: 'internal' }),
    entry('5', 50),
  ];
  const pruned = async (request: object) => {
    const one = keeper(entries);
    await one.keeper.prune({ all: false, filters: {}, ...request }, signal);
    return one.removed;
  };
  assert.deepEqual(await pruned({}), ['1', '5']);
  assert.deepEqual(await pruned({ all: true }), ['1', '2', '4', '5']);
  assert.deepEqual(await pruned({ filters: { type: ['exec.cachemount'] } }), ['1']);
  assert.deepEqual(await pruned({ filters: { id: ['5', '4'] } }), ['5']);
  assert.deepEqual(await pruned({ all: true, maxUsedSpaceBytes: 125 }), ['1', '2']);
  assert.deepEqual(await pruned({ filters: { until: ['24h'] } }), ['1', '5']);
  for (const filters of [{ what: ['x'] }, { until: ['never'] }, { inuse: ['maybe'] }]) {
    await assert.rejects(pruned({ filters }), { kind: 'InvalidParameter' });
  }
});

test('one does a step, others wait for it; a failure or a cancelled wait is nobody else’s', async () => {
  const executions = new Executions();
  const { signal } = new AbortController();
  const first = await executions.join('x', signal);
  assert.ok('done' in first);
  const cancelled = new AbortController();
  const waiting = executions.join('x', signal);
  const given = executions.join('x', cancelled.signal);
  cancelled.abort(new Error('gone'));
  await assert.rejects(given, /gone/);
  first.done(Promise.reject(new Error('failed')));
  const second = await waiting;
  assert.ok('done' in second);
  const third = executions.join('x', signal);
  second.done(Promise.resolve({ key: 'k', layer: undefined }));
  assert.deepEqual(await third, { result: { key: 'k', layer: undefined } });
});
