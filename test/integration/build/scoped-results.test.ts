/**
 * What a RUN does depends on cache mounts, secrets and proxies, which are in no key of its result: what one scoped socket
 * made of them is not taken for the result of somebody else's build.
 */
import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { eventually } from '../command.ts';
import { type Daemon, daemonWithBusybox } from '../harness.ts';
import { TestSocket } from '../scoped-socket.ts';
import { type Built, classicBuild } from './classic-build.ts';

let daemon: Daemon;
let close: () => Promise<void>;
before(async () => {
  ({ daemon, close } = await daemonWithBusybox());
});
after(async () => await close());

const mount = '--mount=type=cache,id=planted,target=/c';
const first = { Dockerfile: `FROM busybox\nRUN ${mount} echo planted > /c/v\n` };
const Dockerfile = `FROM busybox\nCOPY f /f\nRUN ${mount} echo "by: $(cat /c/v)" | tee /by\n`;
const files = { Dockerfile, f: 'file' };

test('results of RUN stay with the socket that they were made on, files of COPY are shared', async () => {
  const [socket, other] = [
    await TestSocket.create(daemon, '--allow', 'images.build,ping'),
    await TestSocket.create(daemon, '--allow', 'images.build,ping'),
  ];
  try {
    const own = { socket: socket.path };
    await classicBuild(own, first);
    const planted = await classicBuild(own, files);
    assert.match(planted.output, /by: planted/, planted.error);
    const others = await classicBuild({ socket: other.path }, files);
    assert.match(others.output, /by: \n/, others.error);
    assert.match(others.output, /COPY f \/f\n ---> Using cache/);
    const again = await classicBuild(own, files);
    assert.match(again.output, /RUN .*\n ---> Using cache/, 'the socket has its own');
    assert.equal(again.id, planted.id);
  } finally {
    await socket.remove();
    await other.remove();
  }
});

test('no name of a cache mount leads to another socket’s, and none can keep another waiting', async () => {
  const [socket, other] = [
    await TestSocket.create(daemon, '--allow', 'images.build,ping'),
    await TestSocket.create(daemon, '--allow', 'images.build,ping'),
  ];
  try {
    const own = { socket: socket.path };
    const guest = { socket: other.path };
    const locked = '--mount=type=cache,id=theirs,sharing=locked,target=/c';
    const kept = await classicBuild(own, {
      Dockerfile: `FROM busybox\nRUN ${locked} echo precious > /c/v\n`,
    });
    assert.equal(kept.error, '', kept.output);
    // Of the daemon's own socket, of another socket: whatever the ID says.
    const ids = [
      'theirs',
      `${socket.path}\\0theirs`,
      `${socket.path}\0theirs`,
      `${socket.path}/theirs`,
      '../theirs',
    ];
    for (const who of [guest, daemon]) {
      for (const id of ids) {
        const mount = `--mount=type=cache,id=${id},target=/c`;
        const Dockerfile = `FROM busybox\nRUN ${mount} echo "found: $(cat /c/v 2>&1 | grep precious)."; echo poisoned > /c/v\n`;
        const { output, error } = await classicBuild(who, { Dockerfile }, 'nocache=1');
        assert.doesNotMatch(`${output}${error}`, /found: precious/, JSON.stringify(id));
      }
    }
    const folder = join(daemon.folder, 'holding');
    mkdirSync(folder);
    writeFileSync(
      join(folder, 'Dockerfile'),
      `FROM busybox\nRUN ${locked} echo it is $((1+1)) held; sleep 1000\n`,
    );
    const env = { MYDOCK_HOST: `unix://${other.path}` };
    const holding = daemon.live(['build', '--progress', 'plain', folder], { env });
    await eventually('it holds', async () => holding.stderr.includes('it is 2 held'));
    const read = await classicBuild(
      own,
      { Dockerfile: `FROM busybox\nRUN ${locked} cat /c/v\n` },
      'nocache=1',
    );
    assert.match(read.output, /^precious$/m, read.error);
    holding.child.kill('SIGTERM');
    await holding.ended;
  } finally {
    await socket.remove();
    await other.remove();
  }
});

test('limits of processes that a container could not have, a step cannot have', async () => {
  const socket = await TestSocket.create(daemon, '--allow', 'images.build,ping');
  try {
    const withLimit = (name: string): Promise<Built> =>
      classicBuild(
        { socket: socket.path },
        { Dockerfile: 'FROM busybox\nRUN ulimit -Sn\n' },
        `ulimits=${encodeURIComponent(JSON.stringify([{ Name: name, Soft: 90, Hard: 99 }]))}`,
      );
    assert.match(
      (await withLimit('rtprio')).error,
      /ulimit rtprio.* not allowed on socket|not allowed on socket.*ulimit rtprio/,
    );
    const allowed = await withLimit('nofile');
    assert.match(allowed.output, /^90$/m, allowed.error);
  } finally {
    await socket.remove();
  }
});
