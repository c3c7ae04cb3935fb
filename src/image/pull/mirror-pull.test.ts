/** Pulls through mirrors: their order, what leads on to the next, and what a mirror cannot do. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { testImage, testLayer } from '../testing/image-builder.ts';
import { ImageServer } from '../testing/image-server.ts';
import { PullBench } from '../testing/pull-bench.ts';

async function setUp() {
  const first = await ImageServer.start();
  const second = await ImageServer.start();
  const registry = await ImageServer.start();
  const mirrors = [first, second].map((mirror) => `${registry.host}=http://${mirror.host}`);
  const bench = new PullBench({ mirrors });
  return {
    first,
    second,
    registry,
    bench,
    async [Symbol.asyncDispose]() {
      bench[Symbol.dispose]();
      await Promise.all([first, second, registry].map((server) => server[Symbol.asyncDispose]()));
    },
  };
}

test('mirrors are asked in order, and the registry not at all where one has the image', async () => {
  await using all = await setUp();
  const image = testImage([await testLayer('a')]);
  for (const server of [all.first, all.second, all.registry]) server.push('app', 'latest', image);
  const { image: pulled } = await all.bench.pull(`${all.registry.host}/app`);
  assert.deepEqual(pulled.repoTags, [`${all.registry.host}/app:latest`]);
  assert.deepEqual([all.second.requests, all.registry.requests], [[], []]);
});

for (const status of [401, 403, 404, 429, 500, 503]) {
  test(`a mirror that answers ${status} is asked once, and the next one serves`, async () => {
    await using all = await setUp();
    const image = testImage([await testLayer('a')]);
    all.first.intercept = (_, response) => {
      response.writeHead(status, { 'retry-after': '30' });
      response.end();
      return true;
    };
    all.second.push('app', 'latest', image);
    await all.bench.pull(`${all.registry.host}/app`);
    assert.equal(all.first.requests.length, 1);
    assert.deepEqual(all.registry.requests, []);
  });
}

test('a mirror that is gone, and one that lies about a digest: the registry serves', async () => {
  await using all = await setUp();
  const image = testImage([await testLayer('a')]);
  const other = testImage([await testLayer('b')]);
  all.registry.push('app', 'latest', image);
  await all.first[Symbol.asyncDispose]();
  all.second.manifests.set(`app@${image.digest}`, { bytes: other.manifest, mediaType: other.mediaType });
  const { image: pulled } = await all.bench.pull(`${all.registry.host}/app@${image.digest}`);
  assert.equal(pulled.id, image.configDigest);
  assert.equal(all.second.requests.length, 1);
});

test('a mirror whose layer is not what its digest says does not spoil the pull', async () => {
  await using all = await setUp();
  const image = testImage([await testLayer('a')]);
  const digest = image.layers[0]?.digest ?? '';
  all.registry.push('app', 'latest', image);
  all.first.push('app', 'latest', image);
  all.first.blobs.set(digest, Buffer.alloc(image.layers[0]?.blob.length ?? 0));
  const { image: pulled } = await all.bench.pull(`${all.registry.host}/app`);
  assert.equal(pulled.id, image.configDigest);
  assert.equal(all.registry.blobRequests(digest), 1);
});

test('the registry’s credentials never reach a mirror; its own do', async () => {
  await using all = await setUp();
  const image = testImage([await testLayer('a')]);
  const expect = (server: ImageServer, user: string): void => {
    server.intercept = (request, response) => {
      const wanted = `Basic ${Buffer.from(`${user}:secret`).toString('base64')}`;
      if (request.headers.authorization === wanted) return false;
      response.writeHead(401, { 'www-authenticate': 'Basic realm="x"' });
      response.end();
      return true;
    };
  };
  expect(all.first, 'nobody');
  expect(all.second, 'mirror');
  expect(all.registry, 'me');
  all.second.push('app', 'latest', image);
  all.registry.push('app', 'latest', image);
  const auth = { username: 'me', password: 'secret', serveraddress: all.registry.host };
  await all.bench.pull(`${all.registry.host}/app`, { auth });
  const sent = [...all.first.authorizations, ...all.second.authorizations].filter(Boolean);
  assert.deepEqual(sent, []);
  const asked = all.registry.requests.length;
  const authConfigs = { [all.second.host]: { username: 'mirror', password: 'secret' } };
  await all.bench.pull(`${all.registry.host}/app`, { auth, authConfigs });
  assert.equal(all.registry.requests.length, asked);
  const text = (value: string | undefined): string =>
    Buffer.from((value ?? '').slice('Basic '.length), 'base64').toString();
  assert.deepEqual([...new Set(all.second.authorizations.filter(Boolean).map(text))], ['mirror:secret']);
});
