/**
 * What a RUN does depends on cache mounts, secrets and proxies, which are in no key of its result: what one scoped socket
 * made of them is not taken for the result of somebody else's build.
 */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { type Daemon, daemonWithBusybox } from '../harness.ts';
import { TestSocket } from '../scoped-socket.ts';
import { classicBuild } from './classic-build.ts';

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
