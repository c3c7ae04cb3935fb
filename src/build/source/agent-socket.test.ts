import assert from 'node:assert/strict';
import { once } from 'node:events';
import { existsSync, statSync } from 'node:fs';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { Duplex } from 'node:stream';
import { after, test } from 'node:test';
import { openAgentSocket } from './agent-socket.ts';
import { FakeSession } from './testing/sources-fixture.ts';

/** The client's agent: says everything back. */
const agent: Server = createServer((socket) => socket.pipe(socket));
const path = join(tmpdir(), `mydock-test-agent-${process.pid}`);
after(() => agent.close());

class AgentSession extends FakeSession {
  connections = 0;

  override hasSshAgent(): Promise<boolean> {
    return Promise.resolve(true);
  }

  override async connectSshAgent(): Promise<Duplex> {
    this.connections++;
    if (this.connections > 1) throw new Error('the client is gone');
    const socket = connect(path);
    await once(socket, 'connect');
    return socket;
  }
}

async function ask(socket: Socket, text: string): Promise<string> {
  socket.write(text);
  const [answer] = (await once(socket, 'data')) as [Buffer];
  return answer.toString();
}

test("programs reach the client's agent, and nobody does afterwards", async () => {
  agent.listen(path);
  await once(agent, 'listening');
  const session = new AgentSession();
  const opened = await openAgentSocket(session, 'default');
  assert.ok(opened);
  assert.deepEqual(
    [statSync(opened.path).mode & 0o777, statSync(dirname(opened.path)).mode & 0o777],
    [0o600, 0o700],
  );
  const socket = connect(opened.path);
  assert.equal(await ask(socket, 'keys?'), 'keys?');
  // One that fails ends its own connection alone.
  const second = connect(opened.path);
  await once(second, 'close');
  assert.equal(await ask(socket, 'sign'), 'sign');
  const ended = once(socket, 'close');
  await opened.close();
  await ended;
  assert.equal(existsSync(dirname(opened.path)), false);
});

test('without a session, or an agent, there is no socket', async () => {
  assert.equal(await openAgentSocket(undefined, 'default'), undefined);
  assert.equal(await openAgentSocket(new FakeSession(), 'default'), undefined);
});
