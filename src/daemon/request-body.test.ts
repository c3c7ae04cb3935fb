import assert from 'node:assert/strict';
import { once } from 'node:events';
import http, { type IncomingMessage } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { afterEach, beforeEach, mock, test } from 'node:test';
import { readBody, readUpgradeBody } from './request-body.ts';

const HEAD = 'POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n';
const MINUTE_MS = 60_000;

let server: http.Server;
let client: Socket;
let message: IncomingMessage;

beforeEach(async () => {
  server = http.createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  client = connect((server.address() as AddressInfo).port, '127.0.0.1');
  client.on('error', () => undefined);
  client.write(HEAD);
  [message] = (await once(server, 'request')) as [IncomingMessage];
  message.on('error', () => undefined);
  mock.timers.enable({ apis: ['setTimeout'] });
});
afterEach(() => {
  mock.timers.reset();
  client.destroy();
  server.close();
});

/** Waits for it to arrive, as the clock that the reading goes by stands still. */
async function send(text: string): Promise<void> {
  const read = message.socket.bytesRead;
  client.write(text);
  while (message.socket.bytesRead < read + text.length) await new Promise((resolve) => setImmediate(resolve));
}

test('a body in pieces', async () => {
  const body = readBody(message);
  await send('12345');
  await send('67890');
  assert.equal((await body).toString(), '1234567890');
});

test('a body that takes a minute is refused, however often a byte of it comes', async () => {
  const refused = assert.rejects(readBody(message), {
    kind: 'InvalidParameter',
    message: 'request body did not come within 60 seconds',
  });
  for (let i = 0; i < 5; i++) {
    await send('x');
    mock.timers.tick(MINUTE_MS / 5);
  }
  await refused;
  // What still comes is dropped.
  await send('xxxxx');
  assert.equal(message.readableLength, 0);
});

test('a body that breaks off', async () => {
  const refused = assert.rejects(readBody(message), { message: /ended early/ });
  await send('12345');
  client.destroy();
  await refused;
});

test('a message that is gone before anybody reads it', async () => {
  client.destroy();
  await new Promise((resolve) => message.once('close', resolve));
  await assert.rejects(readBody(message), { message: /ended early/ });
});

test('the body of an upgrade request has the same limit', async () => {
  const refused = assert.rejects(readUpgradeBody(message.socket, Buffer.from('ab'), 10), {
    message: /within 60 seconds/,
  });
  await send('x');
  mock.timers.tick(MINUTE_MS);
  await refused;
});
