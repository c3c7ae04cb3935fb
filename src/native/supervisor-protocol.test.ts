/** The protocol's bytes: every message as it stands in test/fixtures/protocol/, which the C side is tested on too. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import {
  COMMAND_TYPES,
  type Commands,
  EVENT_TYPES,
  EventDecoder,
  type Events,
  encodeMessage,
  PROTOCOL_CONTROL_FD,
  PROTOCOL_HEADER_BYTES,
  PROTOCOL_PAYLOAD_MAX,
  PROTOCOL_VERSION,
} from './supervisor-protocol.ts';

const root = join(import.meta.dirname, '../..');

function fixture(name: string): Buffer {
  return readFileSync(join(root, 'test/fixtures/protocol', `${name}.bin`));
}

const commands: { readonly [K in keyof Commands]: Commands[K] } = {
  start: {},
  kill: { process: '', signal: 15, all: false },
  resize: { process: '', rows: 24, cols: 80 },
  exec: {
    process: 'exec-1',
    spec: { terminal: false, user: { uid: 1000, gid: 1000 }, args: ['sh', '-c', 'echo "ä€😀"'], cwd: '/' },
    stdin: true,
  },
  startExec: { process: 'exec-1' },
  attach: {
    process: '',
    attachment: 7,
    stdin: true,
    stdout: true,
    stderr: false,
    framed: true,
    detachKeys: [16, 17],
    head: 'aGVhZAA=',
  },
  detach: { process: '', attachment: 7 },
};

const events: { readonly [K in keyof Events]: Events[K] } = {
  status: {
    version: 1,
    id: '0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef',
    pid: 4242,
    state: 'running',
    startedAt: '2026-11-20T23:59:18.123456789Z',
    processes: [{ process: 'exec-1', pid: 4343 }],
  },
  started: { process: '', pid: 4242, startedAt: '2026-11-20T23:59:18.123456789Z' },
  failed: {
    process: 'exec-1',
    exitCode: 127,
    step: 'exec',
    object: '/bin/ä"\\',
    errno: 'ENOENT',
    message: 'exec /bin/ä"\\: No such file or directory',
  },
  exited: {
    process: '',
    exitCode: 137,
    signal: 9,
    oomKilled: true,
    exitedAt: '2026-11-21T00:00:00.000000001Z',
  },
  detached: { process: '', attachment: 7, reason: 'detached' },
  oom: {},
  steps: {
    steps: [
      { label: 'launch/forked', process: 4242, atUs: 1795219158123456 },
      { label: 'init/filled', process: 1, atUs: 1795219158123999 },
    ],
  },
};

for (const [name, payload] of Object.entries(commands)) {
  test(`command ${name} has the fixture's bytes`, () => {
    assert.deepEqual(encodeMessage(COMMAND_TYPES[name as keyof Commands], payload), fixture(name));
  });
}

for (const [event, payload] of Object.entries(events)) {
  test(`event ${event} is decoded from the fixture, whole and byte by byte`, () => {
    const bytes = fixture(event);
    assert.deepEqual(new EventDecoder().push(bytes), [{ event, payload }]);
    const decoder = new EventDecoder();
    const messages = [...bytes].flatMap((byte) => decoder.push(Buffer.from([byte])));
    assert.deepEqual(messages, [{ event, payload }]);
    assert.deepEqual(encodeMessage(EVENT_TYPES[event as keyof Events], payload), bytes);
  });
}

test('several events in one chunk come out in order', () => {
  const bytes = Buffer.concat([fixture('status'), fixture('started'), fixture('exited')]);
  const names = new EventDecoder().push(bytes).map((message) => message.event);
  assert.deepEqual(names, ['status', 'started', 'exited']);
});

test('an event of an unknown type is skipped', () => {
  const bytes = Buffer.concat([encodeMessage(255, { news: true }), fixture('started')]);
  assert.deepEqual(
    new EventDecoder().push(bytes).map((message) => message.event),
    ['started'],
  );
});

test('a payload beyond the bound is refused on both ways', () => {
  const header = Buffer.alloc(PROTOCOL_HEADER_BYTES);
  header.writeUInt32LE(EVENT_TYPES.started, 0);
  header.writeUInt32LE(PROTOCOL_PAYLOAD_MAX + 1, 4);
  assert.throws(() => new EventDecoder().push(header), RangeError);
  assert.throws(() => encodeMessage(1, { text: 'x'.repeat(PROTOCOL_PAYLOAD_MAX) }), RangeError);
});

test('the numbers are those of protocol.h', () => {
  const header = readFileSync(join(root, 'native/common/protocol.h'), 'utf8');
  const numbers = new Map<string, number>();
  for (const [, name, value] of header.matchAll(/^\s+PROTOCOL_([A-Z_]+) = (\d+),/gm)) {
    if (name !== undefined) numbers.set(name, Number(value));
  }
  const expected = Object.entries({ ...COMMAND_TYPES, ...EVENT_TYPES }).map(
    ([name, type]): [string, number] => [
      name.replace(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase(),
      type,
    ],
  );
  assert.deepEqual([...numbers], expected);
  assert.match(header, new RegExp(`PROTOCOL_VERSION ${PROTOCOL_VERSION}\n`));
  assert.match(header, new RegExp(`PROTOCOL_HEADER_BYTES ${PROTOCOL_HEADER_BYTES}\n`));
  assert.match(header, new RegExp(`PROTOCOL_CONTROL_FD ${PROTOCOL_CONTROL_FD}\n`));
  assert.match(header, /PROTOCOL_PAYLOAD_MAX \(1024 \* 1024\)\n/);
  assert.equal(PROTOCOL_PAYLOAD_MAX, 1024 * 1024);
});
