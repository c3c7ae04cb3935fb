/** `Dockerfile.lock` through `POST /build`, and what makes the same image wherever and however it is built. */
import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { after, before, test } from 'node:test';
import { busyboxImage, busyboxLayer } from '../../fixtures/catalog.ts';
import { makeImage } from '../../fixtures/image.ts';
import type { Registry } from '../../fixtures/registry.ts';
import { makeTar } from '../../fixtures/tar.ts';
import { type Daemon, daemonWithRegistry } from '../harness.ts';
import { sendBytes } from '../security/attack.ts';

let daemon: Daemon;
let registry: Registry;
let close: () => Promise<void>;
let served = 'first';
const server = createServer((_, response) => response.end(served));
let address = '';

before(async () => {
  ({ daemon, registry, close } = await daemonWithRegistry());
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const at = server.address();
  address = `http://127.0.0.1:${typeof at === 'object' ? at?.port : 0}/file`;
});
after(async () => {
  server.close();
  await close();
});

interface Locked {
  /** The whole answer. */
  text: string;
  id: string;
  error: string;
  lock: string | undefined;
}

async function build(dockerfile: string, mode: string, content = '', query = ''): Promise<Locked> {
  const tar = makeTar([{ path: 'Dockerfile', data: dockerfile }]);
  const lock = `lock=${mode}&lockcontent=${encodeURIComponent(content)}`;
  const { status, text } = await sendBytes(daemon, 'POST', `/build?progress=status&${lock}&${query}`, tar);
  const lines = text.split('\n').filter((line) => line.trim() !== '');
  const messages = lines.map(
    (line) => JSON.parse(line) as { error?: string; aux?: { ID?: string; lock?: string } },
  );
  return {
    id: messages.map(({ aux }) => aux?.ID ?? '').join(''),
    error: messages.map(({ error = '' }) => error).join('') + (status === 200 ? '' : text),
    text,
    lock: messages.find(({ aux }) => aux?.lock !== undefined)?.aux?.lock,
  };
}

test('written by a build, obeyed by the next although names lead elsewhere, and never changed when frozen', async () => {
  const name = await registry.push('base', 'one', await busyboxImage());
  const dockerfile = `FROM ${name}\nADD ${address} /file\n`;
  const first = await build(dockerfile, 'update');
  assert.equal(first.error, '');
  assert.match(
    first.lock ?? '',
    new RegExp(`^version 1\\nhttp ${address} sha256:[0-9a-f]{64}\\nimage ${name} sha256:[0-9a-f]{64}\\n$`),
  );
  const moving = makeImage({ layers: [await busyboxLayer()], config: { Env: ['MOVED=1'] } });
  await registry.push('base', 'one', moving);
  const locked = await build(dockerfile, 'frozen', first.lock, 'pull=1');
  assert.equal(locked.error, '');
  assert.equal(locked.id, first.id);
  assert.equal(locked.lock, first.lock);
  const moved = await build(dockerfile, 'off', '', 'pull=1');
  assert.notEqual(moved.id, first.id);
  served = 'second';
  // The locked content is kept here; without it, what the server has now is refused.
  assert.equal((await build(dockerfile, 'frozen', first.lock, 'nocache=1')).id, first.id);
  await daemon.api('POST', '/build/prune?all=1');
  const changed = await build(dockerfile, 'frozen', first.lock, 'nocache=1');
  assert.match(changed.error, /sha256:/);
  assert.equal(changed.id, '');
});

test('what would change a frozen lock is named; what is no lock file, too', async () => {
  const { lock = '' } = await build('FROM busybox\nRUN true\n', 'update');
  assert.match(lock, /^version 1\nlocal docker\.io\/library\/busybox:latest sha256:[0-9a-f]{64}\n$/);
  const { text } = await build('FROM busybox\nRUN true\n', 'frozen', lock);
  assert.match(text, /load metadata for docker\.io\/library\/busybox:latest/);
  assert.doesNotMatch(text, /library\/sha256:/);
  const missing = await build(`FROM busybox\nADD ${address} /\n`, 'frozen', lock);
  assert.match(missing.error, new RegExp(`Dockerfile.lock would have to change: add "http ${address}`));
  const unused = await build('FROM scratch\nCOPY Dockerfile /\n', 'frozen', lock);
  assert.match(unused.error, /would have to change: remove line 2 "local docker\.io\/library\/busybox/);
  assert.equal((await build('FROM scratch\nCOPY Dockerfile /\n', 'update', lock)).lock, 'version 1\n');
  const broken = await build('FROM busybox\n', 'update', 'version 1\nimage x y\n');
  assert.match(broken.error, /Dockerfile\.lock line 2: invalid value .{1,2}y.{1,2}: expected sha256:/);
  const gone = lock.replace(/sha256:[0-9a-f]{64}/, `sha256:${'0'.repeat(64)}`);
  assert.match(
    (await build('FROM busybox\n', 'update', gone)).error,
    /Dockerfile\.lock line 2: busybox is locked to the image sha256:0{64}, which is not here/,
  );
});
