import assert from 'node:assert/strict';
import { Readable } from 'node:stream';
import { test } from 'node:test';
import type { CheckRun, Finding } from '../../base/check.ts';
import type { DiffID } from '../digest.ts';
import { type TestLayer, testImage, testLayer } from '../testing/image-builder.ts';
import { PullBench } from '../testing/pull-bench.ts';

function addImage(bench: PullBench, layer: TestLayer, name: string): void {
  bench.snapshotter.stored.set(layer.diffId, layer.tar);
  bench.content.put(layer.blob);
  const { diffId, digest, mediaType } = layer;
  bench.images.add({
    configBytes: testImage([layer]).config,
    layers: [{ diffId, blobDigest: digest, mediaType }],
    references: [name],
  });
}

function repair(): { run: CheckRun; findings: Finding[] } {
  const findings: Finding[] = [];
  const signal = AbortSignal.timeout(120_000);
  return {
    findings,
    run: { repair: true, quick: false, signal, report: (finding) => findings.push(finding) },
  };
}

/** Has something happen while the check reads a layer. */
function whileRead(bench: PullBench, diffId: DiffID, happens: () => Promise<unknown>): void {
  const exportTar = bench.snapshotter.exportTar.bind(bench.snapshotter);
  bench.snapshotter.exportTar = (asked) => {
    if (asked !== diffId) return exportTar(asked);
    return Readable.from(
      (async function* () {
        await happens();
        yield* exportTar(asked);
      })(),
    );
  };
}

test('images that come while layers are read keep their layers', async () => {
  using bench = new PullBench();
  const [old, fresh] = [await testLayer('old'), await testLayer('fresh')];
  addImage(bench, old, 'old');
  whileRead(bench, old.diffId, async () => addImage(bench, fresh, 'fresh'));
  const { run, findings } = repair();
  await bench.images.check(run);
  assert.deepEqual(findings, []);
  assert.ok(bench.snapshotter.stored.has(fresh.diffId));
});

test('images that go while layers are read are no findings, and do not come back', async () => {
  using bench = new PullBench();
  const [first, second] = [await testLayer('first'), await testLayer('second')];
  addImage(bench, first, 'first');
  addImage(bench, second, 'second');
  const remove = async (name: string): Promise<void> => {
    await bench.images.remove(name, { force: false, noPrune: false, usedBy: () => [] });
  };
  whileRead(bench, first.diffId, () => remove('second'));
  whileRead(bench, second.diffId, () => remove('first'));
  const { run, findings } = repair();
  await bench.images.check(run);
  assert.deepEqual(findings, []);
  assert.equal(bench.snapshotter.stored.size, 1);
});

test('a layer that nothing uses is removed, unless somebody begins to use it', async () => {
  using bench = new PullBench();
  const [stray, made] = [await testLayer('stray'), await testLayer('made')];
  for (const { diffId, tar } of [stray, made]) bench.snapshotter.stored.set(diffId, tar);
  const { run, findings } = repair();
  const checking = bench.images.check(run);
  addImage(bench, made, 'made');
  await checking;
  assert.deepEqual(
    findings.map(({ object, repaired }) => [object, repaired]),
    [[`layer ${stray.diffId}`, true]],
  );
  assert.deepEqual([...bench.snapshotter.stored.keys()], [made.diffId]);
});

test('a missing layer is stored again without removing anything', async () => {
  using bench = new PullBench();
  const layer = await testLayer('x');
  addImage(bench, layer, 'x');
  bench.snapshotter.stored.delete(layer.diffId);
  bench.snapshotter.remove = async (diffId) => assert.fail(`${diffId} is removed`);
  const { run, findings } = repair();
  await bench.images.check(run);
  assert.deepEqual(
    findings.map(({ object, repaired }) => [object, repaired]),
    [[`layer ${layer.diffId}`, true]],
  );
  assert.ok(bench.snapshotter.stored.has(layer.diffId));
});
