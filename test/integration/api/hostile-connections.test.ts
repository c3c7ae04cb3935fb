/**
 * Clients that want the daemon to run out of something: connections, requests nobody reads the answers of, bodies that
 * never end. Others are served all the while, and it says what it did.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import type { Socket } from 'node:net';
import { after, before, test } from 'node:test';
import { eventually } from '../command.ts';
import { type Daemon, daemonWithBusybox } from '../harness.ts';
import { dial, firstLine, statusOf } from './hostile-exchange.ts';

/** More than half of the descriptors that a daemon has here. */
const CONNECTIONS = 12_000;
/** Bounds hold what no limit would let grow by hundreds. */
const GROWTH_MAX_MIB = 120;

const PING = 'GET /_ping HTTP/1.1\r\nHost: x\r\n\r\n';

let daemon: Daemon;
let close: () => Promise<void>;
let container: string;

before(async () => {
  ({ daemon, close } = await daemonWithBusybox());
  container = await daemon.ok('run', '-d', '--stop-signal', 'KILL', 'busybox', 'sleep', '100000');
});
after(async () => await close());

const descriptors = (): number => readdirSync(`/proc/${daemon.pid}/fd`).length;

function residentMiB(): number {
  const kib = /^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${daemon.pid}/status`, 'utf8'))?.[1];
  return Number(kib) / 1024;
}

function cpuTicks(): number {
  const fields = readFileSync(`/proc/${daemon.pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? [];
  return Number(fields[11]) + Number(fields[12]);
}

/** On connections of their own: one that is kept for another request is the first that is closed for a new one. */
async function isServing(): Promise<void> {
  for (const path of ['/_ping', `/containers/${container}/json`]) {
    assert.equal(await statusOf(daemon.socket, `GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`), 200, path);
  }
}

function limitDescriptors(soft: string): void {
  const command = ['--pid', String(daemon.pid), `--nofile=${soft}:`];
  const { status, stderr } = spawnSync('prlimit', command, { encoding: 'utf8' });
  assert.equal(status, 0, stderr);
}

/** As many of our own as this process may have. */
function connectionsHere(): number {
  const limit = /^Max open files\s+(\d+)/m.exec(readFileSync('/proc/self/limits', 'utf8'))?.[1];
  return Math.min(CONNECTIONS, Number(limit) - 200);
}

async function dialMany(count: number, bytes = ''): Promise<Socket[]> {
  const sockets: Socket[] = [];
  while (sockets.length < count) {
    const some = await Promise.all(
      Array.from({ length: Math.min(200, count - sockets.length) }, () => dial(daemon.socket)),
    );
    if (bytes !== '') for (const socket of some) socket.write(bytes);
    sockets.push(...some);
  }
  return sockets;
}

async function drop(sockets: readonly Socket[], before: number): Promise<void> {
  for (const socket of sockets) socket.destroy();
  await eventually('descriptors are given back', () => descriptors() <= before + 5);
}

test('more idle connections than there may be', async () => {
  const before = descriptors();
  const sockets = await dialMany(connectionsHere());
  for (const socket of sockets) socket.resume();
  await isServing();
  // It neither spins nor waits for what does not come.
  const ticks = cpuTicks();
  await once(AbortSignal.timeout(500), 'abort');
  assert.ok(cpuTicks() - ticks < 40, 'the daemon is idle');
  const made = await daemon.ok('run', '--rm', 'busybox', 'echo', 'alive');
  assert.equal(made, 'alive');
  if (sockets.length > 10_000) assert.match(daemon.log, /the connection that was idle longest was closed/);
  await drop(sockets, before);
});

test('a daemon that is out of descriptors goes on', async () => {
  const before = descriptors();
  const limit =
    /^Max open files\s+(\d+)/m.exec(readFileSync(`/proc/${daemon.pid}/limits`, 'utf8'))?.[1] ?? '';
  const kept = await dial(daemon.socket);
  limitDescriptors(String(before + 40));
  let sockets: Socket[] = [];
  try {
    sockets = await dialMany(200);
    for (const socket of sockets) socket.resume();
    const ticks = cpuTicks();
    await once(AbortSignal.timeout(500), 'abort');
    assert.ok(cpuTicks() - ticks < 40, 'the daemon does not spin');
    kept.write(PING);
    assert.equal(await firstLine(kept), 'HTTP/1.1 200 OK');
    assert.doesNotMatch(daemon.log, /uncaught exception/);
    const told = (): number => daemon.log.split('no descriptor is left').length - 1;
    await eventually('it says so', () => told() > 0);
    assert.equal(told(), 1, 'it says so, once');
  } finally {
    limitDescriptors(limit);
    kept.destroy();
  }
  await drop(sockets, before);
  await isServing();
});

test('hundreds of listeners to events that read nothing', async () => {
  const before = { descriptors: descriptors(), memory: residentMiB() };
  const sockets = await dialMany(300, 'GET /events HTTP/1.1\r\nHost: x\r\n\r\n');
  for (let i = 0; i < 30; i++) {
    await daemon.api('POST', '/volumes/create', { Name: `v${i}`, Labels: { x: 'y'.repeat(20_000) } });
    await daemon.api('DELETE', `/volumes/v${i}`);
  }
  await isServing();
  const growth = residentMiB() - before.memory;
  assert.ok(growth < GROWTH_MAX_MIB, `${growth} MiB more`);
  await drop(sockets, before.descriptors);
});

test('a flood of requests on one connection, behind one that is not answered', async () => {
  const memory = residentMiB();
  const socket = await dial(daemon.socket);
  socket.resume();
  socket.write(`POST /containers/${container}/wait HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n`);
  const flood = PING.repeat(1000);
  for (let i = 0; i < 200 && !socket.destroyed; i++) {
    if (!socket.write(flood))
      await Promise.race([once(socket, 'drain'), once(socket, 'close')]).catch(() => undefined);
  }
  await eventually('the connection is closed', () => socket.destroyed);
  await isServing();
  const growth = residentMiB() - memory;
  assert.ok(growth < GROWTH_MAX_MIB, `${growth} MiB more`);
});

test('a flood of requests whose answers nobody reads', async () => {
  const memory = residentMiB();
  const socket = await dial(daemon.socket);
  socket.pause();
  const flood = 'GET /info HTTP/1.1\r\nHost: x\r\n\r\n'.repeat(50);
  let isFull = false;
  for (let i = 0; i < 400 && !isFull && !socket.destroyed; i++) {
    if (socket.write(flood)) continue;
    isFull = await Promise.race([
      once(socket, 'drain').then(() => false),
      once(AbortSignal.timeout(1000), 'abort').then(() => true),
    ]).catch(() => true);
  }
  await isServing();
  const growth = residentMiB() - memory;
  assert.ok(growth < GROWTH_MAX_MIB, `${growth} MiB more`);
  socket.destroy();
});

test('many connections that ask as fast as they can', async () => {
  const before = descriptors();
  const sockets = await dialMany(300, PING.repeat(50));
  const answered = sockets.map((socket) => firstLine(socket));
  await isServing();
  for (const line of await Promise.all(answered)) assert.equal(line, 'HTTP/1.1 200 OK');
  await drop(sockets, before);
});

test('a body in pieces of one byte takes the room of its bytes', async () => {
  const memory = residentMiB();
  const head =
    'POST /containers/create HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n';
  const socket = await dial(daemon.socket);
  const answer = firstLine(socket);
  socket.write(head);
  const pieces = '1\r\n \r\n'.repeat(10_000);
  for (let i = 0; i < 40 && !socket.destroyed; i++) {
    if (!socket.write(pieces))
      await Promise.race([once(socket, 'drain'), once(socket, 'close')]).catch(() => undefined);
  }
  const growth = residentMiB() - memory;
  assert.ok(growth < GROWTH_MAX_MIB, `${growth} MiB more`);
  socket.write('1\r\n{\r\n0\r\n\r\n');
  assert.match(await answer, /^HTTP\/1\.1 400/);
  socket.destroy();
});

test('large bodies of many clients have a limit together', async () => {
  const before = { descriptors: descriptors(), memory: residentMiB() };
  const head = `POST /containers/create HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 8000000\r\n\r\n`;
  const sockets = await dialMany(40, head);
  const refused = sockets.map(async (socket) => await firstLine(socket));
  for (const socket of sockets) socket.write(Buffer.alloc(7_900_000, ' '));
  // All that are refused say so; the others wait for the end of their body.
  assert.match(await Promise.any(refused), /^HTTP\/1\.1 503/);
  await isServing();
  const growth = residentMiB() - before.memory;
  assert.ok(growth < 2 * GROWTH_MAX_MIB + 64, `${growth} MiB more`);
  for (const socket of sockets) socket.destroy();
  await Promise.allSettled(refused);
  await eventually('descriptors are given back', () => descriptors() <= before.descriptors + 5);
  // What was taken is given back with them.
  const body = JSON.stringify({ Labels: { x: 'y'.repeat(7_000_000) } });
  const request = `POST /volumes/create HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
  assert.notEqual(await statusOf(daemon.socket, request), 503);
});

test('uploads that break off and halves that close', async () => {
  const before = descriptors();
  const heads = [
    'POST /images/load HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-tar\r\nTransfer-Encoding: chunked\r\n\r\n1000\r\nxx',
    `PUT /containers/${container}/archive?path=/tmp HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n${'\0'.repeat(600)}`,
    'POST /build HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-tar\r\nContent-Length: 100000\r\n\r\nx',
    'POST /images/create?fromSrc=-&repo=broken HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\nx',
    'POST /volumes/v/import HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\nx',
    'POST /containers/create HTTP/1.1\r\nHost: x\r\nUpgrade: tcp\r\nConnection: Upgrade\r\nContent-Length: 100\r\n\r\n{',
  ];
  const sockets: Socket[] = [];
  for (const head of heads) {
    for (const end of ['destroy', 'end'] as const) {
      const socket = await dial(daemon.socket);
      socket.resume();
      socket.write(Buffer.from(head, 'latin1'), () => socket[end]());
      sockets.push(socket);
    }
  }
  await eventually('what breaks off is let go', () => descriptors() <= before + 5);
  for (const socket of sockets) socket.destroy();
  await isServing();
  assert.deepEqual(
    daemon.log.split('\n').filter((line) => /uncaught|unhandled/.test(line)),
    [],
  );
});
