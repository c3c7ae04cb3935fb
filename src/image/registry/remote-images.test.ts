import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AMD64, testImage, testIndex, testLayer } from '../testing/image-builder.ts';
import { ImageServer } from '../testing/image-server.ts';
import { RemoteImages } from './remote-images.ts';

/** No limit: it would begin with the file, which waits for the others of its folder. */
const { signal } = new AbortController();
const ARM = { os: 'linux', architecture: 'arm64', variant: 'v8' };
const remote = (mirrors: string[] = []): RemoteImages =>
  new RemoteImages({ mirrors, env: {}, certificateDirectories: [], retryDelayMs: 1, stallTimeoutMs: 2000 });

test('a single image: its descriptor, and the platform of its configuration', async () => {
  await using server = await ImageServer.start();
  const image = testImage([await testLayer('a')], { platform: ARM });
  server.push('app', 'v1', image);
  const reference = `${server.host}/app:v1`;
  assert.deepEqual(await remote().describe({ reference, signal }), {
    Descriptor: { mediaType: image.mediaType, digest: image.digest, size: image.manifest.length },
    Platforms: [{ architecture: 'arm64', os: 'linux', variant: 'v8' }],
  });
  const { top, children } = await remote().manifests({ reference, details: true, signal });
  assert.deepEqual([top.bytes, children], [image.manifest, undefined]);
  assert.equal(top.descriptor.platform?.architecture, 'arm64');
});

test('an index: the platforms of its entries, and with details their manifests', async () => {
  await using server = await ImageServer.start();
  const images = [
    testImage([await testLayer('a')], { platform: AMD64 }),
    testImage([await testLayer('b')], { platform: ARM }),
  ];
  const index = testIndex(images);
  server.pushIndex('app', 'latest', index, images);
  const reference = `${server.host}/app@${index.digest}`;
  const { Descriptor, Platforms } = await remote().describe({ reference, signal });
  assert.deepEqual(Descriptor, {
    mediaType: index.mediaType,
    digest: index.digest,
    size: index.bytes.length,
  });
  assert.deepEqual(
    Platforms.map(({ architecture }) => architecture),
    ['amd64', 'arm64'],
  );
  const before = server.requests.length;
  assert.equal((await remote().manifests({ reference, details: false, signal })).children, undefined);
  assert.equal(server.requests.length - before, 1);
  const { children } = await remote().manifests({ reference, details: true, signal });
  assert.deepEqual(
    children?.map(({ descriptor, bytes }) => [descriptor.digest, descriptor.platform?.variant, bytes]),
    images.map((image, i) => [image.digest, i === 1 ? 'v8' : undefined, image.manifest]),
  );
});

test('an index with too many manifests is not walked through', async () => {
  await using server = await ImageServer.start();
  const image = testImage([await testLayer('a')]);
  const index = testIndex(Array.from({ length: 129 }, () => image));
  server.pushIndex('app', 'latest', index, [image]);
  const reference = `${server.host}/app`;
  await assert.rejects(remote().manifests({ reference, details: true, signal }), {
    kind: 'InvalidParameter',
    message: /has 129 manifests, more than the 128/,
  });
});

test('a mirror is asked first; the registry where it fails', async () => {
  await using mirror = await ImageServer.start();
  await using server = await ImageServer.start();
  const images = [testImage([await testLayer('a')]), testImage([await testLayer('b')])] as const;
  mirror.push('app', 'both', images[0]);
  server.push('app', 'both', images[1]);
  server.push('app', 'here', images[1]);
  const both = remote([`${server.host}=http://${mirror.host}`]);
  const digest = async (tag: string) =>
    (await both.describe({ reference: `${server.host}/app:${tag}`, signal })).Descriptor.digest;
  assert.equal(await digest('both'), images[0].digest);
  assert.equal(await digest('here'), images[1].digest);
});

test('what is not there, not allowed, or gone', async () => {
  await using server = await ImageServer.start();
  const reference = `${server.host}/none`;
  await assert.rejects(remote().describe({ reference, signal }), {
    kind: 'NotFound',
    message: /^manifest unknown/,
  });
  for (const [status, kind] of [
    [401, 'Unauthorized'],
    [403, 'Forbidden'],
    [503, 'Unavailable'],
  ] as const) {
    server.intercept = (_, response) => {
      response.writeHead(status);
      response.end();
      return true;
    };
    await assert.rejects(remote().describe({ reference, signal }), { kind });
  }
  await assert.rejects(remote().describe({ reference: '127.0.0.1:1/x', signal }), { kind: 'Unavailable' });
});
