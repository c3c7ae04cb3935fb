/** Pulls that are cut off: by the registry, by the client, by the daemon's death. Nothing shows, and it goes on. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, before, test } from 'node:test';
import { busyboxLayer } from '../../fixtures/catalog.ts';
import { type Gateway, startGateway } from '../../fixtures/gateway.ts';
import { type Image, makeImage, makeLayer } from '../../fixtures/image.ts';
import { makeTar } from '../../fixtures/tar.ts';
import { eventually } from '../command.ts';
import { TESTING_DOCKER } from '../engine.ts';
import { Daemon } from '../harness.ts';

let daemon: Daemon;
let gateway: Gateway;
before(async () => {
  gateway = await startGateway();
  daemon = await Daemon.start();
});
after(async () => {
  try {
    await daemon.close();
  } finally {
    await gateway.stop();
  }
});

/** An image with one incompressible layer of this size on top of busybox. */
async function bigImage(bytes: number): Promise<Image> {
  const layer = makeLayer(makeTar([{ path: 'big', data: randomBytes(bytes) }]), 'gzip');
  return makeImage({ layers: [await busyboxLayer(), layer] });
}

const blobRequests = (image: Image) =>
  gateway.requests.filter((request) => request.path.endsWith(image.blobs.at(-1)?.digest ?? ''));

test('connections that break are resumed by range', async () => {
  const image = await bigImage(4_000_000);
  const reference = gateway.add('broken-off', 'latest', image);
  gateway.rules.cutBlobs = { afterBytes: 1_300_000, times: 2 };
  await daemon.ok('pull', '-q', reference);
  delete gateway.rules.cutBlobs;
  assert.equal(await daemon.ok('run', '--rm', reference, 'wc', '-c', '/big'), '4000000 /big');
  const ranges = blobRequests(image).map((request) => request.range);
  assert.ok(
    ranges.some((range) => /^bytes=[1-9]\d*-/.test(range ?? '')),
    `ranges: ${ranges.join(', ')}`,
  );
});

test('a registry that does not know ranges is asked from the start', async () => {
  const reference = gateway.add('rangeless', 'latest', await bigImage(2_000_000));
  gateway.rules.cutBlobs = { afterBytes: 700_000, times: 1 };
  gateway.rules.ignoreRange = true;
  await daemon.ok('pull', '-q', reference);
  delete gateway.rules.ignoreRange;
  assert.equal(await daemon.ok('run', '--rm', reference, 'wc', '-c', '/big'), '2000000 /big');
});

test('an error 503 is tried again', async () => {
  const reference = gateway.add('unavailable', 'latest', await bigImage(10_000));
  gateway.rules.failBlobs = { status: 503, times: 1 };
  await daemon.ok('pull', '-q', reference);
  assert.equal(gateway.rules.failBlobs.times, 0);
  delete gateway.rules.failBlobs;
});

test('a client that goes away ends the pull, and nothing is visible', async () => {
  const image = await bigImage(3_000_000);
  const reference = gateway.add('abandoned', 'latest', image);
  gateway.rules.slowBlobsMs = 1000;
  const live = daemon.live(['pull', reference]);
  await eventually('the layer is on its way', () => blobRequests(image).length > 0);
  await new Promise((resolve) => setTimeout(resolve, 500));
  live.child.kill('SIGINT');
  await live.ended;
  delete gateway.rules.slowBlobsMs;
  assert.equal(await daemon.ok('images', '-q', reference), '');
  await daemon.ok('pull', '-q', reference);
  assert.equal(await daemon.ok('run', '--rm', reference, 'wc', '-c', '/big'), '3000000 /big');
});

test('a daemon that is killed in the middle leaves nothing visible and resumes', {
  skip: TESTING_DOCKER && 'Docker starts the layer again',
}, async () => {
  const image = await bigImage(20_000_000);
  const reference = gateway.add('killed', 'latest', image);
  gateway.rules.slowBlobsMs = 10;
  const sentBefore = gateway.slowBytes;
  const live = daemon.live(['pull', reference]);
  // More than the daemon gathers before it writes.
  await eventually('a part of the layer has come', () => gateway.slowBytes - sentBefore > 8_000_000);
  await daemon.stop('SIGKILL');
  assert.notEqual((await live.ended).code, 0);
  delete gateway.rules.slowBlobsMs;
  await daemon.launch();
  assert.equal(await daemon.ok('images', '-q', reference), '');
  await daemon.ok('pull', '-q', reference);
  assert.equal(await daemon.ok('run', '--rm', reference, 'wc', '-c', '/big'), '20000000 /big');
  const ranges = blobRequests(image).map((request) => request.range ?? 'all');
  const last = ranges.at(-1) ?? '';
  assert.match(
    last,
    /^bytes=[1-9]\d*-/,
    `the second pull goes on where the first one stopped: ${ranges.join(', ')}`,
  );
});
