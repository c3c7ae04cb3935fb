/** `POST /build` beyond what it builds: folders that are proved, statuses as messages, quiet, networks, prune's event. */
import assert from 'node:assert/strict';
import { mkdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { makeTar } from '../../fixtures/tar.ts';
import { type Daemon, daemonWithBusybox } from '../harness.ts';
import { TestSocket } from '../scoped-socket.ts';
import { sendBytes } from '../security/attack.ts';
import { classicBuild } from './classic-build.ts';

let daemon: Daemon;
let close: () => Promise<void>;

before(async () => {
  ({ daemon, close } = await daemonWithBusybox());
});
after(async () => await close());

type Message = Record<string, unknown>;

const messagesOf = (text: string): Message[] =>
  text
    .split('\n')
    .filter((line) => line.trim() !== '')
    .map((line) => JSON.parse(line) as Message);

test('a folder is read in place only where the daemon sees the same one', async () => {
  const folder = join(daemon.folder, 'context');
  mkdirSync(folder);
  writeFileSync(join(folder, 'Dockerfile'), 'FROM busybox\nCOPY a.txt /a\n');
  writeFileSync(join(folder, 'a.txt'), 'in place\n');
  const { dev, ino } = statSync(folder, { bigint: true });
  const proof = (inode: bigint): string =>
    `/build?t=in-place&contextfolder=${encodeURIComponent(JSON.stringify({ path: folder, device: String(dev), inode: String(inode) }))}`;
  const refused = await sendBytes(daemon, 'POST', proof(ino + 1n));
  assert.equal(refused.status, 412, refused.text);
  const socket = await TestSocket.create(daemon, '--allow', 'images.build');
  try {
    // Whatever it may do, a scoped socket names no folders of the host.
    assert.equal((await sendBytes({ socket: socket.path }, 'POST', proof(ino))).status, 412);
  } finally {
    await socket.remove();
  }
  const built = await sendBytes(daemon, 'POST', proof(ino));
  assert.match(built.text, /Successfully tagged in-place:latest/);
  assert.equal(await daemon.ok('run', '--rm', '--network', 'none', 'in-place', 'cat', '/a'), 'in place');
});

const tar = (dockerfile: string): Buffer => makeTar([{ path: 'Dockerfile', data: dockerfile }]);

interface Vertex {
  digest: string;
  name: string;
  started?: string;
  completed?: string;
  cached?: boolean;
  error?: string;
}

interface Status {
  vertexes?: Vertex[];
  logs?: { vertex: string; data: string }[];
}

test('progress as statuses: each step is announced, begun and ended, and its output is its own', async () => {
  const { text } = await sendBytes(
    daemon,
    'POST',
    '/build?progress=status&t=told',
    tar('FROM busybox\nRUN echo words of a step\nENV A=b\n'),
  );
  const messages = messagesOf(text);
  const statuses = messages.filter(({ id }) => id === 'mydock.build.status').map(({ aux }) => aux as Status);
  const vertices = new Map<string, Vertex>();
  for (const vertex of statuses.flatMap((status) => status.vertexes ?? []))
    vertices.set(vertex.digest, vertex);
  assert.deepEqual(
    [...vertices.values()].map(({ name, completed }) => [name, completed !== undefined]),
    [...vertices.values()].map(({ name }) => [name, true]),
  );
  const step = [...vertices.values()].find(({ name }) => name === '[2/2] RUN echo words of a step');
  assert.ok(step !== undefined, text);
  const output = statuses
    .flatMap((status) => status.logs ?? [])
    .filter(({ vertex }) => vertex === step.digest)
    .map(({ data }) => Buffer.from(data, 'base64').toString())
    .join('');
  assert.equal(output, 'words of a step\n');
  assert.ok([...vertices.values()].some(({ name }) => name === 'exporting to image'));
  const id = messages
    .map(({ aux }) => (aux as { ID?: string } | undefined)?.ID)
    .find((one) => one !== undefined);
  assert.equal(await daemon.inspect('told', '{{.Id}}'), id);
  const last = messages.at(-1);
  assert.equal(last?.['id'], 'mydock.build.metadata');
  assert.equal(
    (last?.['aux'] as { metadata?: Record<string, string> } | undefined)?.metadata?.['image.name'],
    'docker.io/library/told:latest',
  );
  assert.ok(messages.every(({ stream }) => stream === undefined));
});

test('quiet: the ID and nothing else; all of it where the build fails', async () => {
  const quiet = await classicBuild(daemon, { Dockerfile: 'FROM busybox\nRUN echo unheard\n' }, 'q=1&t=quiet');
  assert.equal(quiet.output, `${await daemon.inspect('quiet', '{{.Id}}')}\n`);
  const failed = await classicBuild(daemon, { Dockerfile: 'FROM busybox\nRUN echo heard; false\n' }, 'q=1');
  assert.match(failed.output, /Step 2\/2 : RUN echo heard; false\n.*heard\n/s);
  assert.match(failed.error, /returned a non-zero code: 1/);
});

test('networks: the host is for builds that ask for it as a whole', async () => {
  const namespace = 'RUN readlink /proc/self/ns/net > /net\n';
  const alone = await classicBuild(daemon, { Dockerfile: `FROM busybox\n${namespace}` }, 't=own-net');
  assert.equal(alone.error, '', alone.output);
  const host = await classicBuild(
    daemon,
    { Dockerfile: `FROM busybox\n${namespace}` },
    't=host-net&networkmode=host',
  );
  assert.equal(host.error, '', host.output);
  const of = async (image: string): Promise<string> =>
    await daemon.ok('run', '--rm', '--network', 'none', image, 'cat', '/net');
  const { pid } = daemon;
  const hosts = await daemon.ok(
    'run',
    '--rm',
    '--network',
    'host',
    'busybox',
    'readlink',
    '/proc/self/ns/net',
  );
  assert.ok(pid > 0);
  assert.equal(await of('host-net'), hosts);
  assert.notEqual(await of('own-net'), hosts);
  const step = { Dockerfile: 'FROM busybox\nRUN --network=host true\n' };
  assert.match((await classicBuild(daemon, step)).error, /network\.host is not allowed/);
  const allowed = await classicBuild(daemon, step, 'networkmode=host');
  assert.equal(allowed.error, '', allowed.output);
});

test("pruning the cache is told, in Docker's form", async () => {
  const since = String(Math.floor(Date.now() / 1000));
  assert.equal((await daemon.api('POST', '/build/prune?all=1')).status, 200);
  const until = String(Math.floor(Date.now() / 1000) + 1);
  const filters = encodeURIComponent('{"type":["builder"]}');
  const { text } = await daemon.api('GET', `/events?since=${since}&until=${until}&filters=${filters}`);
  const [event] = messagesOf(text) as {
    Type: string;
    Action: string;
    Actor: { Attributes: { reclaimed: string } };
  }[];
  assert.deepEqual([event?.Type, event?.Action], ['builder', 'prune']);
  assert.match(event?.Actor.Attributes.reclaimed ?? '', /^\d+$/);
});
