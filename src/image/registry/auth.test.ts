/** The 401 flows of registries: tokens, Basic, refusals. */
import assert from 'node:assert/strict';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { test } from 'node:test';
import { testImage, testLayer } from '../testing/image-builder.ts';
import { ImageServer } from '../testing/image-server.ts';
import { PullBench } from '../testing/pull-bench.ts';

interface TokenRequest {
  method: string;
  query: URLSearchParams;
  authorization: string | undefined;
  form: URLSearchParams;
}

/** A registry whose tokens come from `/token` on the same host. */
async function tokenRegistry(
  server: ImageServer,
  grant: (request: TokenRequest, count: number) => { status?: number; body: object },
  accepts: (token: string) => boolean,
): Promise<TokenRequest[]> {
  server.push('app', 'latest', testImage([await testLayer('a'), await testLayer('b')]));
  const asked: TokenRequest[] = [];
  server.intercept = async (request: IncomingMessage, response: ServerResponse) => {
    const url = new URL(request.url ?? '', `http://${server.host}`);
    if (url.pathname === '/token') {
      let text = '';
      for await (const chunk of request) text += String(chunk);
      const { authorization } = request.headers;
      const entry = {
        method: request.method ?? '',
        query: url.searchParams,
        authorization,
        form: new URLSearchParams(text),
      };
      asked.push(entry);
      const { status = 200, body } = grant(entry, asked.length);
      response.writeHead(status);
      response.end(JSON.stringify(body));
      return true;
    }
    const token = /^Bearer (.*)$/.exec(request.headers.authorization ?? '')?.[1];
    if (token !== undefined && accepts(token)) return false;
    const error = token === undefined ? '' : ',error="insufficient_scope"';
    response.writeHead(401, {
      'www-authenticate': `Bearer realm="http://${server.host}/token",service="test-service",scope="repository:app:pull"${error}`,
    });
    response.end('{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}');
    return true;
  };
  return asked;
}

test('an anonymous token is asked for once and used for everything', async () => {
  await using server = await ImageServer.start();
  using bench = new PullBench();
  const asked = await tokenRegistry(
    server,
    () => ({ body: { token: 'T1' } }),
    (token) => token === 'T1',
  );
  await bench.pull(`${server.host}/app`);
  assert.equal(asked.length, 1);
  assert.equal(asked[0]?.method, 'GET');
  assert.deepEqual(Object.fromEntries(asked[0]?.query ?? []), {
    service: 'test-service',
    scope: 'repository:app:pull',
  });
  assert.equal(asked[0]?.authorization, undefined);
});

test('user name and password go to the token server only', async () => {
  await using server = await ImageServer.start();
  using bench = new PullBench();
  const asked = await tokenRegistry(
    server,
    () => ({ body: { access_token: 'T1', expires_in: 300 } }),
    (t) => t === 'T1',
  );
  await bench.pull(`${server.host}/app`, { auth: { username: 'joe', password: 'a:b' } });
  assert.equal(asked[0]?.authorization, `Basic ${Buffer.from('joe:a:b').toString('base64')}`);
  assert.equal(asked[0]?.query.get('account'), 'joe');
  assert.ok(server.authorizations.filter((value) => value?.startsWith('Basic ')).length === 1);
});

test('an identity token is exchanged by POST, a registry token is sent as it is', async () => {
  await using server = await ImageServer.start();
  using bench = new PullBench();
  const asked = await tokenRegistry(
    server,
    () => ({ body: { access_token: 'T1' } }),
    (t) => t === 'T1' || t === 'R',
  );
  await bench.pull(`${server.host}/app`, { auth: { username: 'joe', identitytoken: 'ID' } });
  assert.equal(asked[0]?.method, 'POST');
  assert.deepEqual(Object.fromEntries(asked[0]?.form ?? []), {
    grant_type: 'refresh_token',
    service: 'test-service',
    client_id: 'mydock',
    scope: 'repository:app:pull',
    refresh_token: 'ID',
  });
  await bench.pull(`${server.host}/app`, { auth: { registrytoken: 'R' } });
  assert.equal(asked.length, 1);
});

test('a token that ends during the pull is replaced', async () => {
  await using server = await ImageServer.start();
  using bench = new PullBench({ maxConcurrentDownloads: 1 });
  let valid = 'T1';
  const asked = await tokenRegistry(
    server,
    (_request, count) => ({ body: { token: `T${count}` } }),
    (t) => t === valid,
  );
  const { intercept } = server;
  server.intercept = (request, response) => {
    if (request.url?.includes('/blobs/')) valid = 'T2';
    return intercept(request, response);
  };
  await bench.pull(`${server.host}/app`);
  assert.equal(asked.length, 2);
});

test('refusals are told in Docker’s words', async () => {
  await using server = await ImageServer.start();
  using bench = new PullBench();
  const name = `${server.host}/app`;
  await tokenRegistry(
    server,
    () => ({ body: { token: 'useless' } }),
    () => false,
  );
  await assert.rejects(bench.pull(name), {
    kind: 'NotFound',
    message: `pull access denied for ${name}, repository does not exist or may require 'docker login': denied: requested access to the resource is denied`,
  });
  await tokenRegistry(
    server,
    () => ({ status: 401, body: { details: 'incorrect username or password' } }),
    () => false,
  );
  await assert.rejects(bench.pull(name, { auth: { username: 'joe', password: 'x' } }), {
    kind: 'Unauthorized',
    message: /unauthorized: .*incorrect username or password/,
  });
  for (const body of [{}, { token: 7 }, { token: 'a\nb' }]) {
    await tokenRegistry(
      server,
      () => ({ body }),
      () => false,
    );
    await assert.rejects(bench.pull(name), /token/);
  }
});

test('Basic: right, wrong and missing credentials', async () => {
  await using server = await ImageServer.start();
  using bench = new PullBench();
  server.push('app', 'latest', testImage([await testLayer('a')]));
  const right = `Basic ${Buffer.from('joe:pw').toString('base64')}`;
  server.intercept = (request, response) => {
    if (request.headers.authorization === right) return false;
    response.writeHead(401, { 'www-authenticate': 'Basic realm="x"' });
    response.end('{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}');
    return true;
  };
  const name = `${server.host}/app`;
  await assert.rejects(bench.pull(name), { kind: 'Unauthorized', message: /no basic auth credentials$/ });
  await assert.rejects(bench.pull(name, { auth: { username: 'joe', password: 'no' } }), {
    kind: 'Unauthorized',
    message: 'unauthorized: authentication required',
  });
  await bench.pull(name, { auth: { username: 'joe', password: 'pw' } });
});

test('credentials are not sent to a token server in plain text', async () => {
  await using server = await ImageServer.start();
  using bench = new PullBench();
  server.intercept = (_request, response) => {
    response.writeHead(401, { 'www-authenticate': 'Bearer realm="http://192.0.2.1/token",service="x"' });
    response.end();
    return true;
  };
  await assert.rejects(bench.pull(`${server.host}/app`, { auth: { username: 'joe', password: 'x' } }), {
    kind: 'Unauthorized',
    message: /asks to send credentials to http:\/\/192.0.2.1, which is not encrypted/,
  });
});
