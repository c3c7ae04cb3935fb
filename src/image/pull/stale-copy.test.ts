import assert from 'node:assert/strict';
import { test } from 'node:test';
import { codedError, TransportError } from '../registry/errors.ts';
import { testImage, testLayer } from '../testing/image-builder.ts';
import { ImageServer } from '../testing/image-server.ts';
import { PullBench } from '../testing/pull-bench.ts';
import { isOutage } from './stale-copy.ts';

/** A registry that served `app` once and answers everything with `status` from then on. */
async function outage(status: number, pullStale = false) {
  const server = await ImageServer.start();
  const bench = new PullBench({ pullStale });
  server.push('app', 'latest', testImage([await testLayer('a')]));
  const name = `${server.host}/app:latest`;
  const { image } = await bench.pull(name);
  server.intercept = (_, response) => {
    response.writeHead(status, { 'retry-after': '0' });
    response.end();
    return true;
  };
  return { server, bench, name, image };
}

test('what is an outage', () => {
  for (const status of [429, 500, 502, 503, 504]) assert.equal(isOutage(codedError(status, '')), true);
  for (const status of [400, 401, 403, 404, 501]) assert.equal(isOutage(codedError(status, '')), false);
  for (const code of ['ECONNREFUSED', 'ENOTFOUND', 'EAI_AGAIN', 'STALLED', 'ECONNRESET', 'ERR_PROXY_TUNNEL'])
    assert.equal(isOutage(new TransportError('', code)), true, code);
  for (const code of [
    'SELF_SIGNED_CERT_IN_CHAIN',
    'CERT_HAS_EXPIRED',
    'ERR_SSL_WRONG_VERSION_NUMBER',
    'TOKEN',
  ])
    assert.equal(isOutage(new TransportError('', code)), false, code);
  assert.equal(isOutage(new Error('disk full')), false);
});

test('a registry that answers 429: the local copy where it is allowed, said in the stream', async () => {
  const { server, bench, name, image } = await outage(429);
  await using _server = server;
  using _bench = bench;
  const before = server.requests.length;
  const copy = await bench.pull(name, { stale: true });
  assert.equal(copy.image.id, image.id);
  assert.equal(server.requests.length - before, 1, 'nobody waits for the registry to recover');
  const date = image.lastTaggedAt.slice(0, 10);
  assert.deepEqual(copy.messages, [
    { status: `Registry ${server.host} answered 429; using the local copy ${image.id} of ${date}` },
  ]);
  await assert.rejects(bench.pull(name), {
    kind: 'Unavailable',
    message: new RegExp(`^toomanyrequests: .*; a local copy ${image.id} of ${date} is here: --stale`),
  });
});

test('the daemon’s default allows it, and a request can still refuse', async () => {
  const { server, bench, name, image } = await outage(503, true);
  await using _server = server;
  using _bench = bench;
  assert.equal((await bench.pull(name)).image.id, image.id);
  await assert.rejects(bench.pull(name, { stale: false }), { kind: 'Unavailable' });
  await assert.rejects(bench.pull(`${server.host}/other`), { kind: 'Unavailable', message: /^[^;]*$/ });
});

test('a registry that is gone', async () => {
  const { server, bench, name, image } = await outage(200);
  using _bench = bench;
  await server[Symbol.asyncDispose]();
  const { image: copy, messages } = await bench.pull(name, { stale: true });
  assert.equal(copy.id, image.id);
  assert.match(messages[0]?.status ?? '', /cannot be reached \(.*connection refused\); using the local copy/);
});

test('a registry that says no is believed', async () => {
  for (const status of [401, 403, 404]) {
    const { server, bench, name } = await outage(status, true);
    await using _server = server;
    using _bench = bench;
    await assert.rejects(bench.pull(name), (error: Error) => !error.message.includes('local copy'));
  }
});

test('a copy for another platform does not count', async () => {
  const { server, bench, name } = await outage(429, true);
  await using _server = server;
  using _bench = bench;
  await assert.rejects(bench.pull(name, { platform: 'windows/amd64' }), { kind: 'Unavailable' });
});
