import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { it } from 'node:test';
import { log } from '../base/log.ts';
import {
  COMMAND_TYPES,
  COMMAND_VERSIONS,
  EVENT_TYPES,
  encodeMessage,
  PROTOCOL_VERSION,
} from '../native/supervisor-protocol.ts';
import { Supervisor } from './supervisor.ts';

log.level = 'fatal';

const STATUS = { id: 'c'.repeat(64), pid: 1, state: 'running', startedAt: '', processes: [] };

/** A supervisor of another build, which says so in its status; `heard` has the types of what it was sent. */
async function meet(
  said: object,
  use: (supervisor: Supervisor, heard: number[]) => Promise<void>,
): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'mydock-supervisor-'));
  const heard: number[] = [];
  const clients: Socket[] = [];
  const server = createServer((client) => {
    clients.push(client);
    client.on('data', (chunk) => heard.push(chunk.readUInt32LE(0)));
    // An event of later builds comes first: it is passed over.
    client.write(encodeMessage(4711, { new: true }));
    client.write(encodeMessage(EVENT_TYPES.status, { ...STATUS, ...said, later: 1 }));
  });
  await new Promise<void>((resolve) => server.listen(join(folder, 's'), resolve));
  const known = Promise.withResolvers<void>();
  const supervisor = await Supervisor.connect(join(folder, 's'), {
    onEvent: ({ event }) => event === 'status' && known.resolve(),
    onClose: () => known.reject(new Error('the connection ended')),
  });
  assert.ok(supervisor !== undefined);
  try {
    await known.promise;
    await use(supervisor, heard);
  } finally {
    known.promise.catch(() => undefined);
    supervisor.disconnect();
    for (const client of clients) client.destroy();
    server.close();
    rmSync(folder, { recursive: true });
  }
}

async function ends(supervisor: Supervisor, heard: number[]): Promise<void> {
  supervisor.send('kill', { process: '', signal: 9, all: true });
  while (heard.length === 0) await new Promise((resolve) => setTimeout(resolve, 5));
  assert.deepEqual(heard, [COMMAND_TYPES.kill]);
}

it('no command is newer than the protocol', () => {
  for (const version of Object.values(COMMAND_VERSIONS)) assert.ok(version <= PROTOCOL_VERSION);
});

it('a supervisor of an older build is told what it knows, and can be ended', async () => {
  await meet({ version: 0 }, async (supervisor, heard) => {
    assert.throws(() => supervisor.send('startExec', { process: 'x' }), {
      name: 'Conflict',
      message: /supervisor is of an older mydock \(protocol 0, "startExec" needs 1\): restart the container/,
    });
    await ends(supervisor, heard);
  });
});

it('a supervisor of a newer build is driven while it lets this one, and can be ended', async () => {
  await meet({ version: PROTOCOL_VERSION + 5 }, async (supervisor, heard) => {
    supervisor.send('resize', { process: '', rows: 1, cols: 1 });
    while (heard.length === 0) await new Promise((resolve) => setTimeout(resolve, 5));
    assert.deepEqual(heard, [COMMAND_TYPES.resize]);
  });
  await meet({ version: PROTOCOL_VERSION + 5, oldest: PROTOCOL_VERSION + 1 }, async (supervisor, heard) => {
    assert.throws(() => supervisor.send('resize', { process: '', rows: 1, cols: 1 }), /of a newer mydock/);
    await ends(supervisor, heard);
  });
});
