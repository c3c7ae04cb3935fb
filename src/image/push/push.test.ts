/** Pushes between the stores and a registry in memory: what is sent, what is not, and what is told. */
import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { gunzipSync } from 'node:zlib';
import { DOCKER_MANIFEST, OCI_LAYER_GZIP, OCI_MANIFEST } from '../media-types.ts';
import { shortDigest } from '../progress.ts';
import { testImage, testIndex, testLayer } from '../testing/image-builder.ts';
import { PushBench } from '../testing/push-bench.ts';
import { UploadServer } from '../testing/upload-server.ts';

const uploads = /\/blobs\/uploads\//;

test('an image that was pulled goes out with its very manifest and blobs', async () => {
  await using server = await UploadServer.start();
  using bench = new PushBench();
  const image = testImage([await testLayer('a'), await testLayer('b', { compression: 'zstd' })]);
  bench.keep(image, `${server.host}/app:1`);
  const { messages, layers, digest, aux } = await bench.push(`${server.host}/app:1`);
  assert.equal(digest, image.digest);
  assert.deepEqual(server.manifests.get('app 1')?.bytes, image.manifest);
  assert.equal(server.manifests.get('app 1')?.mediaType, image.mediaType);
  for (const layer of image.layers) assert.deepEqual(server.blobs.get(`app ${layer.digest}`), layer.blob);
  assert.deepEqual(layers, ['Pushed', 'Pushed']);
  assert.equal(messages[0]?.status, `The push refers to repository [${server.host}/app]`);
  // The top layer first.
  assert.deepEqual(
    messages.slice(1, 3),
    [...image.layers].reverse().map(({ diffId }) => ({
      status: 'Preparing',
      progressDetail: {},
      id: shortDigest(diffId),
    })),
  );
  assert.equal(messages.at(-1)?.status, `1: digest: ${image.digest} size: ${image.manifest.length}`);
  assert.deepEqual(aux, [{ Tag: '1', Digest: image.digest, Size: image.manifest.length }]);
  assert.deepEqual(bench.images.resolve(`${server.host}/app:1`).repoDigests, [
    `${server.host}/app@${image.digest}`,
  ]);
});

test('a second push sends no blob, a second tag neither', async () => {
  await using server = await UploadServer.start();
  using bench = new PushBench();
  const image = testImage([await testLayer('a')]);
  bench.keep(image, `${server.host}/app:1`, `${server.host}/app:2`);
  const all = await bench.push(`${server.host}/app`);
  assert.equal(server.methods(uploads).filter((method) => method === 'POST').length, 2);
  assert.deepEqual(
    all.aux.map((one) => ('Tag' in one ? one.Tag : '')),
    ['1', '2'],
  );
  const before = server.methods(uploads).length;
  const again = await bench.push(`${server.host}/app:2`);
  assert.deepEqual(again.layers, ['Layer already exists']);
  assert.equal(server.methods(uploads).length, before);
});

test('an image made here gets a manifest, the same each time', async () => {
  await using server = await UploadServer.start();
  using bench = new PushBench();
  const image = testImage([await testLayer('a', { sizeBytes: 2_000_000 }), await testLayer('b')]);
  bench.make(image, `${server.host}/made:1`);
  const first = await bench.push(`${server.host}/made:1`);
  const stored = server.manifests.get('made 1');
  assert.equal(stored?.mediaType, OCI_MANIFEST);
  const manifest = JSON.parse(String(stored?.bytes)) as { layers: { mediaType: string; digest: string }[] };
  assert.deepEqual(new Set(manifest.layers.map(({ mediaType }) => mediaType)), new Set([OCI_LAYER_GZIP]));
  for (const [i, { digest }] of manifest.layers.entries()) {
    assert.deepEqual(gunzipSync(server.blobs.get(`made ${digest}`) ?? ''), image.layers[i]?.tar);
  }
  assert.equal((await bench.push(`${server.host}/made:1`)).digest, first.digest);
  // Another machine makes the same of it.
  using other = new PushBench();
  other.make(image, `${server.host}/elsewhere:1`);
  assert.equal((await other.push(`${server.host}/elsewhere:1`)).digest, first.digest);
  // And it can be pulled.
  using puller = new PushBench();
  assert.equal(
    (await puller.pull(`${server.host}/made:1`, { platform: 'linux/amd64' })).image.id,
    image.configDigest,
  );
});

test('an image made on top of Docker’s layers is described with Docker’s types, the same layers reused', async () => {
  await using server = await UploadServer.start();
  using bench = new PushBench();
  const [base, own] = [await testLayer('base'), await testLayer('own')];
  bench.keep(testImage([base]), `${server.host}/base:1`);
  bench.make(testImage([base, own], { config: { comment: 'child' } }), `${server.host}/child:1`);
  await bench.push(`${server.host}/base:1`);
  const { layers } = await bench.push(`${server.host}/child:1`);
  assert.deepEqual(layers, ['Pushed', 'Mounted from base']);
  const stored = server.manifests.get('child 1');
  assert.equal(stored?.mediaType, DOCKER_MANIFEST);
  assert.ok(stored.bytes.includes(base.digest));
});

test('blobs that are gone here but in the registry are enough; else the layers are compressed again', async () => {
  await using server = await UploadServer.start();
  await using other = await UploadServer.start();
  using bench = new PushBench();
  const image = testImage([await testLayer('a')]);
  bench.keep(image, `${server.host}/app:1`, `${server.host}/fork:1`, `${other.host}/app:1`);
  await bench.push(`${server.host}/app:1`);
  for (const { digest } of image.layers) bench.content.remove(digest);
  const fork = await bench.push(`${server.host}/fork:1`);
  assert.deepEqual([fork.digest, fork.layers], [image.digest, ['Mounted from app']]);
  const made = await bench.push(`${other.host}/app:1`);
  assert.notEqual(made.digest, image.digest);
  assert.equal((await bench.push(`${server.host}/app:1`)).digest, image.digest);
});

test('an index goes along when its other manifests are here, there or can be taken over', async () => {
  await using server = await UploadServer.start();
  await using other = await UploadServer.start();
  using first = new PushBench();
  const amd = testImage([await testLayer('amd')]);
  const arm = testImage([await testLayer('arm')], { platform: { os: 'linux', architecture: 'arm64' } });
  const index = testIndex([amd, arm]);
  const name = `${server.host}/origin:1`;
  // Both images are here: everything is sent.
  for (const image of [arm, amd]) {
    first.keep(image);
    const { manifest: bytes, mediaType, digest } = image;
    first.images.add({
      configBytes: image.config,
      manifest: { bytes, mediaType, digest },
      index,
      layers: image.layers.map(({ diffId }) => ({ diffId })),
      references: [name],
    });
  }
  const whole = await first.push(name);
  assert.equal(whole.digest, index.digest);
  assert.deepEqual(whole.messages.at(-1)?.status, `1: digest: ${index.digest} size: ${index.bytes.length}`);
  // One that was pulled for one platform is pushed elsewhere in the registry whole, and nothing is sent.
  using second = new PushBench();
  await second.pull(name, { platform: 'linux/amd64' });
  const copy = `${server.host}/copy:1`;
  second.images.tag(second.images.resolve(name).id, copy);
  const before = server.methods(uploads).filter((method) => method === 'PATCH').length;
  assert.equal((await second.push(copy)).digest, index.digest);
  assert.equal(server.methods(uploads).filter((method) => method === 'PATCH').length, before);
  assert.ok(server.manifests.has(`copy ${arm.digest}`));
  // With a platform only that goes out, as with a registry that has nothing of the other platform.
  second.images.tag(second.images.resolve(name).id, `${server.host}/single:1`);
  const single = await second.push(`${server.host}/single:1`, {
    platform: { os: 'linux', architecture: 'amd64' },
  });
  assert.equal(single.digest, amd.digest);
  assert.equal(single.aux.length, 1);
  second.images.tag(second.images.resolve(name).id, `${other.host}/app:1`);
  const stripped = await second.push(`${other.host}/app:1`);
  assert.equal(stripped.digest, amd.digest);
  assert.deepEqual(stripped.aux[0], {
    manifestPushedInsteadOfIndex: true,
    originalIndex: { mediaType: index.mediaType, digest: index.digest, size: index.bytes.length },
    selectedManifest: {
      mediaType: amd.mediaType,
      digest: amd.digest,
      size: amd.manifest.length,
      platform: { os: 'linux', architecture: 'amd64' },
    },
  });
});

test('what cannot be pushed is told in Docker’s words', async () => {
  await using server = await UploadServer.start();
  using bench = new PushBench();
  const image = bench.keep(testImage([await testLayer('a')]), `${server.host}/app:1`);
  const name = `${server.host}/app`;
  await assert.rejects(bench.push(`${server.host}/none:1`), {
    kind: 'NotFound',
    message: `An image does not exist locally with the tag: ${server.host}/none`,
  });
  assert.equal(bench.lastMessages.length, 1);
  await assert.rejects(bench.push(`${name}:2`), {
    kind: 'NotFound',
    message: `tag does not exist: ${name}:2`,
  });
  await assert.rejects(bench.push(`${name}@${image.id}`), { message: 'cannot push a digest reference' });
  await assert.rejects(bench.push('UPPER'), { kind: 'InvalidParameter' });
  const platform = { os: 'linux', architecture: 's390x' };
  await assert.rejects(bench.push(`${name}:1`, { platform }), {
    kind: 'NotFound',
    message: /was found but does not provide the specified platform \(linux\/s390x\)/,
  });
  assert.equal(bench.lastMessages.length, 0);
  server.intercept = (_request, response) => {
    response
      .writeHead(403)
      .end('{"errors":[{"code":"DENIED","message":"requested access to the resource is denied"}]}');
    return true;
  };
  await assert.rejects(bench.push(`${name}:1`), {
    kind: 'Forbidden',
    message: 'denied: requested access to the resource is denied',
  });
});

test('a token that does not allow it is Docker’s denial', async () => {
  await using server = await UploadServer.start();
  using bench = new PushBench();
  bench.keep(testImage([await testLayer('a')]), `${server.host}/app:1`);
  server.intercept = (request, response) => {
    if (request.url?.startsWith('/token') === true) response.end('{"token":"weak"}');
    else {
      const error = request.headers.authorization === undefined ? '' : ',error="insufficient_scope"';
      const challenge = `Bearer realm="http://${server.host}/token",service="s"${error}`;
      response.writeHead(401, { 'www-authenticate': challenge }).end();
    }
    return true;
  };
  await assert.rejects(bench.push(`${server.host}/app:1`), {
    kind: 'Unauthorized',
    message: 'denied: requested access to the resource is denied',
  });
});

test('many layers go a few at a time', async () => {
  await using server = await UploadServer.start();
  using bench = new PushBench({ maxConcurrentUploads: 2 });
  const layers = await Promise.all(Array.from({ length: 60 }, (_, i) => testLayer(`layer ${i}`)));
  const image = testImage(layers);
  bench.make(image, `${server.host}/many:1`);
  let [now, most] = [0, 0];
  const together = Promise.withResolvers<void>();
  server.intercept = async (request, response) => {
    if (request.method !== 'PATCH') return false;
    now += 1;
    most = Math.max(most, now);
    response.once('close', () => {
      now -= 1;
    });
    // The first waits until there is a second, however busy the machine is.
    if (now === 2) together.resolve();
    await together.promise;
    await new Promise((resolve) => setTimeout(resolve, 2));
    return false;
  };
  const { messages } = await bench.push(`${server.host}/many:1`);
  assert.equal(most, 2);
  assert.equal(messages.filter(({ status }) => status === 'Waiting').length, 58);
  assert.equal(messages.filter(({ status }) => status === 'Pushed').length, 60);
  // Each layer's messages come in Docker's order.
  for (const { diffId } of layers) {
    const own = messages.filter(({ id }) => id === shortDigest(diffId)).map(({ status }) => status);
    assert.deepEqual([own[0], own.at(-1)], ['Preparing', 'Pushed']);
  }
});

test('a push that is given up cancels its upload and leaves only blobs that are known', async () => {
  await using server = await UploadServer.start();
  using bench = new PushBench({ chunkBytes: 1 << 20 });
  bench.make(testImage([await testLayer('a', { sizeBytes: 4_000_000 })]), `${server.host}/app:1`);
  const abort = new AbortController();
  server.intercept = (request) => {
    if (request.method === 'PATCH' && request.headers['content-range']?.startsWith('1048576') === true)
      abort.abort(new Error('given up'));
    return false;
  };
  await assert.rejects(bench.push(`${server.host}/app:1`, { signal: abort.signal }), /given up/);
  for (let turn = 0; turn < 6000 && server.methods(uploads).at(-1) !== 'DELETE'; turn++) {
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  assert.equal(server.methods(uploads).at(-1), 'DELETE');
  const files = readdirSync(join(bench.directory, 'content/blobs/sha256'));
  assert.ok(files.length <= 1 && files.every((name) => !name.startsWith('.')), files.join());
  server.intercept = () => false;
  assert.deepEqual((await bench.push(`${server.host}/app:1`)).layers, ['Pushed']);
});
