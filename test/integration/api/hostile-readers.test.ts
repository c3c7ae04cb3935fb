/**
 * Clients that ask for much and read nothing of it: what waits for them in the daemon and in supervisors has bounds, others
 * are served, and all of it is given back when they go.
 */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import type { Socket } from 'node:net';
import { after, afterEach, before, beforeEach, test } from 'node:test';
import { tarOf } from '../../soak/tar.ts';
import { eventually } from '../command.ts';
import { type Daemon, daemonWithBusybox } from '../harness.ts';
import { dial } from './hostile-exchange.ts';

const MIB = 1024 * 1024;
/** What no limit would let grow without end grows by hundreds. */
const DAEMON_GROWTH_MAX_MIB = 200;
const SUPERVISOR_MAX_MIB = 8;
/** Much more than sockets hold, and the log. */
const FOLLOWED_BYTES = 20 * MIB;
/** More than the bound: what a build says is kept for its client up to a limit. */
const SAID_MIB = 400;
const LARGE_MIB = 400;
const LINE = 'what nobody reads '.repeat(100);

let daemon: Daemon;
let close: () => Promise<void>;
let pid: string;
let before_: { descriptors: number; memory: number };
/** Of the test that runs; closed behind it, however it ends. */
const held: Socket[] = [];

const descriptors = (): number => readdirSync(`/proc/${daemon.pid}/fd`).length;

function residentMiB(of: number | string): number {
  const kib = /^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${of}/status`, 'utf8'))?.[1];
  return Number(kib) / 1024;
}

function writtenBytes(): number {
  return Number(/^wchar: (\d+)/m.exec(readFileSync(`/proc/${pid}/io`, 'utf8'))?.[1]);
}

function parentOf(process: string): string {
  const parent = /^PPid:\s+(\d+)/m.exec(readFileSync(`/proc/${process}/status`, 'utf8'))?.[1];
  assert.ok(parent !== undefined && parent !== '0');
  return parent;
}

before(async () => {
  ({ daemon, close } = await daemonWithBusybox());
  await daemon.ok(
    'run',
    '-d',
    '--name',
    'talker',
    '--log-opt',
    'max-size=1m',
    '--stop-signal',
    'KILL',
    'busybox',
    'yes',
    LINE,
  );
  pid = await daemon.inspect('talker', '{{.State.Pid}}');
  // It must not take a processor from what is tested.
  await daemon.ok('pause', 'talker');
});
after(async () => await close());
beforeEach(() => {
  before_ = { descriptors: descriptors(), memory: residentMiB(daemon.pid) };
});
afterEach(async () => {
  for (const socket of held.splice(0)) socket.destroy();
  // Where the test has failed in between; it is paused already where it has not.
  await daemon.api('POST', '/containers/talker/pause');
  await eventually('descriptors are given back', () => descriptors() <= before_.descriptors + 3);
});

async function connection(): Promise<Socket> {
  const socket = await dial(daemon.socket);
  held.push(socket);
  return socket;
}

/** Asks, and reads nothing. */
async function ask(request: string | Buffer): Promise<Socket> {
  const socket = await connection();
  socket.pause();
  socket.write(request);
  return socket;
}

async function assertBounded(): Promise<void> {
  assert.equal((await daemon.api('GET', '/containers/talker/json')).status, 200);
  const growth = residentMiB(daemon.pid) - before_.memory;
  assert.ok(growth < DAEMON_GROWTH_MAX_MIB, `the daemon has ${growth} MiB more`);
}

test('a log that is followed by somebody who does not read', async () => {
  await Promise.all(
    Array.from({ length: 5 }, () =>
      ask('GET /containers/talker/logs?stdout=1&follow=1 HTTP/1.1\r\nHost: x\r\n\r\n'),
    ),
  );
  const from = writtenBytes();
  await daemon.ok('unpause', 'talker');
  await eventually('the container writes on', () => writtenBytes() > from + FOLLOWED_BYTES);
  await daemon.ok('pause', 'talker');
  await assertBounded();
});

test('an attachment that does not read holds the container up, and nobody else', async () => {
  const supervisor = parentOf(pid);
  const socket = await ask(
    'POST /containers/talker/attach?stream=1&stdout=1 HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n',
  );
  await daemon.ok('unpause', 'talker');
  let before = -1;
  await eventually('the container waits for it', () => {
    const now = writtenBytes();
    const waits = now === before;
    before = now;
    return waits;
  });
  assert.ok(residentMiB(supervisor) < SUPERVISOR_MAX_MIB, `${residentMiB(supervisor)} MiB`);
  await assertBounded();
  assert.equal(await daemon.ok('run', '--rm', 'busybox', 'echo', 'served'), 'served');
  socket.destroy();
  await eventually('it goes on', () => writtenBytes() > before + MIB);
  await daemon.ok('pause', 'talker');
});

test('an export that nobody reads', async () => {
  await daemon.ok(
    'run',
    '--name',
    'large',
    'busybox',
    'dd',
    'if=/dev/zero',
    'of=/file',
    'bs=1M',
    `count=${LARGE_MIB}`,
  );
  await ask('GET /containers/large/export HTTP/1.1\r\nHost: x\r\n\r\n');
  // Whatever it takes has been taken by the time that another one has all of it.
  const whole = await connection();
  whole.write('GET /containers/large/export HTTP/1.0\r\nHost: x\r\n\r\n');
  let bytes = 0;
  for await (const piece of whole) bytes += (piece as Buffer).length;
  assert.ok(bytes > LARGE_MIB * MIB, `${bytes} bytes`);
  await assertBounded();
  await daemon.ok('rm', '-f', 'large');
});

test('a build whose output nobody reads ends', async () => {
  const Dockerfile = `FROM busybox\nRUN yes '${LINE}' | head -c ${SAID_MIB * MIB}\n`;
  const context = tarOf({ Dockerfile });
  const head = `POST /build?nocache=1 HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-tar\r\nContent-Length: ${context.length}\r\n\r\n`;
  await ask(Buffer.concat([Buffer.from(head), context]));
  await eventually('the build runs', () => descriptors() > before_.descriptors + 1);
  await eventually('its connection is closed', () => descriptors() <= before_.descriptors + 1);
  await assertBounded();
});
