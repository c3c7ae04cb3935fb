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

const Dockerfile = 'FROM busybox\nCOPY f /f\nRUN echo "by $http_proxy"; echo "$http_proxy" > /by\n';
const files = { Dockerfile, f: 'file' };

test('results of RUN stay with the socket that they were made on, files of COPY are shared', async () => {
  const socket = await TestSocket.create(daemon, '--allow', 'images.build,images.inspect,ping');
  try {
    const own = { socket: socket.path };
    const proxy = `buildargs=${encodeURIComponent(JSON.stringify({ http_proxy: 'http://planted.invalid' }))}`;
    const planted = await classicBuild(own, files, proxy);
    assert.match(planted.output, /by http:\/\/planted/, planted.error);
    const others = await classicBuild(daemon, files);
    assert.match(others.output, /by \n/, others.error);
    assert.match(others.output, /COPY f \/f\n ---> Using cache/);
    const again = await classicBuild(own, files);
    assert.match(again.output, /RUN echo .*\n ---> Using cache/, 'the socket has its own');
    assert.equal(again.id, planted.id);
  } finally {
    await socket.remove();
  }
});
