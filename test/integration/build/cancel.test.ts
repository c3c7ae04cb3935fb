/**
 * Builds whose client goes away, at every kind of step, or is interrupted, whichever client it is: nothing goes on, and
 * nothing but cache is left.
 */
import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { type ClientRequest, request } from 'node:http';
import { createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { buildxPrograms } from '../../fixtures/compose.ts';
import { dockerProgram } from '../../fixtures/packages.ts';
import { makeTar } from '../../fixtures/tar.ts';
import { timeLimitMs } from '../../run/time-limit.ts';
import { eventually, LiveCommand } from '../command.ts';
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
  // Of the exec root: secrets and sockets of steps.
  const places = [join(build, 'runs'), join(build, 'trees'), join(daemon.execRoot, 'build')];
  const folders = places.flatMap((place) => {
    try {
      return readdirSync(place).map((entry) => join(place, entry));
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

/** An order of magnitude more than it takes, for machines that are busy with something else. */
const END_LIMIT_MS = timeLimitMs(5000);

describe('interrupted while two steps run that heed no signal', () => {
  let folder: string;
  let number = 987_660;
  before(() => {
    folder = join(daemon.folder, 'slow');
    mkdirSync(folder);
    writeFileSync(join(folder, 'secret'), 'x');
  });

  /** The steps are new ones each time; what precedes them is not. */
  function writeDockerfile(): [string, string] {
    const words: [string, string] = [String(number++), String(number++)];
    const mounts = '--mount=type=secret,id=token --mount=type=cache,target=/c --mount=type=tmpfs,target=/t';
    const step = (word: string): string =>
      `RUN ${mounts} trap "" TERM INT HUP; echo x > /file; (sleep ${word}); sleep ${word}`;
    const stages = words.map(
      (word, index) => `FROM busybox AS s${index}\nRUN echo before-${index} > /before\n${step(word)}\n`,
    );
    const last = 'FROM busybox\nCOPY --from=s0 /file /0\nCOPY --from=s1 /file /1\n';
    writeFileSync(join(folder, 'Dockerfile'), stages.join('') + last);
    return words;
  }

  /** Interrupts a build, and tells how long its steps went on. */
  async function interrupted(start: () => LiveCommand, stop: (live: LiveCommand) => void): Promise<number> {
    const words = writeDockerfile();
    const live = start();
    await eventually('both steps run', () => {
      if (live.child.exitCode !== null) throw new Error(`it ended: ${live.stdout}${live.stderr}`);
      return words.every(isRunning);
    });
    const from = performance.now();
    stop(live);
    await eventually('no step runs', () => !words.some(isRunning));
    const took = performance.now() - from;
    const { code } = await live.ended;
    assert.notEqual(code, 0);
    return took;
  }

  async function endsAtOnce(start: () => LiveCommand, stop: (live: LiveCommand) => void): Promise<void> {
    const images = await daemon.ok('images', '-aq');
    const took = await interrupted(start, stop);
    assert.ok(took < END_LIMIT_MS, `its steps went on for ${Math.round(took)} ms`);
    await gone();
    assert.equal(await daemon.ok('ps', '-aq'), '');
    assert.equal(await daemon.ok('images', '-aq'), images);
    await eventually('nothing is in use', async () => {
      const { BuildCache } = (await daemon.api('GET', '/system/df')).json<{
        BuildCache: { InUse: boolean; Type: string }[];
      }>();
      return BuildCache.every(({ InUse }) => !InUse) && BuildCache.some(({ Type }) => Type !== 'regular');
    });
  }

  const secret = (): string[] => ['--secret', `id=token,src=${join(folder, 'secret')}`];
  const own = (...flags: string[]): LiveCommand => daemon.live(['build', ...flags, folder]);
  const byDocker = (program: string, words: readonly string[], buildkit: '0' | '1'): LiveCommand => {
    const env = { ...process.env, HOME: daemon.home, DOCKER_HOST: `unix://${daemon.socket}` };
    return new LiveCommand([program, ...words, folder], { env: { ...env, DOCKER_BUILDKIT: buildkit } });
  };

  for (const signal of ['SIGINT', 'SIGTERM', 'SIGKILL'] as const) {
    test(`mydock build, by ${signal}`, async () => {
      await endsAtOnce(
        () => own(),
        ({ child }) => child.kill(signal),
      );
    });
  }

  test('mydock build with a session, by SIGINT', async () => {
    await endsAtOnce(
      () => own(...secret()),
      ({ child }) => child.kill('SIGINT'),
    );
  });

  test('mydock build on a terminal, by ^C: the cursor is there again', async () => {
    let shown: LiveCommand | undefined;
    const start = (): LiveCommand => {
      shown = daemon.live(['build', ...secret(), folder], { tty: true });
      return shown;
    };
    await endsAtOnce(start, (live) => live.type('\x03'));
    const { stdout } = shown ?? assert.fail('it was not started');
    assert.ok(stdout.lastIndexOf('\x1b[?25h') > stdout.lastIndexOf('\x1b[?25l'), JSON.stringify(stdout));
  });

  test('docker build, the classic builder, by SIGINT', async () => {
    const program = await dockerProgram();
    await endsAtOnce(
      () => byDocker(program, ['build'], '0'),
      ({ child }) => child.kill('SIGINT'),
    );
  });

  test('docker build with BuildKit, by SIGINT', async () => {
    const program = await dockerProgram();
    const words = ['build', '--progress', 'plain', ...secret()];
    await endsAtOnce(
      () => byDocker(program, words, '1'),
      ({ child }) => child.kill('SIGINT'),
    );
  });

  for (const [name, program] of buildxPrograms()) {
    for (const signal of ['SIGINT', 'SIGKILL'] as const) {
      test(`${name} build, by ${signal}`, async () => {
        const words = ['build', '--progress', 'plain', ...secret()];
        await endsAtOnce(
          () => byDocker(program, words, '1'),
          ({ child }) => child.kill(signal),
        );
      });
    }
  }

  test('a connection that is closed', async () => {
    const words = writeDockerfile();
    const build = begin();
    build.end(context(readFileSync(join(folder, 'Dockerfile'), 'utf8')));
    await eventually('both steps run', () => words.every(isRunning));
    const from = performance.now();
    build.destroy();
    await eventually('no step runs', () => !words.some(isRunning));
    assert.ok(performance.now() - from < END_LIMIT_MS);
    await gone();
  });
});
