/** Layers that are stored while their blobs are still being written: slow, begun anew, given up, shared. */
import assert from 'node:assert/strict';
import {
  appendFileSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { zstdCompressSync } from 'node:zlib';
import { type TestLayer, testLayer } from '../../testing/image-builder.ts';
import { TAR_NAME } from '../layer-files.ts';
import { LayerStore } from '../layer-store.ts';
import type { LayerSource } from '../snapshotter.ts';
import { GrowingFile } from './growing-file.ts';
import { WorkerPool } from './worker-pool.ts';
import type { Job } from './worker-protocol.ts';

function temporary(context: TestContext): string {
  const path = mkdtempSync(join(tmpdir(), 'mydock-following-'));
  context.after(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

interface Bench {
  store: LayerStore;
  directory: string;
  /** What the store has on the disk. */
  files(): string[];
}

function bench(context: TestContext): Bench {
  const directory = temporary(context);
  const root = join(directory, 'layers');
  const store = new LayerStore(root, { format: 'indexed', lasting: false });
  context.after(() => store.close());
  return { store, directory, files: () => readdirSync(root) };
}

/** A blob that is written by the test. */
class Blob {
  readonly growing = new GrowingFile();
  readonly layer: TestLayer;
  readonly #path: string;
  #written = 0;

  constructor(directory: string, layer: TestLayer, name = 'blob') {
    this.layer = layer;
    this.#path = join(directory, name);
    writeFileSync(this.#path, '');
  }

  source(): LayerSource {
    const { growing, layer } = this;
    return { blobPath: this.#path, compression: 'detect', diffId: layer.diffId, growing };
  }

  write(bytes: number): void {
    const end = Math.min(this.#written + bytes, this.layer.blob.length);
    appendFileSync(this.#path, this.layer.blob.subarray(this.#written, end));
    this.#written = end;
    this.growing.grow(end);
  }

  finish(): void {
    this.write(this.layer.blob.length);
    this.growing.complete();
  }

  truncate(): void {
    truncateSync(this.#path, 0);
  }
}

const isLost = { kind: 'Unavailable' };

test('a blob that comes in pieces of any size', async (context) => {
  const { store, directory } = bench(context);
  for (const compression of ['gzip', 'zstd', 'none'] as const) {
    for (const [i, piece] of [1, 7, 4000, 1 << 20].entries()) {
      const sizeBytes = Math.min(200 * piece, 100_000);
      const blob = new Blob(directory, await testLayer(`${compression}-${i}`, { sizeBytes, compression }));
      const added = store.add(blob.source());
      for (let at = 0; at < blob.layer.blob.length; at += piece) {
        blob.write(piece);
        if (at % (piece * 16) === 0) await sleep(1);
      }
      blob.growing.complete();
      assert.equal((await added).diffId, blob.layer.diffId, `${compression}, ${piece}`);
      const tar = readFileSync(join(store.directory.path(blob.layer.diffId), TAR_NAME));
      assert.ok(tar.equals(blob.layer.tar));
    }
  }
});

test('a layer is not there before its blob is whole, even when all bytes are', async (context) => {
  const { store, directory } = bench(context);
  const blob = new Blob(directory, await testLayer('a'));
  let done = false;
  const added = store.add(blob.source()).then(() => {
    done = true;
  });
  blob.write(1 << 20);
  await sleep(150);
  assert.equal(done, false);
  assert.equal(store.layer(blob.layer.diffId), undefined);
  blob.growing.complete();
  await added;
  assert.ok(store.layer(blob.layer.diffId));
});

test('a lost blob ends the work at any moment and leaves nothing', async (context) => {
  const { store, directory, files } = bench(context);
  const layer = await testLayer('a', { sizeBytes: 300_000 });
  for (let part = 0; part <= 4; part += 1) {
    const blob = new Blob(directory, layer, `blob-${part}`);
    const added = store.add(blob.source());
    added.catch(() => undefined);
    blob.write(Math.floor((layer.blob.length * part) / 4));
    await sleep(part * 10);
    blob.growing.lose('the download began anew');
    blob.truncate();
    await assert.rejects(added, { ...isLost, message: 'the download began anew' });
    assert.deepEqual(files(), []);
  }
});

test('an abort ends the work at any moment and leaves nothing', async (context) => {
  const { store, directory, files } = bench(context);
  const layer = await testLayer('a', { sizeBytes: 300_000 });
  for (let part = 0; part <= 4; part += 1) {
    const blob = new Blob(directory, layer, `blob-${part}`);
    const cancelled = new AbortController();
    const added = store.add(blob.source(), cancelled.signal);
    added.catch(() => undefined);
    blob.write(Math.floor((layer.blob.length * part) / 4));
    await sleep(part * 10);
    cancelled.abort(new Error('cancelled'));
    await assert.rejects(added, /cancelled/);
    while (files().length > 0) await sleep(5);
  }
});

test('a blob that becomes shorter unannounced is no layer', async (context) => {
  const { store, directory, files } = bench(context);
  const blob = new Blob(directory, await testLayer('a', { sizeBytes: 300_000 }));
  blob.write(1000);
  blob.truncate();
  await assert.rejects(store.add(blob.source()), { kind: 'Internal', message: /became shorter/ });
  assert.deepEqual(files(), []);
});

test('content that is not what it should be is told as soon as it is seen', async (context) => {
  const { store, directory, files } = bench(context);
  const layer = await testLayer('a', { sizeBytes: 1000 });
  const wrong = Buffer.concat([layer.blob, Buffer.from('this is no member')]);
  const broken = new Blob(directory, { ...layer, blob: wrong }, 'broken');
  const failed = assert.rejects(store.add(broken.source()), { kind: 'InvalidParameter', message: /gzip/ });
  broken.write(1 << 20);
  await failed;
  const other = new Blob(directory, { ...(await testLayer('b')), diffId: layer.diffId }, 'other');
  other.finish();
  await assert.rejects(store.add(other.source()), { message: /its uncompressed content is/ });
  assert.deepEqual(files(), []);
});

test('who joined another’s work goes on with an own blob when the other’s is lost or wrong', async (context) => {
  const { store, directory } = bench(context);
  for (const how of ['lost', 'wrong', 'aborted'] as const) {
    const layer = await testLayer(how, { sizeBytes: 50_000 });
    const first = new Blob(directory, layer, `first-${how}`);
    const second = new Blob(directory, { ...layer, blob: zstdCompressSync(layer.tar) }, `second-${how}`);
    const cancelled = new AbortController();
    const results = Promise.allSettled([
      store.add(first.source(), cancelled.signal),
      store.add(second.source()),
    ]);
    first.write(1000);
    await sleep(10);
    if (how === 'lost') first.growing.lose('gone');
    else if (how === 'aborted') {
      cancelled.abort(new Error('cancelled'));
      first.growing.lose('closed');
    } else {
      first.layer.blob.fill(0xff, 1000);
      first.finish();
    }
    second.finish();
    const [one, two] = await results;
    assert.equal(one.status, 'rejected');
    assert.equal(two.status, 'fulfilled', String(two.status === 'rejected' && two.reason));
    assert.ok(store.layer(layer.diffId));
  }
});

test('a blob that stands still keeps no other job from running', async (context) => {
  const directory = temporary(context);
  const pool = new WorkerPool(1);
  context.after(() => pool.close());
  const job = (name: string, { layer }: Blob): Job => {
    const target = { format: 'indexed' as const, directory: mkdtempSync(join(directory, 'target-')) };
    const blobPath = join(directory, name);
    return { kind: 'add', blobPath, compression: 'detect', diffId: layer.diffId, target };
  };
  const slow = await Promise.all(
    ['s0', 's1', 's2'].map(
      async (name) => new Blob(directory, await testLayer(name, { sizeBytes: 400_000 }), name),
    ),
  );
  const running = slow.map((blob, i) => pool.run(job(`s${i}`, blob), { growing: blob.growing }));
  for (const blob of slow.slice(1)) blob.write(100_000);
  await sleep(100);
  const whole = new Blob(directory, await testLayer('whole', { sizeBytes: 400_000 }), 'whole');
  whole.write(1 << 20);
  assert.equal((await pool.run(job('whole', whole))).diffId, whole.layer.diffId);
  for (const blob of slow) blob.finish();
  const results = await Promise.all(running);
  assert.deepEqual(
    results.map(({ diffId }) => diffId),
    slow.map(({ layer }) => layer.diffId),
  );
});

test('places are given back, however a job ends', async (context) => {
  const directory = temporary(context);
  const pool = new WorkerPool(1);
  context.after(() => pool.close());
  const layer = await testLayer('x', { sizeBytes: 200_000 });
  for (let i = 0; i < 24; i += 1) {
    const blob = new Blob(directory, layer, `b${i}`);
    const target = { format: 'indexed' as const, directory: mkdtempSync(join(directory, 'target-')) };
    const { blobPath, compression, diffId } = blob.source();
    const cancelled = new AbortController();
    const run = pool.run(
      { kind: 'add', blobPath, compression, diffId, target },
      { growing: blob.growing },
      cancelled.signal,
    );
    blob.write(60_000);
    if (i % 2 === 0) await sleep(i % 7);
    if (i % 3 === 0) blob.growing.lose('lost');
    else if (i % 3 === 1) cancelled.abort(new Error('cancelled'));
    else blob.finish();
    if (i % 3 === 2) assert.equal((await run).diffId, layer.diffId);
    else await assert.rejects(run, /(?:lost|cancelled)$/);
  }
});
