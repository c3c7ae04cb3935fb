/** Commands in containers while no daemon runs: how they end is known to the next one, and their clients see all of it. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { after, before, test } from 'node:test';
import { eventually } from '../command.ts';
import { TESTING_DOCKER } from '../engine.ts';
import { type Daemon, daemonWithBusybox } from '../harness.ts';

const skip = TESTING_DOCKER && 'about mydockd';

let daemon: Daemon;
let close: () => Promise<void>;
before(async () => {
  ({ daemon, close } = await daemonWithBusybox());
});
after(async () => await close());

interface ExecState {
  Running: boolean;
  ExitCode: number | null;
  Pid: number;
  ProcessConfig: { arguments: string[] };
}

async function declare(...cmd: string[]): Promise<string> {
  const answer = await daemon.api('POST', '/containers/holder/exec', { Cmd: cmd, AttachStdout: true });
  assert.equal(answer.status, 201);
  return answer.json<{ Id: string }>().Id;
}

async function stateOf(id: string): Promise<ExecState> {
  const answer = await daemon.api('GET', `/exec/${id}/json`);
  assert.equal(answer.status, 200, `exec ${id}`);
  return answer.json<ExecState>();
}

/** Starts a declared command with a client that reads its output. */
function attached(id: string): { socket: Socket; text(): string } {
  const socket = connect(daemon.socket);
  let heard = '';
  socket.on('error', () => undefined);
  socket.on('data', (piece: Buffer) => {
    heard += piece.toString('latin1');
  });
  const head = 'Host: x\r\nContent-Type: application/json\r\nContent-Length: 12';
  socket.write(`POST /exec/${id}/start HTTP/1.1\r\n${head}\r\n\r\n{"Tty":true}`);
  return { socket, text: () => heard };
}

for (const signal of ['SIGKILL', 'SIGTERM'] as const) {
  test(`commands that end while there is no daemon, after ${signal}`, { skip }, async () => {
    await daemon.ok('run', '-d', '--name', 'holder', 'busybox', 'sleep', '1000');
    const loop = 'echo begun; until test -e /$0; do usleep 20000; done; echo last words; exit $1';
    const ids: string[] = [];
    for (const code of ['6', '0', '255']) ids.push(await declare('sh', '-c', loop, 'go', code));
    const later = await declare('sh', '-c', loop, 'later', '9');
    const unused = await declare('sh', '-c', 'exit 4');
    const clients = [...ids, later].map(attached);
    await eventually('they run', () => clients.every(({ text }) => text().includes('begun')));
    const root = `/proc/${await daemon.inspect('holder', '{{.State.Pid}}')}/root`;
    await daemon.stop(signal);
    writeFileSync(`${root}/go`, '');
    await eventually('the clients see the end', () =>
      clients.slice(0, 3).every(({ socket }) => socket.closed),
    );
    for (const { text } of clients.slice(0, 3)) assert.match(text(), /last words/);
    await daemon.launch();
    const states = await Promise.all(ids.map(stateOf));
    assert.deepEqual(
      states.map(({ Running, ExitCode }) => [Running, ExitCode]),
      [
        [false, 6],
        [false, 0],
        [false, 255],
      ],
    );
    assert.deepEqual(states[0]?.ProcessConfig.arguments, ['-c', loop, 'go', '6']);
    const running = await stateOf(later);
    assert.ok(running.Running && running.Pid > 0);
    writeFileSync(`${root}/later`, '');
    await eventually('the last one ends', async () => (await stateOf(later)).ExitCode === 9);
    await eventually('its client sees it', () => clients[3]?.socket.closed === true);
    // Declared before, started now.
    assert.equal((await stateOf(unused)).ExitCode, null);
    assert.equal((await daemon.api('POST', `/exec/${unused}/start`, { Detach: true })).status, 200);
    await eventually('it ends', async () => (await stateOf(unused)).ExitCode === 4);
    // A second daemon finds what the first one was told.
    await daemon.stop('SIGKILL');
    await daemon.launch();
    for (const [index, id] of ids.entries())
      assert.equal((await stateOf(id)).ExitCode, states[index]?.ExitCode);
    await daemon.ok('rm', '-f', 'holder');
  });
}
