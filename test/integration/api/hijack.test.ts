/** The body of a request that takes its connection over stays out of the container's stdin, and stdin gets there. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { after, afterEach, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { frames } from '../../conformance/exchange.ts';
import { type Daemon, daemonWithBusybox } from '../harness.ts';

let daemon: Daemon;
let close: () => Promise<void>;

before(async () => {
  ({ daemon, close } = await daemonWithBusybox());
});
after(async () => await close());
afterEach(async () => await daemon.removeContainers());

/** Sends pieces one after another, then ends that half; returns the stream's payload. */
async function talk(pieces: readonly string[], pauseMs: number): Promise<{ head: string; output: string }> {
  const socket = connect({ path: daemon.socket, allowHalfOpen: true });
  const chunks: Buffer[] = [];
  socket.on('data', (chunk: Buffer) => chunks.push(chunk));
  await once(socket, 'connect');
  for (const piece of pieces) {
    socket.write(piece);
    if (pauseMs > 0) await sleep(pauseMs);
  }
  socket.end();
  await once(socket, 'end');
  const all = Buffer.concat(chunks);
  const end = all.indexOf('\r\n\r\n');
  const output = frames(all.subarray(end + 4)).map(({ text }) => text);
  return { head: all.toString('latin1', 0, end), output: output.join('') };
}

function head(path: string, body: string, upgrade: boolean): string {
  const lines = [
    `POST ${path} HTTP/1.1`,
    'Host: docker',
    'Content-Type: application/json',
    `Content-Length: ${body.length}`,
    ...(upgrade ? ['Connection: Upgrade', 'Upgrade: tcp'] : []),
  ];
  return `${lines.join('\r\n')}\r\n\r\n`;
}

const BODY = '{"Detach":false,"Tty":false}';

async function execPath(): Promise<string> {
  const id = await daemon.ok('run', '-d', '--stop-signal', 'KILL', 'busybox', 'sleep', '100000');
  const command = { AttachStdin: true, AttachStdout: true, AttachStderr: true, Cmd: ['cat'] };
  const exec = (await daemon.api('POST', `/containers/${id}/exec`, command)).json<{ Id: string }>().Id;
  return `/v1.51/exec/${exec}/start`;
}

async function attachPath(): Promise<string> {
  const body = { Image: 'busybox', Cmd: ['cat'], OpenStdin: true, StdinOnce: true, AttachStdin: true };
  const id = (await daemon.api('POST', '/containers/create', body)).json<{ Id: string }>().Id;
  await daemon.api('POST', `/containers/${id}/start`);
  return `/v1.51/containers/${id}/attach?stream=1&stdin=1&stdout=1`;
}

for (const [what, makePath] of Object.entries({ exec: execPath, attach: attachPath })) {
  test(`${what} with an upgrade: head, body and stdin in one piece`, async () => {
    const path = await makePath();
    const answer = await talk([`${head(path, BODY, true)}${BODY}typed\n`], 0);
    assert.match(answer.head, /^HTTP\/1\.1 101 /);
    assert.equal(answer.output, 'typed\n');
  });

  test(`${what} with an upgrade: in many pieces`, async () => {
    const path = await makePath();
    const pieces = [head(path, BODY, true), BODY.slice(0, 5), BODY.slice(5), 'one\n', 'two\n'];
    const answer = await talk(pieces, 50);
    assert.match(answer.head, /^HTTP\/1\.1 101 /);
    assert.equal(answer.output, 'one\ntwo\n');
  });

  test(`${what} without an upgrade: stdin after the head`, async () => {
    const path = await makePath();
    const answer = await talk([head(path, BODY, false), BODY, 'one\n', 'two\n'], 150);
    assert.match(answer.head, /^HTTP\/1\.1 200 /);
    assert.equal(answer.output, 'one\ntwo\n');
  });
}
