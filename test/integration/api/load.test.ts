/**
 * The daemon under many clients: a CI runner's load for some seconds, clients that vanish, a thousand connections of
 * which half are stalled. Times are compared with the same machine's unloaded times, generously: other tests run beside.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { after, afterEach, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { eventually } from '../command.ts';
import { type Daemon, daemonWithBusybox } from '../harness.ts';

const CLIENTS = 8;
const LOAD_MS = 8000;
const CONNECTIONS = 1000;

let daemon: Daemon;
let close: () => Promise<void>;

before(async () => {
  ({ daemon, close } = await daemonWithBusybox());
});
after(async () => await close());
afterEach(async () => await daemon.removeContainers());

const descriptors = (): number => readdirSync(`/proc/${daemon.pid}/fd`).length;

function residentMiB(): number {
  const pages = /^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${daemon.pid}/status`, 'utf8'))?.[1];
  return Number(pages) / 1024;
}

/** One job of a CI runner: create, wait, start, exec, logs, list, remove. Fails at the first wrong answer. */
async function job(client: number, round: number): Promise<void> {
  const code = (client * 7 + round) % 100;
  const api = async (status: number, method: string, path: string, body?: unknown): Promise<string> => {
    const answer = await daemon.api(method, path, body);
    assert.equal(answer.status, status, `${method} ${path}: ${answer.text}`);
    return answer.text;
  };
  const name = `job-${client}-${round}`;
  const command = ['sh', '-c', `echo from ${name}; read x; exit ${code}`];
  const body = {
    Image: 'busybox',
    Cmd: command,
    OpenStdin: true,
    HostConfig: { NetworkMode: round % 2 ? 'none' : 'bridge' },
  };
  const { Id } = JSON.parse(await api(201, 'POST', `/containers/create?name=${name}`, body)) as {
    Id: string;
  };
  const waiting = daemon.api('POST', `/containers/${Id}/wait?condition=next-exit`);
  await api(204, 'POST', `/containers/${Id}/start`);
  const exec = JSON.parse(
    await api(201, 'POST', `/containers/${Id}/exec`, { Cmd: ['echo', name], AttachStdout: true }),
  ) as { Id: string };
  assert.ok((await api(200, 'POST', `/exec/${exec.Id}/start`, {})).endsWith(`${name}\n`));
  assert.equal(
    (JSON.parse(await api(200, 'GET', `/exec/${exec.Id}/json`)) as { ExitCode: number }).ExitCode,
    0,
  );
  assert.ok((await api(200, 'GET', '/containers/json')).includes(Id));
  await api(204, 'POST', `/containers/${Id}/kill?signal=KILL`);
  assert.equal((await waiting).json<{ StatusCode: number }>().StatusCode, 137);
  assert.ok((await api(200, 'GET', `/containers/${Id}/logs?stdout=1`)).endsWith(`from ${name}\n`));
  await api(204, 'DELETE', `/containers/${Id}`);
}

test('eight clients at once, as a CI runner drives it', async () => {
  await job(99, 0);
  const before = { descriptors: descriptors(), memory: residentMiB() };
  const end = performance.now() + LOAD_MS;
  const rounds = await Promise.all(
    Array.from({ length: CLIENTS }, async (_, client) => {
      let round = 0;
      while (performance.now() < end) await job(client, round++);
      return round;
    }),
  );
  assert.ok(
    rounds.every((count) => count > 0),
    `every client got its turn: ${rounds}`,
  );
  await eventually('descriptors are given back', () => descriptors() <= before.descriptors + 5);
  assert.ok(residentMiB() < before.memory + 150, `${before.memory} MiB before, ${residentMiB()} MiB after`);
});

async function dial(): Promise<Socket> {
  const socket = connect(daemon.socket);
  socket.on('error', () => {});
  await once(socket, 'connect');
  return socket;
}

test('clients that disconnect free all they held', async () => {
  const body = { Image: 'busybox', OpenStdin: true, Cmd: ['cat'], StopSignal: 'SIGKILL' };
  const { Id } = (await daemon.api('POST', '/containers/create', body)).json<{ Id: string }>();
  await daemon.api('POST', `/containers/${Id}/start`);
  const requests = [
    `GET /containers/${Id}/logs?follow=1&stdout=1 HTTP/1.1\r\nHost: x\r\n\r\n`,
    'GET /events HTTP/1.1\r\nHost: x\r\n\r\n',
    `POST /containers/${Id}/wait HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n`,
    `POST /containers/${Id}/attach?stream=1&stdout=1 HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n`,
    `GET /containers/${Id}/stats HTTP/1.1\r\nHost: x\r\n\r\n`,
    'POST /containers/create HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{',
    'GET /containers/js',
  ];
  const supervisor = (): number => {
    // The connections of attached clients are the supervisor's.
    const pid = readdirSync('/proc').find((name) => {
      if (!/^\d+$/.test(name)) return false;
      try {
        return readFileSync(`/proc/${name}/cmdline`, 'utf8').includes(Id);
      } catch {
        // A process that has gone meanwhile.
        return false;
      }
    });
    return pid === undefined ? 0 : readdirSync(`/proc/${pid}/fd`).length;
  };
  const hold = async (times: number): Promise<void> => {
    const sockets: Socket[] = [];
    for (let i = 0; i < times; i++) {
      for (const text of requests) {
        const socket = await dial();
        socket.write(text);
        sockets.push(socket);
      }
    }
    await sleep(500);
    for (const socket of sockets) socket.destroy();
  };
  await hold(1);
  await sleep(500);
  const before = { daemon: descriptors(), supervisor: supervisor() };
  await hold(30);
  const after = (): object => ({ daemon: descriptors(), supervisor: supervisor() });
  await eventually(
    'descriptors are given back',
    () => descriptors() <= before.daemon + 3 && supervisor() <= before.supervisor + 3,
  ).catch((error: Error) => {
    throw new Error(`${error.message}: ${JSON.stringify({ before, after: after() })}`);
  });
});

/** Milliseconds of `GET /containers/json`, one after another on one connection, sorted. */
async function listTimes(times: number): Promise<number[]> {
  const found: number[] = [];
  for (let i = 0; i < times; i++) {
    const startedAt = performance.now();
    assert.equal((await daemon.api('GET', '/containers/json')).status, 200);
    found.push(performance.now() - startedAt);
  }
  return found.toSorted((a, b) => a - b);
}

const median = (sorted: readonly number[]): number => sorted[Math.floor(sorted.length / 2)] ?? 0;

test('a thousand connections, half of them stalled, do not hold up the list', async () => {
  const body = {
    Image: 'busybox',
    Cmd: ['sleep', '100000'],
    StopSignal: 'SIGKILL',
    HostConfig: { NetworkMode: 'none' },
  };
  const { Id } = (await daemon.api('POST', '/containers/create', body)).json<{ Id: string }>();
  await daemon.api('POST', `/containers/${Id}/start`);
  await listTimes(20);
  const alone = median(await listTimes(50));
  const sockets = await Promise.all(Array.from({ length: CONNECTIONS }, dial));
  let answers = 0;
  for (const [i, socket] of sockets.entries()) {
    if (i % 2 === 0) {
      // Stalled in its head, in its body, or by reading nothing of what it asked for.
      const stalls = [
        'GET /containers/js',
        'POST /containers/create HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{',
        'GET /events HTTP/1.1\r\nHost: x\r\n\r\n',
      ];
      socket.write(stalls[(i / 2) % stalls.length] ?? '');
    } else {
      socket.on('data', () => {
        answers += 1;
      });
      socket.write('GET /containers/json HTTP/1.1\r\nHost: x\r\n\r\n');
    }
  }
  await eventually('every living client is answered', () => answers >= CONNECTIONS / 2);
  // The living ones go on asking, ten of them at every moment, while the list is timed.
  let asking = true;
  const busy = sockets.filter((_, i) => i % 2 === 1).slice(0, 10);
  const load = busy.map(async (socket) => {
    while (asking) {
      socket.write('GET /containers/json HTTP/1.1\r\nHost: x\r\n\r\n');
      await once(socket, 'data');
    }
  });
  const loaded = median(await listTimes(100));
  asking = false;
  await Promise.all(load);
  for (const socket of sockets) socket.destroy();
  const limit = Math.max(50, alone * 20);
  assert.ok(loaded < limit, `median ${loaded.toFixed(1)} ms, ${alone.toFixed(1)} ms without load`);
});
