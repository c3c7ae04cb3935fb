import assert from 'node:assert/strict';
import { closeSync, mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { addon } from '../../native/addon.ts';
import { continueBegun, PauseService } from './pause-service.ts';

const KEY = 'unix:/x';

/** A service on a socket of its own, and clients of it. */
function begin(t: TestContext) {
  const folder = mkdtempSync(join(tmpdir(), 'mydock-pause-'));
  const path = join(folder, 's');
  const listening = addon().listenUnix(path, 16);
  const service = new PauseService((method, closes) => `answer ${method}${closes ? ' closes' : ''};`);
  service.listen(KEY, listening);
  const sockets: Socket[] = [];
  t.after(() => {
    for (const socket of sockets) socket.destroy();
    for (const fd of service.pass().values()) closeSync(fd);
    rmSync(folder, { recursive: true });
  });
  const client = (): { socket: Socket; heard(): string; ended(): boolean } => {
    const socket = connect(path);
    let text = '';
    let ended = false;
    socket.on('data', (bytes) => {
      text += bytes.toString();
    });
    socket.on('close', () => {
      ended = true;
    });
    socket.on('error', () => undefined);
    sockets.push(socket);
    return { socket, heard: () => text, ended: () => ended };
  };
  return { service, client };
}

async function until(what: () => boolean): Promise<void> {
  for (let turn = 0; !what(); turn++) {
    assert.ok(turn < 5000, String(what));
    await sleep(2);
  }
}

/** Goes on with what was kept, with a server that says what it was asked. */
function successor(t: TestContext, passed: ReadonlyMap<string, number>): string[] {
  const asked: string[] = [];
  const server = createServer((message, response) => {
    asked.push(`${message.method} ${message.url}`);
    let body = '';
    message.on('data', (bytes: Buffer) => {
      body += bytes.toString();
    });
    message.on('end', () => response.end(`served ${message.url} ${body.length}`));
  });
  t.after(() => server.closeAllConnections());
  for (const [key, fd] of passed) {
    continueBegun(key, fd, (listener, socket) => {
      assert.equal(listener, KEY);
      return server.emit('connection', socket);
    });
  }
  return asked;
}

test('signs of life are answered, on connections that stay and that close', async (t) => {
  const { client } = begin(t);
  const kept = client();
  kept.socket.write('GET /_ping HTTP/1.1\r\nHost: x\r\n\r\n');
  await until(() => kept.heard() === 'answer GET;');
  kept.socket.write('HEAD /_ping HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n');
  await until(() => kept.heard() === 'answer GET;answer HEAD;');
  assert.equal(kept.ended(), false);
  const closing = client();
  closing.socket.write('GET /_ping HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n');
  await until(() => closing.ended());
  assert.equal(closing.heard(), 'answer GET closes;');
});

test('all else is kept as it came, and answered by whoever serves next', async (t) => {
  const { service, client } = begin(t);
  const idle = client();
  const ping = client();
  ping.socket.write('GET /_ping HTTP/1.1\r\n\r\n');
  const part = client();
  part.socket.write('GET /_pi');
  const other = client();
  other.socket.write('GET /containers/json HTTP/1.1\r\nHost: x\r\n\r\n');
  const two = client();
  two.socket.write('GET /_ping HTTP/1.1\r\nHost: x\r\n\r\nGET /behind HTTP/1.1\r\nHost: x\r\n\r\n');
  const large = client();
  const size = 3_000_000;
  large.socket.write(`POST /load HTTP/1.1\r\nHost: x\r\nContent-Length: ${size}\r\n\r\n`);
  large.socket.write(Buffer.alloc(size, 'a'));
  await until(() => ping.heard() === 'answer GET;' && service.waiting === 4);
  const passed = service.pass();
  assert.equal(passed.size, 6);
  const asked = successor(t, passed);
  part.socket.write('ng HTTP/1.1\r\nHost: x\r\n\r\n');
  ping.socket.write('GET /again HTTP/1.1\r\nHost: x\r\n\r\n');
  idle.socket.write('GET /late HTTP/1.1\r\nHost: x\r\n\r\n');
  await until(() => part.heard().endsWith('served /_ping 0'));
  await until(() => ping.heard().endsWith('served /again 0'));
  await until(() => idle.heard().endsWith('served /late 0'));
  await until(() => other.heard().endsWith('served /containers/json 0'));
  await until(() => /served \/_ping 0.*served \/behind 0$/s.test(two.heard()));
  await until(() => large.heard().endsWith(`served /load ${size}`));
  assert.equal(asked.length, 7);
});

test('what is more than a sign of life is none', async (t) => {
  const { service, client } = begin(t);
  const requests = [
    'GET /v1.41/_ping HTTP/1.1\r\nHost: x\r\n\r\n',
    'GET /_ping?x=1 HTTP/1.1\r\nHost: x\r\n\r\n',
    'POST /_ping HTTP/1.1\r\nHost: x\r\n\r\n',
    'GET /_ping HTTP/1.0\r\n\r\n',
    'GET /_ping HTTP/1.1\r\nUpgrade: tcp\r\nConnection: Upgrade\r\n\r\n',
    'GET /_ping HTTP/1.1\r\nContent-Length: 5\r\n\r\n',
    'GET /_ping HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n',
  ];
  const clients = requests.map((text) => {
    const one = client();
    one.socket.write(text);
    return one;
  });
  const last = client();
  last.socket.write('GET /_ping HTTP/1.1\r\n\r\n');
  await until(() => last.heard() !== '' && service.waiting === requests.length);
  assert.deepEqual(
    clients.map((one) => one.heard()),
    requests.map(() => ''),
  );
  const heads = [...service.pass().keys()].map((key) =>
    Buffer.from((JSON.parse(key) as { head: string }).head, 'base64').toString(),
  );
  assert.deepEqual(heads.filter((head) => head !== '').sort(), [...requests].sort());
});

test('a client that goes away is not kept', async (t) => {
  const { service, client } = begin(t);
  const gone = client();
  await until(() => gone.socket.readyState === 'open');
  const left = client();
  left.socket.write('GET /_ping HTTP/1.1\r\n\r\n');
  await until(() => left.heard() !== '');
  gone.socket.destroy();
  left.socket.end();
  await until(() => service.connections === 0);
  assert.equal(service.pass().size, 0);
});
