import assert from 'node:assert/strict';
import { createServer } from 'node:net';
import type { Duplex } from 'node:stream';
import { text } from 'node:stream/consumers';
import { test } from 'node:test';
import { Client, pathSegment } from './client.ts';
import { ApiError, ConnectionError } from './client-error.ts';
import { dialer } from './dial.ts';
import { fakeDaemon, sendJson } from './fake-daemon.ts';
import { parseHost } from './host.ts';

test('requests carry version, query and JSON, and reuse the connection', async () => {
  await using daemon = await fakeDaemon((request, response) => sendJson(response, { url: request.url }));
  const client = await daemon.client();
  const answer = await client.json('POST', '/x', {
    query: { a: true, b: undefined, c: ['1', '2'] },
    json: { k: 'v' },
  });
  assert.deepEqual(answer, { url: '/v1.51/x?a=1&c=1&c=2' });
  await client.json('GET', '/y');
  assert.equal(daemon.requests[0]?.body, '{"k":"v"}');
  assert.equal(daemon.requests[0]?.headers['content-type'], 'application/json');
  assert.equal(daemon.requests[1]?.headers['content-length'], undefined);
});

test("an error is the daemon's message with its status", async () => {
  await using daemon = await fakeDaemon((_, response) =>
    sendJson(response, { message: 'No such container: x' }, 404),
  );
  const client = await daemon.client();
  await assert.rejects(client.json('GET', '/containers/x/json'), (error) => {
    assert.ok(error instanceof ApiError);
    assert.equal(error.status, 404);
    assert.equal(error.message, 'No such container: x');
    return true;
  });
});

test('requests in flight step down together to what an older daemon speaks', async () => {
  await using daemon = await fakeDaemon((request, response) => {
    if (request.url.startsWith('/v1.41/')) sendJson(response, 'ok');
    else {
      const message = 'client version 1.51 is too new. Maximum supported API version is 1.41';
      sendJson(response, { message }, 400);
    }
  });
  const client = await daemon.client();
  assert.deepEqual(await Promise.all([client.json('GET', '/a'), client.json('GET', '/b')]), ['ok', 'ok']);
  assert.equal(client.apiVersion, '1.41');
});

test('a request with a body that cannot be repeated asks for the version first', async () => {
  await using daemon = await fakeDaemon((request, response) => {
    response.setHeader('Api-Version', '1.44');
    response.end(request.body);
  });
  const client = await daemon.client();
  async function* body() {
    yield Buffer.from('abc');
    yield Buffer.alloc(0);
    yield Buffer.from('def');
  }
  assert.equal(await text(await client.stream('POST', '/build', { body: body() })), 'abcdef');
  assert.deepEqual(
    daemon.requests.map(({ url }) => url),
    ['/_ping', '/v1.44/build'],
  );
});

test('a missing socket names the daemon', async () => {
  const host = parseHost('unix:///nonexistent/mydock.sock');
  const client = new Client(host, await dialer(host, undefined));
  await assert.rejects(client.json('GET', '/info'), (error) => {
    assert.ok(error instanceof ConnectionError);
    assert.match(
      error.message,
      /^Cannot connect to the mydock daemon at unix:\/\/\/nonexistent\/mydock\.sock\./,
    );
    return true;
  });
});

function echoUntilEnd(socket: Duplex): void {
  const chunks: Buffer[] = [];
  socket.on('data', (chunk: Buffer) => chunks.push(chunk));
  socket.on('end', () => socket.end(`got ${Buffer.concat(chunks).toString()}`));
}

for (const [name, answer] of [
  [
    '101',
    'HTTP/1.1 101 UPGRADED\r\nContent-Type: application/x\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\nearly ',
  ],
  ['200', 'HTTP/1.1 200 OK\r\nContent-Type: application/x\r\n\r\nearly '],
]) {
  test(`a hijacked connection answered with ${name} is half-open both ways`, async () => {
    await using daemon = await fakeDaemon(
      () => {},
      (_, socket) => {
        socket.write(answer ?? '');
        echoUntilEnd(socket);
      },
    );
    const client = await daemon.client();
    const stream = await client.hijack('/containers/x/attach', { query: { stream: true } });
    assert.equal(stream.contentType, 'application/x');
    stream.input.write('some ');
    stream.input.end('input');
    stream.output.resume();
    assert.equal(await text(stream.output), 'early got some input');
    assert.equal(daemon.requests[0]?.headers['upgrade'], 'tcp');
  });
}

test('a hijack that is refused gives the message', async () => {
  await using daemon = await fakeDaemon(
    () => {},
    (_, socket) => {
      socket.end('HTTP/1.1 409 Conflict\r\nContent-Length: 20\r\n\r\n{"message":"paused"}');
    },
  );
  const client = await daemon.client();
  await assert.rejects(client.hijack('/containers/x/attach'), { message: 'paused', status: 409 });
});

test('what is typed after the end of a command takes nothing of its output away', async () => {
  const closed = Promise.withResolvers<void>();
  await using daemon = await fakeDaemon(
    () => {},
    (_, socket) => {
      socket.write('HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n');
      socket.once('data', () => {
        socket.write('last words', () => socket.destroy());
        socket.once('close', () => closed.resolve());
      });
    },
  );
  const client = await daemon.client();
  const stream = await client.hijack('/exec/x/start');
  stream.input.write('exit');
  await closed.promise;
  for (const key of ['a', 'b']) await new Promise((resolve) => stream.input.write(key, resolve));
  stream.input.end();
  assert.equal(await text(stream.output), 'last words');
});

test('a body that is refused unread gives the refusal', async () => {
  const answer = '{"message":"no space left"}';
  const head = `HTTP/1.1 500 Error\r\nConnection: close\r\nContent-Length: ${answer.length}\r\n\r\n`;
  await using daemon = await fakeDaemon((_, response) => sendJson(response, 'ok'));
  const closed = Promise.withResolvers<void>();
  const refusing = createServer((socket) => {
    socket.once('data', () => {
      socket.write(head + answer);
      socket.destroy();
      closed.resolve();
    });
  });
  const path = `${daemon.socket}.2`;
  await new Promise<void>((resolve) => refusing.listen(path, resolve));
  const client = new Client(
    parseHost(`unix://${path}`),
    await dialer(parseHost(`unix://${path}`), undefined),
    {
      version: '1.51',
    },
  );
  async function* endless() {
    yield Buffer.from('first');
    await closed.promise;
    for (;;) yield Buffer.alloc(64 * 1024);
  }
  await assert.rejects(client.stream('POST', '/build', { body: endless() }), { message: 'no space left' });
  client.close();
  await new Promise((resolve) => refusing.close(resolve));
});

test('names keep their slashes and lose what would end the path', () => {
  assert.equal(pathSegment('a/b:c@sha256:d'), 'a/b:c@sha256:d');
  assert.equal(pathSegment('a?b#c%'), 'a%3Fb%23c%25');
});
