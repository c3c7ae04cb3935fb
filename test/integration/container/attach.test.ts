/** Terminals and `attach`: sizes, detaching, attaching again, several at once, half-close, and the raw API upgrade. */
import assert from 'node:assert/strict';
import { connect, type Socket } from 'node:net';
import { after, before, test } from 'node:test';
import { eventually } from '../command.ts';
import { type Daemon, daemonWithBusybox } from '../harness.ts';

let daemon: Daemon;
let close: () => Promise<void>;
before(async () => {
  ({ daemon, close } = await daemonWithBusybox());
});
after(async () => await close());

test("-it is a terminal of the client's size, and its exit code comes back", async () => {
  const live = daemon.live(['run', '--rm', '-it', 'busybox'], { tty: true, size: [33, 99] });
  await live.sees(/[$#] /);
  live.type('stty size; tty; echo $TERM\n');
  await live.sees(/33 99\r\n\/dev\/(pts\/0|console)\r\nxterm/);
  live.type('exit 6\n');
  assert.equal((await live.ended).code, 6);
});

test('ctrl-p ctrl-q detaches and the container goes on; attach comes back to it', async () => {
  const live = daemon.live(['run', '-it', '--name', 'detachable', 'busybox'], { tty: true });
  await live.sees(/[$#] /);
  live.type('x=kept\n');
  await live.sees(/x=kept\r\n/);
  live.type('\x10\x11');
  assert.equal((await live.ended).code, 0);
  assert.equal(await daemon.inspect('detachable', '{{.State.Running}}'), 'true');
  const again = daemon.live(['attach', 'detachable'], { tty: true });
  again.type('echo still $x\n');
  await again.sees(/still kept/);
  again.type('exit 3\n');
  assert.equal((await again.ended).code, 3);
  await daemon.ok('rm', 'detachable');
});

test('the terminal is as it was before, also after a detach', async () => {
  const { stdout } = await daemon.mydock(['run', '--rm', '-it', 'busybox', 'true'], { tty: true });
  assert.equal(stdout.includes('Error'), false);
  const script = `stty -g > ${daemon.folder}/before; "$0" run --rm -it busybox stty raw; stty -g | cmp - ${daemon.folder}/before && echo same`;
  const { LiveCommand } = await import('../command.ts');
  const { CLIENT } = await import('../engine.ts');
  const env = {
    ...process.env,
    MYDOCK_HOST: `unix://${daemon.socket}`,
    DOCKER_HOST: `unix://${daemon.socket}`,
  };
  const live = new LiveCommand(['sh', '-c', script, CLIENT], { tty: true, env });
  await live.sees(/same/);
  await live.ended;
});

test('-t without a terminal on stdin is refused', async () => {
  await daemon.fails(
    1,
    /the input device is not a TTY|not a terminal/,
    'run',
    '--rm',
    '-it',
    'busybox',
    'true',
  );
});

test("attach sees what comes from now on, and ends with the container's exit code", async () => {
  await daemon.ok(
    'run',
    '-d',
    '-i',
    '--name',
    'reader',
    'busybox',
    'sh',
    '-c',
    'echo before; while read line; do [ "$line" = end ] && exit 8; echo "got $line"; done',
  );
  const live = daemon.live(['attach', 'reader']);
  live.type('one\n');
  await live.sees(/got one\n/);
  const second = daemon.live(['attach', '--no-stdin', 'reader']);
  await eventually('the second hears what the first types', async () => {
    live.type('two\n');
    return await second.sees(/got two\n/, 500).catch(() => false as const);
  });
  live.type('end\n');
  assert.equal((await live.ended).code, 8);
  assert.equal((await second.ended).code, 8);
  assert.doesNotMatch(live.stdout, /before/);
  await daemon.ok('rm', 'reader');
});

test('attach to a container that does not run', async () => {
  await daemon.ok('create', '--name', 'idle', 'busybox');
  await daemon.fails(1, /cannot attach to a stopped container, start it first/, 'attach', 'idle');
  await daemon.ok('rm', 'idle');
});

/** Sends a raw request head and collects everything the daemon sends until it closes. */
async function rawAttach(
  id: string,
  upgrade: boolean,
  stdin: string,
): Promise<{ head: string; body: Buffer }> {
  const path = `/v1.41/containers/${id}/attach?stream=1&stdin=1&stdout=1&stderr=1`;
  const upgradeHead = upgrade ? 'Connection: Upgrade\r\nUpgrade: tcp\r\n' : '';
  const socket: Socket = connect({ path: daemon.socket, allowHalfOpen: true });
  socket.write(`POST ${path} HTTP/1.1\r\nHost: d\r\n${upgradeHead}Content-Length: 0\r\n\r\n`);
  const parts: Buffer[] = [];
  const headArrived = new Promise<void>((resolve) => {
    socket.on('data', (part: Buffer) => {
      parts.push(part);
      if (Buffer.concat(parts).includes('\r\n\r\n')) resolve();
    });
  });
  await headArrived;
  await daemon.api('POST', `/v1.41/containers/${id}/start`);
  socket.end(stdin);
  await new Promise((resolve) => socket.once('end', resolve));
  socket.destroy();
  const all = Buffer.concat(parts);
  const end = all.indexOf('\r\n\r\n') + 4;
  return { head: all.toString('latin1', 0, end), body: all.subarray(end) };
}

for (const upgrade of [true, false]) {
  test(`the attach endpoint ${upgrade ? 'with' : 'without'} Upgrade: framed output, stdin's end is passed on`, async () => {
    const config = {
      Image: 'busybox',
      Cmd: ['sh', '-c', 'cat; echo err >&2'],
      OpenStdin: true,
      StdinOnce: true,
      AttachStdin: true,
    };
    const { Id: id } = (await daemon.api('POST', '/v1.41/containers/create', config)).json<{ Id: string }>();
    const { head, body } = await rawAttach(id, upgrade, 'through\n');
    assert.match(head, upgrade ? /^HTTP\/1\.1 101 / : /^HTTP\/1\.1 200 /);
    assert.match(head, /content-type: application\/vnd\.docker\.raw-stream/i);
    const frame = (stream: number, text: string): Buffer =>
      Buffer.concat([Buffer.from([stream, 0, 0, 0, 0, 0, 0, text.length]), Buffer.from(text)]);
    assert.deepEqual(body, Buffer.concat([frame(1, 'through\n'), frame(2, 'err\n')]));
    await daemon.ok('rm', '-f', id);
  });
}

test('input that a client sends before it has a stream is never run as a request', async () => {
  await daemon.ok('create', '-i', '--name', 'early', 'busybox', 'cat');
  const body = '{"Name":"smuggled"}';
  const request = (path: string, json: string): string =>
    `POST ${path} HTTP/1.1\r\nHost: d\r\nContent-Type: application/json\r\nContent-Length: ${json.length}\r\n\r\n${json}`;
  const socket = connect({ path: daemon.socket });
  const answered = new Promise<Buffer>((resolve) => socket.once('data', resolve));
  socket.write(
    request('/containers/early/attach?stream=1&stdin=1&stdout=1', '') + request('/volumes/create', body),
  );
  assert.match((await answered).toString(), /^HTTP\/1\.1 200 OK/);
  const pipelined = connect({ path: daemon.socket });
  pipelined.end(
    request('/volumes/create', '{"Name":"first"}') + request('/volumes/create', '{"Name":"last"}'),
  );
  const text = (await pipelined.toArray()).join('');
  assert.match(text, /"Name":"first"[\s\S]*"Name":"last"/);
  assert.equal((await daemon.api('GET', '/volumes/smuggled')).status, 404);
  socket.destroy();
  await daemon.ok('rm', 'early');
  await daemon.ok('volume', 'rm', 'first', 'last');
});
