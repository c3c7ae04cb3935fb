/** What the supervisor does with log lines beyond its plain file: compression, journald, syslog. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, test } from 'node:test';
import { gunzipSync } from 'node:zlib';
import type { LogForward } from '../../src/native/supervisor-protocol.ts';
import { Container, type ContainerOptions } from './supervisor-harness.ts';

const cleanups: (() => void | Promise<void>)[] = [];

function container(options: ContainerOptions): Container {
  const made = new Container(options);
  cleanups.push(() => made.stop());
  return made;
}

afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

const shell = (script: string): string[] => ['/bin/busybox', 'sh', '-c', script];

const PLACE = {
  path: '',
  address: '127.0.0.1',
  port: 0,
  stream: true,
  blocking: true,
  maxQueueBytes: 4 << 20,
};
const SYSLOG = { ...PLACE, style: 'rfc5424micro', facility: 16, hostname: 'host', tag: 'app' } as const;

/** A TCP server and all that it was sent. */
async function receiver(
  port = 0,
): Promise<{ server: Server; port: number; text(): string; sockets: Socket[] }> {
  let text = '';
  const sockets: Socket[] = [];
  const server = createServer((socket) => {
    sockets.push(socket);
    socket.on('data', (chunk) => {
      text += chunk.toString();
    });
  });
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
  cleanups.push(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  const address = server.address();
  return { server, port: typeof address === 'object' ? (address?.port ?? 0) : 0, text: () => text, sockets };
}

async function until(what: string, holds: () => boolean): Promise<void> {
  const deadline = Date.now() + 60_000;
  while (!holds()) {
    if (Date.now() > deadline) throw new Error(`not within a minute: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

test('rotated files are compressed, nothing is lost, and headers name the inode', async () => {
  const made = container({
    args: shell('busybox seq 1 3000; sleep 1; busybox seq 3001 6000; sleep 1; echo end'),
    log: { maxBytes: 100_000, maxFiles: 6, compress: true },
  });
  await made.start();
  await made.control.next('exited');
  const path = made.config.log?.path ?? '';
  const packed = [5, 4, 3, 2, 1].filter((number) => existsSync(`${path}.${number}.gz`));
  assert.ok(packed.length >= 2, readdirSync(made.folder).join(' '));
  const texts = [5, 4, 3, 2, 1].flatMap((number) => {
    assert.ok(!(existsSync(`${path}.${number}`) && existsSync(`${path}.${number}.gz`)));
    if (existsSync(`${path}.${number}`)) return [readFileSync(`${path}.${number}`, 'utf8')];
    return existsSync(`${path}.${number}.gz`)
      ? [gunzipSync(readFileSync(`${path}.${number}.gz`)).toString()]
      : [];
  });
  texts.push(readFileSync(path, 'utf8'));
  const lines = texts.join('').trimEnd().split('\n');
  const logged = lines.map((line) => (JSON.parse(line) as { log: string }).log.trim());
  assert.deepEqual(logged, [...Array.from({ length: 6000 }, (_, index) => String(index + 1)), 'end']);
  assert.match(execFileSync('gzip', ['-lNv', `${path}.${packed[0]}.gz`]).toString(), /\b\d+$/m);
  assert.ok(!existsSync(`${path}.gz.tmp`));
});

test('lines go to a TCP syslog server, and to the file', async () => {
  const { port, text } = await receiver();
  const made = container({ args: shell('echo out; echo err >&2'), log: { forward: { ...SYSLOG, port } } });
  await made.start();
  await made.control.next('exited');
  await until('both lines', () => text().split('\n').length === 3);
  const line = (severity: number, what: string): RegExp =>
    new RegExp(
      `^<${16 * 8 + severity}>1 \\d{4}-\\d\\d-\\d\\dT[\\d:]{8}\\.\\d{6}Z host app \\d+ app - ${what}$`,
      'm',
    );
  assert.match(text(), line(6, 'out'));
  assert.match(text(), line(3, 'err'));
  assert.equal(made.log().length, 2);
});

test('a server that is away delays nothing, and gets what waited when it comes', async () => {
  const free = await receiver();
  const { port } = free;
  await new Promise((resolve) => free.server.close(resolve));
  const made = container({
    args: shell('echo early; sleep 3; echo late'),
    log: { forward: { ...SYSLOG, port } },
  });
  await made.start();
  await until('the first line', () => made.log().length === 1);
  const { text } = await receiver(port);
  await made.control.next('exited');
  await until('all lines', () => /- late\n/.test(text()));
  assert.match(text(), /- early\n[^\n]*- late\n$/);
});

test('a server that does not read slows a blocking container down, and no other', async () => {
  const { port, sockets, text } = await receiver();
  const flood = shell(
    'busybox yes 0123456789012345678901234567890123456789 | busybox head -n 400000; echo end',
  );
  const slow = container({ args: flood, log: { forward: { ...SYSLOG, port } } });
  await slow.start();
  await until('a connection', () => sockets.length === 1);
  sockets[0]?.pause();
  await new Promise((resolve) => setTimeout(resolve, 1500));
  assert.ok(
    slow.control.events.every(({ event }) => event !== 'exited'),
    'the container waits',
  );
  sockets[0]?.resume();
  await slow.control.next('exited');
  await until('every line', () => text().endsWith('- end\n'));
  assert.equal(text().split('\n').length - 1, 400_001);
  const forward = { ...SYSLOG, port, blocking: false, maxQueueBytes: 1 << 20 };
  const lossy = container({ args: flood, log: { forward, maxBytes: 1 << 20, maxFiles: 2 } });
  await lossy.start();
  await until('the next connection', () => sockets.length === 2);
  sockets[1]?.pause();
  await lossy.control.next('exited');
});

test('without the socket of the journal the container does not start', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'journal-'));
  const path = join(folder, 'socket');
  const forward: LogForward = {
    ...PLACE,
    path,
    stream: false,
    style: 'journald',
    fields: { CONTAINER_NAME: 'web', MULTI: 'a\nb' },
  };
  cleanups.push(() => rmSync(folder, { recursive: true }));
  const made = container({ args: shell('echo hello; echo oops >&2'), log: { path: null, forward } });
  await made.start().catch(() => undefined);
  const failed = await made.control.next('failed');
  assert.match(failed.message, /connect to .*journal-.*No such file or directory/);
});

test('a datagram has one line, for the journal with its fields, line ends and all', async () => {
  const socket = createSocket('udp4');
  const got: string[] = [];
  socket.on('message', (message) => got.push(message.toString()));
  await new Promise<void>((resolve) => socket.bind(0, '127.0.0.1', resolve));
  cleanups.push(() => {
    socket.close();
  });
  const { port } = socket.address();
  const forward: LogForward = { ...SYSLOG, port, stream: false, style: 'rfc3164' };
  const made = container({ args: shell('echo one; echo two'), log: { path: null, forward } });
  await made.start();
  await made.control.next('exited');
  await until('both', () => got.length === 2);
  assert.match(got[0] ?? '', /^<134>[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d host app\[\d+\]: one\n$/);
  const journal = container({
    args: shell('echo hello; echo oops >&2'),
    log: {
      path: null,
      forward: { ...PLACE, port, stream: false, style: 'journald', fields: { NAME: 'web', MULTI: 'a\nb' } },
    },
  });
  await journal.start();
  await journal.control.next('exited');
  await until('both entries', () => got.length === 4);
  const field = (name: string, value: string): string =>
    `${name}\n${String.fromCharCode(value.length)}${'\0'.repeat(7)}${value}\n`;
  for (const part of [
    field('MESSAGE', 'hello'),
    field('NAME', 'web'),
    field('MULTI', 'a\nb'),
    'PRIORITY=6\n',
  ])
    assert.ok(got[2]?.includes(part), JSON.stringify([part, got[2]]));
  assert.ok(got[3]?.includes('PRIORITY=3\n') && got[3].includes(field('MESSAGE', 'oops')));
});
