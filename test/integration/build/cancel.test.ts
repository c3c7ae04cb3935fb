/** Builds whose client goes away, at every kind of step: nothing goes on, and nothing but cache is left. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { type ClientRequest, request } from 'node:http';
import { createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { makeTar } from '../../fixtures/tar.ts';
import { eventually } from '../command.ts';
import { type Daemon, daemonWithBusybox } from '../harness.ts';
import { classicBuild } from './classic-build.ts';

let daemon: Daemon;
let close: () => Promise<void>;

before(async () => {
  ({ daemon, close } = await daemonWithBusybox());
});
after(async () => await close());

/** A build whose answer nobody reads to its end. `body` may be cut short by the caller. */
function begin(query = ''): ClientRequest {
  const headers = { 'content-type': 'application/x-tar' };
  const outgoing = request({ socketPath: daemon.socket, method: 'POST', path: `/build?${query}`, headers });
  outgoing.on('response', (response) => response.resume().on('error', () => {}));
  outgoing.on('error', () => {});
  return outgoing;
}

const context = (dockerfile: string): Buffer => makeTar([{ path: 'Dockerfile', data: dockerfile }]);

function isRunning(argument: string): boolean {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .some((pid) => {
      try {
        return readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0').includes(argument);
      } catch {
        return false;
      }
    });
}

/** What builds under way have on the disk, and their mounts. */
function leftovers(): string[] {
  const build = join(daemon.dataRoot, 'build');
  const mounts = readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .filter((line) => line.includes(`${build}/`));
  const folders = ['runs', 'trees'].flatMap((name) => {
    try {
      return readdirSync(join(build, name)).map((entry) => `${name}/${entry}`);
    } catch {
      return [];
    }
  });
  return [...mounts, ...folders];
}

const gone = (): Promise<unknown> => eventually('nothing is left', async () => leftovers().length === 0);

test('during RUN, several at a time', async () => {
  const build = begin();
  build.end(
    context(
      'FROM busybox AS one\nRUN sleep 987651\nFROM busybox AS two\nRUN trap "" TERM; sleep 987652\nFROM busybox\nCOPY --from=one / /1\nCOPY --from=two / /2\n',
    ),
  );
  await eventually('both steps run', async () => isRunning('987651') && isRunning('987652'));
  build.destroy();
  await eventually('no step runs', async () => !isRunning('987651') && !isRunning('987652'));
  await gone();
});

test('while the context is on its way', async () => {
  const build = begin();
  const whole = context('FROM busybox\nCOPY . /\n');
  build.flushHeaders();
  build.write(whole.subarray(0, 700));
  await eventually(
    'the context comes',
    async () => leftovers().length > 0 || (await daemon.api('GET', '/_ping')).status === 200,
  );
  build.destroy();
  await gone();
  assert.equal((await classicBuild(daemon, { Dockerfile: 'FROM busybox\nCOPY . /c/\n' })).error, '');
});

test('during a pull', async () => {
  const sockets: Socket[] = [];
  // A registry that takes what it is asked, and says nothing.
  const server = createServer((socket) => {
    sockets.push(socket.resume().on('error', () => {}));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  assert.ok(address !== null && typeof address === 'object');
  try {
    const build = begin();
    build.end(context(`FROM 127.0.0.1:${address.port}/silent/image\n`));
    await eventually('the registry is asked', async () => sockets.length > 0);
    build.destroy();
    await eventually('nobody waits for it', async () =>
      sockets.every((socket) => socket.destroyed || socket.readableEnded),
    );
    await gone();
  } finally {
    for (const socket of sockets) socket.destroy();
    server.close();
  }
});
