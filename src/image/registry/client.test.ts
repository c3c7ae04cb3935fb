import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ImageServer } from '../testing/image-server.ts';
import { RepositoryClient } from './client.ts';
import { resolveRegistryOptions } from './options.ts';
import { Transport } from './transport.ts';

function clientFor(server: ImageServer, path = ''): { client: RepositoryClient; transport: Transport } {
  const registry = resolveRegistryOptions({ env: {}, certificateDirectories: [], retryDelayMs: 1 });
  const transport = new Transport(registry);
  const endpoint = { baseUrl: `http://${server.host}${path}`, mirror: false, insecure: true };
  return {
    client: new RepositoryClient({ endpoint, path: 'team/app', auth: {}, transport, registry }),
    transport,
  };
}

test('lists of tags are followed page by page, on this registry only', async () => {
  await using server = await ImageServer.start();
  const { client, transport } = clientFor(server);
  server.intercept = (request, response) => {
    const last = new URL(request.url ?? '', 'http://x').searchParams.get('last');
    const page = { null: ['b', 'a'], a: ['c'], c: null }[String(last)];
    const next = { null: 'a', a: 'c' }[String(last)];
    if (next !== undefined)
      response.setHeader('link', `<http://elsewhere.test/v2/x?last=${next}&n=2>; rel="next"`);
    response.end(JSON.stringify({ name: 'team/app', tags: page }));
    return true;
  };
  assert.deepEqual(await client.tags(AbortSignal.timeout(120_000)), ['a', 'b', 'c']);
  assert.deepEqual(server.requests, [
    'GET /v2/team/app/tags/list',
    'GET /v2/team/app/tags/list?last=a&n=2',
    'GET /v2/team/app/tags/list?last=c&n=2',
  ]);
  transport.reset();
});

test('pages of tags without an end are cut off', async () => {
  await using server = await ImageServer.start();
  const { client, transport } = clientFor(server);
  server.intercept = (_request, response) => {
    response.setHeader('link', '</v2/team/app/tags/list?last=x>; rel="next"');
    response.end('{"tags":["x"]}');
    return true;
  };
  await assert.rejects(client.tags(AbortSignal.timeout(120_000)), {
    kind: 'Internal',
    message: /more than 1000 pages/,
  });
  transport.reset();
});

test('more tags than a repository can sensibly have end the listing', async () => {
  await using server = await ImageServer.start();
  const { client, transport } = clientFor(server);
  let page = 0;
  server.intercept = (_request, response) => {
    page += 1;
    const tags = Array.from({ length: 60_000 }, (_, index) => `${page}-${index}`);
    response.setHeader('link', '</v2/team/app/tags/list?last=x>; rel="next"');
    response.end(JSON.stringify({ tags }));
    return true;
  };
  await assert.rejects(client.tags(AbortSignal.timeout(120_000)), { message: /more than 100000 tags/ });
  assert.equal(page, 2);
  transport.reset();
});

test('a mirror’s path stands before /v2/', async () => {
  await using server = await ImageServer.start();
  const { client, transport } = clientFor(server, '/cache/hub');
  await assert.rejects(client.manifest('latest', AbortSignal.timeout(120_000)));
  assert.deepEqual(server.requests, ['GET /cache/hub/v2/team/app/manifests/latest']);
  transport.reset();
});

test('a digest is told from its header only where that is one', async () => {
  await using server = await ImageServer.start();
  const { client, transport } = clientFor(server);
  let header = `sha256:${'a'.repeat(64)}`;
  server.intercept = (_request, response) => {
    response.setHeader('docker-content-digest', header);
    response.end();
    return true;
  };
  const signal = AbortSignal.timeout(120_000);
  assert.equal(await client.manifestDigest('latest', signal), header);
  header = 'sha512:abc';
  assert.equal(await client.manifestDigest('latest', signal), undefined);
  transport.reset();
});
