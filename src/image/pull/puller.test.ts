import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import type { LayerInfo, LayerSource } from '../layers/snapshotter.ts';
import { FakeSnapshotter } from '../testing/fake-snapshotter.ts';
import { AMD64, testImage, testIndex, testLayer } from '../testing/image-builder.ts';
import { ImageServer } from '../testing/image-server.ts';
import { PullBench } from '../testing/pull-bench.ts';

const ARM = { os: 'linux', architecture: 'arm64', variant: 'v8' };

test('a pull stores the image, its layers and its blobs, and says so in Docker’s words', async () => {
  await using server = await ImageServer.start();
  using bench = new PullBench();
  const layers = [await testLayer('a'), await testLayer('b', { compression: 'zstd' })];
  const image = testImage(layers);
  server.push('team/app', '1', image);
  const name = `${server.host}/team/app:1`;
  const pulled = await bench.pull(name);
  assert.equal(pulled.image.id, image.configDigest);
  assert.deepEqual(pulled.image.repoTags, [name]);
  assert.deepEqual(pulled.image.repoDigests, [`${server.host}/team/app@${image.digest}`]);
  assert.deepEqual(pulled.image.configBytes, image.config);
  for (const layer of layers) {
    assert.deepEqual(bench.snapshotter.stored.get(layer.diffId), layer.tar);
    assert.deepEqual(bench.content.read(layer.digest, 1 << 20), layer.blob);
    const lines = pulled.messages
      .filter(({ id }) => id === layer.digest.slice(7, 19))
      .map(({ status }) => status);
    assert.deepEqual(
      [...new Set(lines)],
      [
        'Pulling fs layer',
        'Downloading',
        'Verifying Checksum',
        'Download complete',
        'Extracting',
        'Pull complete',
      ],
    );
  }
  assert.deepEqual(pulled.messages[0], { status: 'Pulling from team/app', id: '1' });
  assert.deepEqual(pulled.messages.slice(-2), [
    { status: `Digest: ${image.digest}` },
    { status: `Status: Downloaded newer image for ${name}` },
  ]);
  assert.deepEqual(bench.images.manifest(pulled.image.id)?.bytes, image.manifest);
});

test('pulling again asks for the digest only and reports the image as up to date', async () => {
  await using server = await ImageServer.start();
  using bench = new PullBench();
  const image = testImage([await testLayer('a')]);
  server.push('app', 'latest', image);
  await bench.pull(`${server.host}/app`);
  const before = server.requests.length;
  const again = await bench.pull(`${server.host}/app`);
  assert.equal(again.messages.at(-1)?.status, `Status: Image is up to date for ${server.host}/app:latest`);
  assert.equal(server.requests[before], 'HEAD /v2/app/manifests/latest');
  assert.equal(server.blobRequests(image.layers[0]?.digest ?? ''), 1);
});

test('layers that another image brought are not downloaded again', async () => {
  await using server = await ImageServer.start();
  using bench = new PullBench();
  const [base, top] = [await testLayer('base'), await testLayer('top')];
  server.push('one', 'latest', testImage([base]));
  server.push('two', 'latest', testImage([base, top]));
  await bench.pull(`${server.host}/one`);
  const second = await bench.pull(`${server.host}/two`);
  assert.equal(server.blobRequests(base.digest), 1);
  const id = base.digest.slice(7, 19);
  assert.deepEqual(
    second.messages.filter((m) => m.id === id),
    [{ status: 'Already exists', progressDetail: {}, id }],
  );
  assert.equal(bench.images.layerReferences(base.diffId), 2);
});

test('an index gives the image for the platform that is asked for, and keeps the index’s digest', async () => {
  await using server = await ImageServer.start();
  using bench = new PullBench();
  const amd = testImage([await testLayer('amd')], { platform: AMD64 });
  const arm = testImage([await testLayer('arm')], { platform: ARM });
  const index = testIndex([arm, amd]);
  server.pushIndex('app', 'latest', index, [amd, arm]);
  const name = `${server.host}/app`;
  assert.equal((await bench.pull(name, { platform: 'linux/arm64' })).image.id, arm.configDigest);
  const pulled = await bench.pull(name, { platform: 'linux/amd64' });
  assert.equal(pulled.image.id, amd.configDigest);
  assert.deepEqual(pulled.image.repoDigests, [`${name}@${index.digest}`]);
  assert.ok(bench.content.has(index.digest));
  await assert.rejects(bench.pull(name, { platform: 'linux/riscv64' }), {
    kind: 'NotFound',
    message: 'no matching manifest for linux/riscv64 in the manifest list entries',
  });
});

test('an index inside an index is followed, entries of unknown types are not', async () => {
  await using server = await ImageServer.start();
  using bench = new PullBench();
  const image = testImage([await testLayer('x')]);
  const inner = testIndex([image]);
  server.pushIndex('app', 'inner', inner, [image]);
  const entry = { mediaType: inner.mediaType, size: inner.bytes.length, digest: inner.digest };
  const odd = {
    mediaType: 'application/x-odd',
    size: 3,
    digest: `sha256:${'0'.repeat(64)}`,
    platform: AMD64,
  };
  const outer = testIndex([], [odd, entry]);
  server.setManifest('app', 'latest', outer.digest, outer.bytes, outer.mediaType);
  assert.equal(
    (await bench.pull(`${server.host}/app`, { platform: 'linux/amd64' })).image.id,
    image.configDigest,
  );
});

test('an index that nests without end is refused', async () => {
  await using server = await ImageServer.start();
  using bench = new PullBench();
  let inner = testIndex([]);
  server.setManifest('app', 'x', inner.digest, inner.bytes, inner.mediaType);
  for (let i = 0; i < 8; i += 1) {
    inner = testIndex([], [{ mediaType: inner.mediaType, size: inner.bytes.length, digest: inner.digest }]);
    server.setManifest('app', `n${i}`, inner.digest, inner.bytes, inner.mediaType);
  }
  await assert.rejects(bench.pull(`${server.host}/app:n7`), { kind: 'InvalidParameter', message: /nested/ });
});

test('a single manifest for another platform than the one asked for is refused before its layers', async () => {
  await using server = await ImageServer.start();
  using bench = new PullBench();
  const image = testImage([await testLayer('x')], { platform: AMD64 });
  server.push('app', 'latest', image);
  const name = `${server.host}/app`;
  await assert.rejects(bench.pull(name, { platform: 'linux/arm64/v8' }), {
    kind: 'NotFound',
    message: `image with reference ${name}:latest was found but does not provide the specified platform (linux/arm64/v8)`,
  });
  assert.equal(server.blobRequests(image.layers[0]?.digest ?? ''), 0);
  assert.deepEqual(bench.images.list(), []);
});

test('pull by digest stores no tag, and the name resolves by tag and digest together', async () => {
  await using server = await ImageServer.start();
  using bench = new PullBench();
  const image = testImage([await testLayer('x')]);
  server.push('app', 'latest', image);
  const name = `${server.host}/app@${image.digest}`;
  const { image: pulled, messages } = await bench.pull(name);
  assert.deepEqual(pulled.repoTags, []);
  assert.deepEqual(pulled.repoDigests, [name]);
  assert.equal(messages[0]?.id, name);
  assert.equal(bench.images.resolve(`${server.host}/app:latest@${image.digest}`).id, image.configDigest);
});

test('all tags of a repository', async () => {
  await using server = await ImageServer.start();
  using bench = new PullBench();
  server.push('app', 'a', testImage([await testLayer('x')]));
  server.push('app', 'b', testImage([await testLayer('y')]));
  await bench.pull(`${server.host}/app`, { allTags: true });
  const tags = bench.images.list().flatMap(({ repoTags }) => repoTags);
  assert.deepEqual(tags.sort(), [`${server.host}/app:a`, `${server.host}/app:b`]);
});

test('names, tags and repositories that are not there', async () => {
  await using server = await ImageServer.start();
  using bench = new PullBench();
  await assert.rejects(bench.pull(`${server.host}/foo:bar`), {
    kind: 'NotFound',
    message: `manifest for ${server.host}/foo:bar not found: manifest unknown: manifest unknown`,
  });
  await assert.rejects(bench.pull('Foo'), {
    kind: 'InvalidParameter',
    message: 'invalid reference format: repository name (library/Foo) must be lowercase',
  });
  await assert.rejects(bench.pull('scratch'), { kind: 'Forbidden', message: "'scratch' is a reserved name" });
});

test('two pulls of one image at once share its downloads', async () => {
  await using server = await ImageServer.start();
  using bench = new PullBench();
  const layer = await testLayer('shared', { sizeBytes: 300_000 });
  server.push('app', 'a', testImage([layer]));
  server.push('app', 'b', testImage([layer], { config: { author: 'x' } }));
  await Promise.all([bench.pull(`${server.host}/app:a`), bench.pull(`${server.host}/app:b`)]);
  assert.equal(server.blobRequests(layer.digest), 1);
  assert.equal(bench.snapshotter.adds, 1);
  assert.equal(bench.images.list().length, 2);
});

test('when one of two pulls that share a layer is cancelled, the other goes on', async () => {
  await using server = await ImageServer.start();
  using bench = new PullBench();
  const layer = await testLayer('shared', { sizeBytes: 300_000 });
  server.push('app', 'a', testImage([layer]));
  const { promise: gate, resolve: open } = Promise.withResolvers<void>();
  bench.snapshotter.gate = () => gate;
  const cancelled = new AbortController();
  const first = bench.pull(`${server.host}/app:a`, { signal: cancelled.signal });
  const second = bench.pull(`${server.host}/app:a`);
  while (bench.messages.filter(({ status }) => status === 'Download complete').length < 2) {
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  cancelled.abort(new Error('cancelled'));
  await assert.rejects(first, /cancelled/);
  open();
  await second;
  assert.equal(server.blobRequests(layer.digest), 1);
});

test('an interrupted pull leaves nothing visible and goes on where it stopped', async () => {
  await using server = await ImageServer.start();
  using bench = new PullBench();
  const layer = await testLayer('big', { sizeBytes: 4 << 20 });
  server.push('app', 'latest', testImage([layer]));
  const cancelled = new AbortController();
  const half = layer.blob.length >> 1;
  server.intercept = (request, response) => {
    if (!request.url?.endsWith(layer.digest) || request.headers.range !== undefined) return false;
    response.writeHead(200, { 'content-length': layer.blob.length });
    response.write(layer.blob.subarray(0, half));
    const arriving = setInterval(() => {
      if (!bench.messages.some(({ progressDetail }) => (progressDetail?.current ?? 0) > 0)) return;
      clearInterval(arriving);
      setTimeout(() => cancelled.abort(new Error('stop')), 50);
    }, 5);
    return true;
  };
  await assert.rejects(bench.pull(`${server.host}/app`, { signal: cancelled.signal }), /stop/);
  assert.deepEqual(bench.images.list(), []);
  assert.deepEqual(bench.snapshotter.layers(), []);
  assert.equal(bench.content.has(layer.digest), false);
  const [{ digest, sizeBytes: kept } = { digest: '', sizeBytes: 0 }] = bench.content.unfinished();
  assert.equal(digest, layer.digest);
  // All that was sent, where the machine was quick enough to take it.
  assert.ok(kept > 0 && kept <= half, `${kept} of ${half} bytes are kept`);
  let range: string | undefined;
  server.intercept = (request) => {
    if (request.url?.endsWith(layer.digest)) range = request.headers.range;
    return false;
  };
  await bench.pull(`${server.host}/app`);
  assert.equal(range, `bytes=${kept}-`);
  assert.deepEqual(bench.content.read(layer.digest, 8 << 20), layer.blob);
  assert.deepEqual(bench.content.unfinished(), []);
});

test('a pull survives the removal, at the same moment, of the image whose layers it shares', async () => {
  await using server = await ImageServer.start();
  using bench = new PullBench();
  const [base, top] = [await testLayer('base'), await testLayer('top')];
  server.push('one', 'latest', testImage([base]));
  server.push('two', 'latest', testImage([base, top]));
  await bench.pull(`${server.host}/one`);
  bench.snapshotter.gate = async () => {
    await bench.images.remove(`${server.host}/one`, { force: false, noPrune: false, usedBy: () => [] });
  };
  await bench.pull(`${server.host}/two`);
  assert.equal(bench.images.list().length, 1);
  assert.ok(bench.snapshotter.layer(base.diffId) !== undefined);
  assert.ok(bench.content.has(base.digest));
});

test('a full disk ends a pull, and no unfinished layer stays to keep it full', async () => {
  await using server = await ImageServer.start();
  using bench = new PullBench();
  const layers = [await testLayer('a'), await testLayer('b'), await testLayer('c')];
  server.push('team/app', '1', testImage(layers));
  const full = Object.assign(new Error('ENOSPC: no space left on device'), { code: 'ENOSPC' });
  bench.snapshotter.gate = async (source) => {
    if (source.diffId === layers[1]?.diffId) throw full;
  };
  await assert.rejects(bench.pull(`${server.host}/team/app:1`), /no space left on device/);
  assert.deepEqual(bench.content.unfinished(), []);
});

test('a layer that stands when another one fails goes with the pull', async () => {
  await using server = await ImageServer.start();
  const layers = [await testLayer('a'), await testLayer('b')];
  const [, second] = layers.map(({ diffId }) => diffId);
  server.push('app', 'latest', testImage(layers));
  const { promise: stands, resolve } = Promise.withResolvers<void>();
  class Hasty extends FakeSnapshotter {
    override async add(source: LayerSource, signal: AbortSignal): Promise<LayerInfo> {
      if (source.diffId === second) {
        await stands;
        throw new Error('the second one fails');
      }
      const layer = await super.add(source);
      resolve();
      await once(signal, 'abort');
      return layer;
    }
  }
  using bench = new PullBench({}, () => new Hasty());
  await assert.rejects(bench.pull(`${server.host}/app`), /the second one fails/);
  assert.deepEqual(bench.snapshotter.layers(), []);
});
