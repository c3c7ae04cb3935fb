import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readdirSync, readlinkSync } from 'node:fs';
import { Server, Socket } from 'node:net';
import { mock, test } from 'node:test';
import { log } from '../base/log.ts';
import { ConnectionLimit } from './connection-limit.ts';

/** Of this process, that are open on the file of the spare one. */
function spares(): number {
  const links = readdirSync('/proc/self/fd').map((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`);
    } catch {
      // That of the folder.
      return '';
    }
  });
  return links.filter((link) => link === '/dev/null').length;
}

test('without a descriptor for it, a connection is accepted with the spare one, and closed', async () => {
  const warnings = mock.method(log, 'warn', () => undefined);
  const none = spares();
  const server = new Server();
  new ConnectionLimit(1 / 2, 1000).watch(server, false);
  assert.equal(spares(), none + 1);
  for (let i = 0; i < 3; i++) {
    server.emit('error', Object.assign(new Error('accept EMFILE'), { code: 'EMFILE' }));
    assert.equal(spares(), none, 'there is room for one');
    const socket = new Socket();
    server.emit('connection', socket);
    assert.ok(socket.destroyed);
    await once(socket, 'close');
    assert.equal(spares(), none + 1, 'there is a spare one again');
  }
  const messages = warnings.mock.calls.map(({ arguments: [, message] }) => message);
  assert.deepEqual(messages, ['a connection was not accepted'], 'it is told once');
  const socket = new Socket();
  server.emit('connection', socket);
  assert.ok(!socket.destroyed, 'the next one is served');
  socket.destroy();
  mock.restoreAll();
});
