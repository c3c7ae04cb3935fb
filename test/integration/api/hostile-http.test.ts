/**
 * Framing that two readers could understand in two ways, heads and bodies that come slowly, upgrades with garbage behind
 * them. What is not understood is refused with its connection; no byte of a body is ever taken for a request.
 */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import type { Socket } from 'node:net';
import { after, before, test } from 'node:test';
import { eventually } from '../command.ts';
import { type Daemon, daemonWithBusybox } from '../harness.ts';
import { dial, firstLine, statusOf } from './hostile-exchange.ts';

const GROWTH_MAX_MIB = 150;
/** A request that would be seen if it were taken for one. */
const INNER =
  'POST /volumes/create HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 19\r\n\r\n{"Name":"smuggled"}';

let daemon: Daemon;
let close: () => Promise<void>;

before(async () => {
  ({ daemon, close } = await daemonWithBusybox());
});
after(async () => await close());

/** Connections of the daemon's socket that the daemon has open, and its listening socket. */
function connections(): number {
  const lines = readFileSync(`/proc/${daemon.pid}/net/unix`, 'utf8').split('\n');
  const inodes = lines
    .filter((line) => line.endsWith(` ${daemon.socket}`))
    .map((line) => line.split(/\s+/)[6]);
  const open = new Set(
    readdirSync(`/proc/${daemon.pid}/fd`).map((fd) => linkOrEmpty(`/proc/${daemon.pid}/fd/${fd}`)),
  );
  return inodes.filter((inode) => open.has(`socket:[${inode}]`)).length;
}

function linkOrEmpty(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return '';
  }
}

const descriptors = (): number => readdirSync(`/proc/${daemon.pid}/fd`).length;

function residentMiB(): number {
  const kib = /^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${daemon.pid}/status`, 'utf8'))?.[1];
  return Number(kib) / 1024;
}

async function isUnharmed(): Promise<void> {
  assert.equal((await daemon.api('GET', '/_ping')).status, 200);
  assert.equal((await daemon.api('GET', '/volumes/smuggled')).status, 404);
  const faults = daemon.log.split('\n').filter((line) => /uncaught|unhandled/.test(line));
  assert.deepEqual(faults, []);
}

test('framing that can be read in two ways', async () => {
  const chunked = `${INNER.length.toString(16)}\r\n${INNER}\r\n0\r\n\r\n`;
  const heads = [
    `Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n${INNER}`,
    `Content-Length: 0\r\nContent-Length: ${INNER.length}\r\n\r\n${INNER}`,
    `Content-Length: 0, ${INNER.length}\r\n\r\n${INNER}`,
    `Content-Length: +${INNER.length}\r\n\r\n${INNER}`,
    `Content-Length: 0x5\r\n\r\n${INNER}`,
    `Content-Length: -1\r\n\r\n${INNER}`,
    `Content-Length : ${INNER.length}\r\n\r\n${INNER}`,
    `Transfer-Encoding: chunked, identity\r\n\r\n${chunked}`,
    `Transfer-Encoding: xchunked\r\n\r\n${chunked}`,
    `Transfer-Encoding:\x0bchunked\r\n\r\n${chunked}`,
    `Transfer-Encoding: chunked\r\n\r\n5;${'x'.repeat(20_000)}\r\n`,
    `Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n${INNER}`,
    `Transfer-Encoding: chunked\r\n\r\n-1\r\n${INNER}`,
    `Transfer-Encoding: chunked\r\n\r\n 5\r\n${INNER}`,
    `Transfer-Encoding: chunked\r\n\r\n1\nx\n0\n\n${INNER}`,
    `X: a\r\n b: folded\r\nContent-Length: ${INNER.length}\r\n\r\n${INNER}`,
    `X: \0\r\n\r\n${INNER}`,
    ` Leading: x\r\n\r\n${INNER}`,
    `X: a\rContent-Length: 0\r\n\r\n`,
    'Host: y\r\nHost: z\r\nContent-Length: 2\r\n\r\n{}',
  ];
  for (const head of heads) {
    const socket = await dial(daemon.socket);
    const line = firstLine(socket);
    // A body is the request's own, whatever else it looks like: of this one nothing is done with it.
    socket.end(Buffer.from(`POST /containers/none/start HTTP/1.1\r\nHost: x\r\n${head}`, 'latin1'));
    const status = Number(/^HTTP\/1\.1 (\d+)/.exec(await line)?.[1] ?? 0);
    assert.ok([0, 400, 404, 413, 431].includes(status), `${JSON.stringify(head.slice(0, 60))}: ${status}`);
    socket.destroy();
    const there = (await daemon.api('GET', '/volumes/smuggled')).status;
    if (there === 404) continue;
    // Pipelining is no smuggling: with a length of nothing, what follows is the next request.
    assert.match(
      head,
      /^(Content-Length: 0\r\n\r\n|X: \0|5)/,
      `smuggled by ${JSON.stringify(head.slice(0, 60))}`,
    );
    await daemon.api('DELETE', '/volumes/smuggled');
  }
  await isUnharmed();
});

test('heads that are too large', async () => {
  const many = Array.from({ length: 3000 }, (_, index) => `X-${index}: y\r\n`).join('');
  for (const head of [`X: ${'y'.repeat(200_000)}\r\n`, `${'x'.repeat(200_000)}: y\r\n`, many.repeat(4)]) {
    const status = await statusOf(daemon.socket, `GET /_ping HTTP/1.1\r\nHost: x\r\n${head}\r\n`);
    assert.ok([0, 200, 400, 431].includes(status), String(status));
  }
  assert.ok(
    [0, 400, 414, 431].includes(
      await statusOf(daemon.socket, `GET /${'x'.repeat(300_000)} HTTP/1.1\r\n\r\n`),
    ),
  );
  await isUnharmed();
});

test('heads and bodies that come a byte at a time hold up nobody', async () => {
  const before = descriptors();
  const sockets: Socket[] = [];
  const timers: NodeJS.Timeout[] = [];
  for (let i = 0; i < 100; i++) {
    const socket = await dial(daemon.socket);
    socket.resume();
    const head =
      'POST /containers/create HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n';
    const text = i % 2 === 0 ? head : `${head}\r\n{`;
    let at = i % 2 === 0 ? 0 : text.length;
    if (at > 0) socket.write(text);
    timers.push(setInterval(() => socket.write(text[at++ % text.length] ?? ' '), 50));
    sockets.push(socket);
  }
  for (let i = 0; i < 20; i++) assert.equal((await daemon.api('GET', '/containers/json')).status, 200);
  for (const timer of timers) clearInterval(timer);
  for (const socket of sockets) socket.destroy();
  await eventually('descriptors are given back', () => descriptors() <= before + 5);
  await isUnharmed();
});

test('garbage behind upgrades', async () => {
  const before = connections();
  const sockets: Socket[] = [];
  for (const [method, path, upgrade] of [
    ['POST', '/grpc', 'h2c'],
    ['POST', '/session', 'h2c'],
    ['POST', '/grpc', 'websocket'],
    ['GET', '/_ping', 'h2c'],
    ['GET', '/_ping', 'websocket'],
    ['GET', '/containers/none/attach/ws', 'websocket'],
    ['POST', '/containers/none/attach', 'tcp'],
    ['POST', '/build', 'h2c'],
    ['PUT', '/containers/none/archive?path=/', 'tcp'],
    ['POST', '/volumes/none/import', 'tcp'],
    ['POST', '/images/load', 'tcp'],
  ]) {
    for (const garbage of [
      randomBytes(5000),
      Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'),
      Buffer.alloc(100_000),
    ]) {
      const socket = await dial(daemon.socket);
      const line = firstLine(socket);
      socket.write(
        `${method} ${path} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: ${upgrade}\r\nSec-WebSocket-Key: eA==\r\nSec-WebSocket-Version: 13\r\nX-Docker-Expose-Session-Uuid: a\r\n\r\n`,
      );
      socket.write(garbage);
      const status = Number(/^HTTP\/1\.1 (\d+)/.exec(await line)?.[1] ?? 0);
      assert.ok(status !== 500, `${method} ${path} ${upgrade}: ${status}`);
      sockets.push(socket);
    }
  }
  for (const socket of sockets) socket.destroy();
  await eventually('connections are closed', () => connections() <= before);
  await isUnharmed();
});

/** A client's HTTP/2 connection on `/grpc`, with its preface sent. */
async function grpcSocket(): Promise<Socket> {
  const socket = await dial(daemon.socket);
  const line = firstLine(socket);
  socket.write('POST /grpc HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n');
  assert.match(await line, /^HTTP\/1\.1 101/);
  socket.resume();
  socket.write('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
  socket.write(frame(4, 0, 0, Buffer.alloc(0)));
  return socket;
}

/** RFC 9113, section 4.1. */
function frame(type: number, flags: number, stream: number, payload: Buffer): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head[3] = type;
  head[4] = flags;
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, payload]);
}

/** `:method: POST`, `:scheme: http`, `:path: /`, by HPACK's static table. */
const HEADERS = Buffer.from([0x83, 0x86, 0x84]);

const FLOODS: [what: string, bytes: (round: number) => Buffer][] = [
  ['PING', () => frame(6, 0, 0, Buffer.alloc(8))],
  ['SETTINGS', () => frame(4, 0, 0, Buffer.from([0, 4, 0, 0, 255, 255]))],
  [
    'streams that are reset at once',
    (round) =>
      Buffer.concat([frame(1, 4, 2 * round + 1, HEADERS), frame(3, 0, 2 * round + 1, Buffer.alloc(4))]),
  ],
  ['streams that stay', (round) => frame(1, 4, 2 * round + 1, HEADERS)],
  [
    'CONTINUATION without end',
    (round) => (round === 0 ? frame(1, 0, 1, HEADERS) : frame(9, 0, 1, Buffer.alloc(100, 0x84))),
  ],
  ['empty DATA', (round) => (round === 0 ? frame(1, 4, 1, HEADERS) : frame(0, 0, 1, Buffer.alloc(0)))],
  // One large entry of the dynamic table, and then references to it of a byte each.
  [
    'HPACK bomb',
    (round) =>
      frame(
        1,
        4,
        2 * round + 1,
        Buffer.concat([
          HEADERS,
          Buffer.from([0x40, 1, 0x61, 0x7f, 0xa1, 0x1e]),
          Buffer.alloc(4000, 0x62),
          Buffer.alloc(8000, 0xbe),
        ]),
      ),
  ],
];

for (const [what, bytes] of FLOODS) {
  test(`a flood of HTTP/2: ${what}`, async () => {
    const before = { memory: residentMiB(), descriptors: descriptors() };
    const socket = await grpcSocket();
    for (let round = 0; round < 20_000 && !socket.destroyed && socket.writable; round += 500) {
      const some = Buffer.concat(
        Array.from({ length: 500 }, (_, index) => bytes(round + index)).slice(
          0,
          what === 'HPACK bomb' ? 20 : 500,
        ),
      );
      if (!socket.write(some)) {
        await Promise.race([
          once(socket, 'drain'),
          once(socket, 'close'),
          once(AbortSignal.timeout(2000), 'abort'),
        ]).catch(() => undefined);
      }
    }
    await isUnharmed();
    const growth = residentMiB() - before.memory;
    assert.ok(growth < GROWTH_MAX_MIB, `${growth} MiB more`);
    socket.destroy();
    await eventually('descriptors are given back', () => descriptors() <= before.descriptors + 5);
  });
}
