/** With client.node as the build has made it, against a server on a Unix socket. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { type TestContext, test } from 'node:test';
import { Client } from './client.ts';
import { parseHost } from './host.ts';
import { nativePart } from './native-part.ts';

const native = nativePart(resolve(import.meta.dirname, '../../dist'));
const skip = native === undefined && 'client.node is not built';

/** A client of a server that calls `serve` with each request's text and its connection. */
async function clientOf(t: TestContext, serve: (request: string, socket: Socket) => void) {
  const folder = mkdtempSync(join(tmpdir(), 'mydock-direct-'));
  const path = join(folder, 's');
  const sockets = new Set<Socket>();
  let connections = 0;
  const server = createServer((socket) => {
    connections++;
    sockets.add(socket);
    socket.on('error', () => {});
    let text = '';
    socket.on('data', (chunk: Buffer) => {
      text += chunk.toString();
      const bytes = Number(/content-length: (\d+)/.exec(text)?.[1] ?? 0);
      const head = text.indexOf('\r\n\r\n');
      if (head < 0 || Buffer.byteLength(text) < head + 4 + bytes) return;
      const request = text;
      text = '';
      serve(request, socket);
    });
  });
  await new Promise<void>((listening) => server.listen(path, listening));
  const host = parseHost(`unix://${path}`);
  const client = new Client(host, () => assert.fail('no stream is needed'), { native });
  t.after(async () => {
    client.close();
    for (const socket of sockets) socket.destroy();
    await new Promise((closed) => server.close(closed));
    rmSync(folder, { recursive: true, force: true });
  });
  return { client, connections: () => connections };
}

const answer = (body: string): string => `HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n\r\n${body}`;

test('requests carry their bodies, answers come in any pieces, connections are used again', {
  skip,
}, async (t) => {
  const seen: string[] = [];
  const { client, connections } = await clientOf(t, (request, socket) => {
    seen.push(request);
    const text = answer('{"a":1}');
    socket.write(text.slice(0, 9));
    setImmediate(() => socket.write(text.slice(9)));
  });
  const json = { text: 'é'.repeat(20_000) };
  assert.deepEqual(await client.json('POST', '/one', { json }), { a: 1 });
  assert.deepEqual(await client.json('GET', '/two', { query: { all: true } }), { a: 1 });
  assert.equal(connections(), 1);
  assert.match(seen[0] ?? '', /^POST \/v1\.\d+\/one HTTP\/1\.1\r\n/);
  assert.ok(seen[0]?.endsWith(JSON.stringify(json)));
  assert.match(seen[1] ?? '', /^GET \/v1\.\d+\/two\?all=1 HTTP\/1\.1\r\n/);
});

test('a wait is told apart from its answer, which may come much later and in chunks', { skip }, async (t) => {
  let end = (): void => {};
  const { client } = await clientOf(t, (_, socket) => {
    socket.write('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n');
    end = () => socket.write('3\r\n{"S\r\n6\r\n":"x"}\r\n0\r\n\r\n');
  });
  const begun = await client.begin('POST', '/wait');
  end();
  assert.equal(await begun.text(), '{"S":"x"}');
});

test('errors are those that the other connection gives', { skip }, async (t) => {
  const body = '{"message":"no such thing"}';
  const { client } = await clientOf(t, (request, socket) => {
    if (request.includes('/cut')) socket.end('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n12');
    else if (request.includes('/gone')) socket.destroy();
    else socket.write(`HTTP/1.1 404 Not Found\r\nContent-Length: ${body.length}\r\n\r\n${body}`);
  });
  await assert.rejects(client.json('GET', '/none'), {
    name: 'ApiError',
    status: 404,
    message: 'no such thing',
  });
  await assert.rejects(client.json('GET', '/cut'), /unexpected EOF/);
  await assert.rejects(client.json('GET', '/gone'), /error during connect: the connection was closed before/);
  const nobody = new Client(parseHost('unix:///nonexistent/s'), () => assert.fail(), { native });
  await assert.rejects(
    nobody.json('GET', '/'),
    /Cannot connect to the mydock daemon at unix:\/\/\/nonexistent\/s/,
  );
});

test('output is handed on, and held back by whoever takes it', { skip }, async (t) => {
  const whole = Buffer.alloc(2_000_000, 'abc');
  const { client } = await clientOf(t, (request, socket) => {
    assert.match(request, /\r\nupgrade: tcp\r\n/);
    socket.write('HTTP/1.1 101 UPGRADED\r\nUpgrade: tcp\r\n\r\n');
    socket.end(whole);
  });
  const output = await client.output('/attach');
  assert.ok(output);
  const pieces: Buffer[] = [];
  let busy = false;
  await output.each((piece) => {
    assert.equal(busy, false, 'a piece came while the one before it was still being written');
    pieces.push(Buffer.from(piece));
    busy = true;
    return new Promise((resolve) => {
      setImmediate(() => {
        busy = false;
        resolve();
      });
    });
  });
  assert.ok(Buffer.concat(pieces).equals(whole));
});

test('close ends what is under way', { skip }, async (t) => {
  const { client } = await clientOf(t, (_, socket) => {
    socket.write('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n');
  });
  const begun = await client.begin('POST', '/wait');
  const text = begun.text();
  client.close();
  await assert.rejects(text, /the connection was closed/);
});
