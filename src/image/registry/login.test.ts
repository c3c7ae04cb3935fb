import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ImageServer } from '../testing/image-server.ts';
import { checkCredentials } from './login.ts';
import { serverDomain } from './server-domain.ts';

/** No limit: it would begin with the file, which waits for the others of its folder. */
const { signal } = new AbortController();
const basic = (text: string): string => `Basic ${Buffer.from(text).toString('base64')}`;

test('addresses name registries as docker login writes them', () => {
  for (const hub of ['', 'https://index.docker.io/v1/', 'docker.io', 'index.docker.io'])
    assert.equal(serverDomain(hub), 'docker.io');
  assert.equal(serverDomain('https://reg.example:5000/v2/'), 'reg.example:5000');
  assert.equal(serverDomain('reg.example'), 'reg.example');
});

test('Basic credentials are accepted or refused by the registry', async () => {
  await using server = await ImageServer.start();
  server.intercept = (request, response) => {
    const good = request.headers.authorization === basic('me:secret');
    response.writeHead(good ? 200 : 401, { 'www-authenticate': 'Basic realm="x"' });
    response.end();
    return Promise.resolve(true);
  };
  const auth = { username: 'me', serveraddress: server.host };
  assert.equal(await checkCredentials({ ...auth, password: 'secret' }, {}, signal), '');
  await assert.rejects(checkCredentials({ ...auth, password: 'wrong' }, {}, signal), {
    kind: 'Unauthorized',
    message: `login attempt to http://${server.host}/v2/ failed with status: 401 Unauthorized`,
  });
});

test('a token server is asked without a scope, and gives a refresh token or the refusal', async () => {
  await using server = await ImageServer.start();
  const scopes: (string | null)[] = [];
  const offline: (string | null)[] = [];
  server.intercept = (request, response) => {
    const url = new URL(request.url ?? '', `http://${server.host}`);
    if (url.pathname === '/token') {
      scopes.push(url.searchParams.get('scope'));
      offline.push(url.searchParams.get('offline_token'));
      const good = request.headers.authorization === basic('me:secret');
      response.writeHead(good ? 200 : 401);
      response.end(
        good ? '{"token":"T","refresh_token":"R"}' : '{"details":"incorrect username or password"}',
      );
    } else {
      const good = request.headers.authorization === 'Bearer T';
      const challenge = `Bearer realm="http://${server.host}/token",service="s"`;
      response.writeHead(good ? 200 : 401, { 'www-authenticate': challenge });
      response.end();
    }
    return Promise.resolve(true);
  };
  const auth = { username: 'me', serveraddress: `http://${server.host}` };
  assert.equal(await checkCredentials({ ...auth, password: 'secret' }, {}, signal), 'R');
  await assert.rejects(checkCredentials({ ...auth, password: 'no' }, {}, signal), {
    kind: 'Unauthorized',
    message: `Get "http://${server.host}/v2/": unauthorized: incorrect username or password`,
  });
  assert.deepEqual(scopes, [null, null]);
  assert.deepEqual(offline, ['true', 'true']);
});

test('an address that is none is not quoted: it may hold a password', async () => {
  for (const serveraddress of ['http://me:secret@127.0.0.1:1', 'a b', '127.0.0.1:1?x', '-']) {
    await assert.rejects(checkCredentials({ username: 'a', password: 'b', serveraddress }, {}, signal), {
      kind: 'InvalidParameter',
      message: 'invalid server address: it must be HOST[:PORT]',
    });
  }
});

test('a registry that does not answer is an internal error that names it', async () => {
  const auth = { username: 'a', password: 'b', serveraddress: '127.0.0.1:1' };
  await assert.rejects(checkCredentials(auth, {}, signal), {
    kind: 'Internal',
    message: /^Get "http:\/\/127\.0\.0\.1:1\/v2\/": dial tcp 127\.0\.0\.1:1: connect: connection refused/,
  });
});
