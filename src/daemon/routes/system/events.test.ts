import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { EventBus } from '../../../events/event-bus.ts';
import { Router } from '../../router.ts';
import { ApiServer } from '../../server.ts';
import { encodeEvent, eventsHandler } from './events.ts';

test('an event has the fields of old clients in front, attributes in order, and every digit of its time', () => {
  const text = encodeEvent({
    Type: 'container',
    Action: 'die',
    Actor: { ID: 'abc', Attributes: { name: 'web', image: 'nginx', exitCode: '1' } },
    timeNs: 1795224077427005763n,
  });
  assert.equal(
    text,
    '{"status":"die","id":"abc","from":"nginx","Type":"container","Action":"die","Actor":{"ID":"abc","Attributes":{"exitCode":"1","image":"nginx","name":"web"}},"scope":"local","time":1795224077,"timeNano":1795224077427005763}',
  );
  const volume = encodeEvent({
    Type: 'volume',
    Action: 'create',
    Actor: { ID: 'v', Attributes: {} },
    timeNs: 5n,
  });
  assert.match(volume, /^\{"Type":"volume".*"time":0,"timeNano":5\}$/);
});

interface Served extends AsyncDisposable {
  bus: EventBus;
  path: string;
  /** Sends a request and gives what arrives until the connection ends. */
  get(query: string, accept?: string): Promise<string>;
}

async function serve(name: string): Promise<Served> {
  const bus = new EventBus();
  const path = join(tmpdir(), `mydock-events-${process.pid}-${name}.sock`);
  const server = new ApiServer(new Router([{ method: 'GET', path: '/events', handle: eventsHandler(bus) }]));
  await server.listen({ kind: 'unix', path, gid: 0 });
  const get = async (query: string, accept = ''): Promise<string> => {
    const socket = connect(path);
    const head = accept === '' ? '' : `Accept: ${accept}\r\n`;
    socket.write(`GET /events?${query} HTTP/1.1\r\nHost: x\r\n${head}Connection: close\r\n\r\n`);
    let text = '';
    socket.setEncoding('utf8').on('data', (part: string) => {
      text += part;
    });
    await once(socket, 'close');
    return text;
  };
  return {
    bus,
    path,
    get,
    [Symbol.asyncDispose]: async () => {
      server.stopAccepting();
      await server.close();
    },
  };
}

test('what has happened is told again, filtered, and the answer ends at until', async () => {
  await using served = await serve('replay');
  served.bus.publish('volume', 'create', 'one', { driver: 'local' });
  served.bus.publish('volume', 'destroy', 'one', { driver: 'local' });
  const filters = encodeURIComponent('{"event":["destroy"]}');
  const until = (Date.now() / 1000 + 1).toFixed(3);
  const answer = served.get(`since=0&until=${until}&filters=${filters}`);
  while (served.bus.listeners === 0 && Date.now() < Number(until) * 1000) {
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  served.bus.publish('volume', 'destroy', 'two', {});
  const text = await answer;
  assert.match(text, /^HTTP\/1.1 200 OK\r\n.*Content-Type: application\/json\r\n/s);
  assert.deepEqual(
    [...text.matchAll(/"Action":"(\w+)","Actor":\{"ID":"(\w+)"/g)].map(([, action, id]) => `${action} ${id}`),
    ['destroy one', 'destroy two'],
  );
  assert.equal(served.bus.listeners, 0, 'nobody listens after the end');
});

test('lines and sequences of JSON are there for clients that ask, wrong times are refused', async () => {
  await using served = await serve('forms');
  served.bus.publish('volume', 'create', 'one', {});
  const until = (Date.now() / 1000 + 0.01).toFixed(3);
  const lines = await served.get(`since=0&until=${until}`, 'application/jsonl');
  assert.match(lines, /Content-Type: application\/jsonl\r\n/);
  const sequence = await served.get(`since=0&until=${until}`, 'text/x, application/json-seq;q=0.9');
  assert.match(sequence, /Content-Type: application\/json-seq\r\n.*\x1e\{"Type"/s);
  assert.match(await served.get('since=abc'), /^HTTP\/1.1 400 .*parsing \\"abc\\": invalid syntax/s);
  const order = '`since` time (5) cannot be after `until` time (3)';
  assert.ok((await served.get('since=5&until=3')).includes(order));
});

test('a client that does not read is cut off, and costs a bounded amount of memory', async () => {
  await using served = await serve('slow');
  const socket = connect(served.path);
  socket.on('error', () => undefined);
  socket.pause();
  socket.write('GET /events HTTP/1.1\r\nHost: x\r\n\r\n');
  while (served.bus.listeners === 0) await new Promise((resolve) => setTimeout(resolve, 5));
  const attributes = { text: 'x'.repeat(100_000) };
  for (let n = 0; n < 200 && served.bus.listeners > 0; n++) {
    served.bus.publish('volume', 'create', String(n), attributes);
    await new Promise((resolve) => setImmediate(resolve));
  }
  assert.equal(served.bus.listeners, 0);
  socket.destroy();
});
