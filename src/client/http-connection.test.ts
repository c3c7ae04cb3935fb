import assert from 'node:assert/strict';
import { Duplex } from 'node:stream';
import { text } from 'node:stream/consumers';
import { test } from 'node:test';
import { HttpConnection } from './http-connection.ts';
import { requestHead } from './http-head.ts';

/** A connection whose far end sends `bytes` in pieces of `size`, then closes where `close` is set. */
function connected(bytes: string, size: number, close = false) {
  let written = '';
  let idle = false;
  const stream: Duplex = new Duplex({
    read() {},
    write(chunk, _, done) {
      written += String(chunk);
      done();
    },
  });
  const connection = new HttpConnection(stream, () => {
    idle = true;
  });
  const buffer = Buffer.from(bytes);
  setImmediate(() => {
    for (let at = 0; at < buffer.length; at += size) stream.push(buffer.subarray(at, at + size));
    if (close) stream.push(null);
  });
  return { connection, written: () => written, idle: () => idle };
}

const GET = { method: 'GET', path: '/', headers: {} };

const CHUNKED =
  'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nC;x=y\r\n, big world!\r\n0\r\nT: 1\r\n\r\n';

test('a chunked body survives every split and leaves the connection idle', async () => {
  for (let size = 1; size <= CHUNKED.length; size++) {
    const { connection, idle } = connected(CHUNKED, size);
    const answer = await connection.exchange(GET);
    assert.equal(answer.status, 200);
    assert.equal(await text(answer.body), 'hello, big world!');
    assert.equal(idle(), true);
  }
});

test('interim answers are skipped, a length ends the body', async () => {
  const bytes = 'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201 Created\r\nContent-Length: 2\r\n\r\nok';
  const { connection, idle } = connected(bytes, 7);
  const answer = await connection.exchange(GET);
  assert.equal(answer.status, 201);
  assert.equal(await text(answer.body), 'ok');
  assert.equal(idle(), true);
});

test('no content has no body; Connection: close is not kept', async () => {
  const none = connected('HTTP/1.1 204 No Content\r\n\r\n', 9);
  assert.equal(await text((await none.connection.exchange(GET)).body), '');
  assert.equal(none.idle(), true);
  const closing = connected('HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 1\r\n\r\nx', 99);
  assert.equal(await text((await closing.connection.exchange(GET)).body), 'x');
  assert.equal(closing.idle(), false);
});

test('a body without length runs up to the close', async () => {
  const { connection } = connected('HTTP/1.1 200 OK\r\n\r\nall of it', 3, true);
  assert.equal(await text((await connection.exchange(GET)).body), 'all of it');
});

test('a body that is cut short is an error', async () => {
  for (const bytes of [
    'HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort',
    'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel',
  ]) {
    const answer = await connected(bytes, 64, true).connection.exchange(GET);
    await assert.rejects(text(answer.body), /unexpected EOF/);
  }
});

test('what is no answer, and no answer at all, are errors', async () => {
  await assert.rejects(
    connected('SSH-2.0-OpenSSH\r\n\r\n', 99).connection.exchange(GET),
    /malformed HTTP response/,
  );
  await assert.rejects(connected('', 1, true).connection.exchange(GET), /closed before the answer/);
});

test('a switched connection hands over bytes that came with the head', async () => {
  const bytes = 'first\r\n\r\nbytes';
  for (const size of [1, 24, 99]) {
    const { connection } = connected(`HTTP/1.1 101 UPGRADED\r\n\r\n${bytes}`, size, true);
    const answer = await connection.exchange(GET);
    assert.equal(answer.status, 101);
    answer.body.resume();
    assert.equal(await text(answer.body), bytes);
  }
});

test('text goes with its length, and a header cannot begin another', async () => {
  const { connection, written } = connected('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n', 99);
  await connection.exchange({ method: 'POST', path: '/a', headers: { host: 'h' }, body: 'é' });
  assert.equal(written(), 'POST /a HTTP/1.1\r\nhost: h\r\ncontent-length: 2\r\n\r\né');
  assert.throws(() => requestHead('GET', '/', { a: 'b\r\nc: d' }), /line break/);
});
