/** Pulls whose layers are stored while they are downloaded, with a real layer store: slow, broken, begun anew, given up. */
import assert from 'node:assert/strict';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { type TestLayer, testImage, testLayer } from '../testing/image-builder.ts';
import { ImageServer } from '../testing/image-server.ts';
import { PullBench } from '../testing/pull-bench.ts';
import { StoreSnapshotter } from '../testing/store-snapshotter.ts';
import type { RegistryOptions } from './puller.ts';

interface Scene {
  server: ImageServer;
  bench: PullBench<StoreSnapshotter>;
  layers: TestLayer[];
  name: string;
  /** Answers requests for the layer of this number; `count` begins at 1. */
  onLayer(
    number: number,
    answer: (request: IncomingMessage, response: ServerResponse, count: number) => boolean,
  ): void;
}

async function scene(context: TestContext, sizes: number[], registry: RegistryOptions = {}): Promise<Scene> {
  const server = await ImageServer.start();
  const bench = new PullBench(registry, (root) => new StoreSnapshotter(root));
  context.after(async () => {
    await bench.snapshotter.close();
    bench[Symbol.dispose]();
    await server[Symbol.asyncDispose]();
  });
  const layers = await Promise.all(sizes.map((sizeBytes, i) => testLayer(`layer${i}`, { sizeBytes })));
  server.push('app', 'latest', testImage(layers));
  const answers = new Map<string, (request: IncomingMessage, response: ServerResponse) => boolean>();
  server.intercept = (request, response) =>
    answers.get(request.url?.split('/').at(-1) ?? '')?.(request, response) ?? false;
  return {
    server,
    bench,
    layers,
    name: `${server.host}/app`,
    onLayer: (number, answer) => {
      let count = 0;
      answers.set(layers[number]?.digest ?? '', (request, response) => {
        count += 1;
        return answer(request, response, count);
      });
    },
  };
}

function assertStored({ bench, layers }: Scene): void {
  for (const layer of layers) {
    assert.ok(bench.snapshotter.layer(layer.diffId));
    assert.deepEqual(bench.content.read(layer.digest, 32 << 20), layer.blob);
  }
  const sizes = layers.map(({ tar }) => tar.length);
  assert.deepEqual(bench.snapshotter.tarSizes().sort(), sizes.sort());
  assert.deepEqual(bench.content.unfinished(), []);
}

async function assertNothing({ bench, layers }: Scene): Promise<void> {
  assert.deepEqual(bench.images.list(), []);
  assert.deepEqual(bench.snapshotter.layers(), []);
  for (const { digest } of layers) assert.equal(bench.content.has(digest), false);
  while (bench.snapshotter.tarSizes().length > 0) await sleep(5);
}

function begin(response: ServerResponse, layer: TestLayer | undefined, bytes: number): void {
  response.writeHead(200, { 'content-length': layer?.blob.length ?? 0 });
  response.write(layer?.blob.subarray(0, bytes) ?? '');
}

test('the tar is written while the download still stands', async (context) => {
  const s = await scene(context, [6 << 20]);
  const layer = s.layers[0];
  let end = (): void => undefined;
  s.onLayer(0, (_request, response) => {
    begin(response, layer, 5 << 20);
    end = () => response.end(layer?.blob.subarray(5 << 20));
    return true;
  });
  const pulled = s.bench.pull(s.name);
  while ((s.bench.snapshotter.tarSizes()[0] ?? 0) < 2 << 20) await sleep(5);
  assert.deepEqual(s.bench.snapshotter.layers(), []);
  end();
  const { messages } = await pulled;
  assertStored(s);
  const lines = messages.filter(({ id }) => id === layer?.digest.slice(7, 19)).map(({ status }) => status);
  assert.ok(lines.indexOf('Extracting') > lines.indexOf('Download complete'));
  assert.equal(lines.lastIndexOf('Downloading') < lines.indexOf('Verifying Checksum'), true);
});

test('layers that stand still keep the others from nothing', async (context) => {
  const s = await scene(context, [3 << 20, 3 << 20, 3 << 20, 100_000, 100_000], {
    maxConcurrentDownloads: 5,
  });
  const ends: (() => void)[] = [];
  for (const number of [0, 1, 2]) {
    s.onLayer(number, (_request, response) => {
      begin(response, s.layers[number], 2 << 20);
      ends.push(() => response.end(s.layers[number]?.blob.subarray(2 << 20)));
      return true;
    });
  }
  const pulled = s.bench.pull(s.name);
  while (s.bench.snapshotter.layers().length < 2 || ends.length < 3) await sleep(5);
  for (const end of ends) end();
  await pulled;
  assertStored(s);
});

test('a download that begins anew begins the layer anew', async (context) => {
  const s = await scene(context, [6 << 20]);
  const layer = s.layers[0];
  s.onLayer(0, (_request, response, count) => {
    if (count === 1) {
      begin(response, layer, 4 << 20);
      setTimeout(() => response.destroy(), 100);
    } else {
      // It knows no ranges.
      begin(response, layer, layer?.blob.length ?? 0);
      response.end();
    }
    return true;
  });
  await s.bench.pull(s.name);
  assertStored(s);
});

test('wrong bytes that were stored already are forgotten when right ones come', async (context) => {
  const s = await scene(context, [3 << 20]);
  const layer = s.layers[0];
  const ingest = await s.bench.content.ingest(layer?.digest as TestLayer['digest']);
  await ingest.append(Buffer.concat([layer?.blob.subarray(0, 1 << 20) ?? Buffer.of(), Buffer.alloc(999)]));
  await ingest.close();
  await s.bench.pull(s.name);
  assertStored(s);
});

test('what an earlier pull left is stored at once, the rest as it comes', async (context) => {
  const s = await scene(context, [6 << 20]);
  const layer = s.layers[0];
  const ingest = await s.bench.content.ingest(layer?.digest as TestLayer['digest']);
  await ingest.append(layer?.blob.subarray(0, 4 << 20) ?? Buffer.of());
  await ingest.close();
  let range: string | undefined;
  let end = (): void => undefined;
  s.onLayer(0, (request, response) => {
    range = request.headers.range;
    end = () => s.server.serve(request, response);
    return true;
  });
  const pulled = s.bench.pull(s.name);
  while ((s.bench.snapshotter.tarSizes()[0] ?? 0) < 2 << 20) await sleep(5);
  end();
  await pulled;
  assert.equal(range, `bytes=${4 << 20}-`);
  assertStored(s);
});

test('a download that fails for good ends the layer', async (context) => {
  const s = await scene(context, [3 << 20], { maxDownloadAttempts: 2 });
  s.onLayer(0, (_request, response, count) => {
    if (count > 1) return !response.writeHead(500).end().writableEnded || true;
    begin(response, s.layers[0], 2 << 20);
    setTimeout(() => response.destroy(), 50);
    return true;
  });
  await assert.rejects(s.bench.pull(s.name), { kind: 'Unavailable' });
  await assertNothing(s);
});

test('wrong bytes are never stored, however well they inflate', async (context) => {
  const s = await scene(context, [1 << 20]);
  const flipped = Buffer.from(s.layers[0]?.blob ?? []);
  // The time in the gzip header: the content is the same, the digest is not.
  flipped[4] = (flipped[4] ?? 0) ^ 1;
  s.onLayer(0, (_request, response) => {
    response.end(flipped);
    return true;
  });
  await assert.rejects(s.bench.pull(s.name), { message: /verification failed for digest/ });
  await assertNothing(s);
});

test('a pull that is cancelled at any moment leaves nothing but what the next one uses', async (context) => {
  const s = await scene(context, [2 << 20, 2 << 20]);
  for (let i = 0; i < 8; i += 1) {
    const cancelled = new AbortController();
    s.onLayer(0, (_request, response, count) => {
      if (count > 1) return false;
      begin(response, s.layers[0], 1 << 20);
      return true;
    });
    const pulled = s.bench.pull(s.name, { signal: cancelled.signal });
    pulled.catch(() => undefined);
    await sleep(i * 12);
    cancelled.abort(new Error('cancelled'));
    await assert.rejects(pulled, /cancelled/);
    assert.deepEqual(s.bench.images.list(), []);
    // What was stored whole and is of no use any more goes in the background.
    const { snapshotter } = s.bench;
    while (snapshotter.tarSizes().length > snapshotter.layers().length) await sleep(5);
  }
  s.onLayer(0, () => false);
  await s.bench.pull(s.name);
  assertStored(s);
});

test('a rate limit slows the download down, and is no silence', async (context) => {
  const s = await scene(context, [100_000], { maxDownloadBytesPerSec: 25_000, stallTimeoutMs: 2000 });
  const begun = performance.now();
  // A second's worth passes at once; a piece of 64 kB on top waits for longer than a silence may last.
  await s.bench.pull(s.name);
  assert.ok(performance.now() - begun > 2000);
  assert.equal(s.server.blobRequests(s.layers[0]?.digest ?? ''), 1);
});
