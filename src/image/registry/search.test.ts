import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ImageServer } from '../testing/image-server.ts';
import { searchRegistry, splitTerm } from './search.ts';

/** No limit: it would begin with the file, which waits for the others of its folder. */
const { signal } = new AbortController();

/** An index that answers every search with `body`. */
async function index(body: unknown, status = 200): Promise<ImageServer> {
  const server = await ImageServer.start();
  server.intercept = (_, response) => {
    response.writeHead(status, { 'content-type': 'application/json' });
    response.end(typeof body === 'string' ? body : JSON.stringify(body));
    return true;
  };
  return server;
}

const search = (server: ImageServer, limit = 0, auth = {}) =>
  searchRegistry({ term: `${server.host}/two words&x`, limit, auth, signal }, {});

test('a term names a registry only where its first part looks like a host', () => {
  assert.deepEqual(splitTerm('nginx'), { domain: 'docker.io', words: 'nginx' });
  assert.deepEqual(splitTerm('library/nginx'), { domain: 'docker.io', words: 'nginx' });
  assert.deepEqual(splitTerm('user/app'), { domain: 'docker.io', words: 'user/app' });
  assert.deepEqual(splitTerm('docker.io/user/app'), { domain: 'docker.io', words: 'user/app' });
  assert.deepEqual(splitTerm('reg.example:5000/a/b'), { domain: 'reg.example:5000', words: 'a/b' });
  assert.throws(() => splitTerm('http://x/y'), {
    message: 'invalid repository name: repository name (http://x/y) should not have a scheme',
  });
  assert.throws(() => splitTerm('a.b@c/x'), { kind: 'InvalidParameter', message: /invalid registry/ });
});

test('the index is asked with the words and the limit; its results keep their order', async () => {
  const result = { name: 'a', description: 'd', star_count: 3, is_official: true, is_automated: true };
  await using server = await index({ num_results: 2, results: [{ ...result, extra: 1 }, { name: 'b' }] });
  assert.deepEqual(await search(server), [
    { ...result, is_automated: false },
    { name: 'b', description: '', star_count: 0, is_official: false, is_automated: false },
  ]);
  assert.deepEqual(server.requests, ['GET /v1/search?q=two+words%26x&n=25']);
  assert.equal((await search(server, 1)).length, 1);
});

test('limits outside of 1 to 100', async () => {
  await using server = await index({});
  for (const limit of [-1, 101]) {
    await assert.rejects(search(server, limit), {
      kind: 'InvalidParameter',
      message: `limit ${limit} is outside the range of [1, 100]`,
    });
  }
  assert.deepEqual(await search(server, 100), []);
});

test('answers that are none', async () => {
  for (const body of ['<html>', '[]', '{"results":[{"name":1}]}', '{"results":{}}', '{"results":[null]}']) {
    await using server = await index(body);
    await assert.rejects(search(server), { kind: 'Internal', message: /search result/ }, body);
  }
  await using large = await index(`{"results":["${'x'.repeat(5 << 20)}"]}`);
  await assert.rejects(search(large), { kind: 'Internal', message: /is too large/ });
});

test('statuses', async () => {
  for (const [status, kind] of [
    [401, 'Unauthorized'],
    [404, 'Internal'],
    [429, 'Unavailable'],
    [500, 'Unavailable'],
  ] as const) {
    await using server = await index('', status);
    await assert.rejects(search(server), { kind, message: `Unexpected status code ${status}` });
  }
});

test('a registry that asks who it is gets the credentials', async () => {
  await using server = await ImageServer.start();
  server.intercept = (request, response) => {
    const known = request.headers.authorization === `Basic ${Buffer.from('me:secret').toString('base64')}`;
    response.writeHead(known ? 200 : 401, { 'www-authenticate': 'Basic realm="x"' });
    response.end('{"results":[{"name":"mine"}]}');
    return true;
  };
  const found = await search(server, 0, { username: 'me', password: 'secret' });
  assert.deepEqual(
    found.map(({ name }) => name),
    ['mine'],
  );
});
