/**
 * `POST /build` of clients that open a session beside it (`session=`), with Docker's classic text (`version=1`) and with
 * BuildKit's progress (`version=2`): credentials of private registries and secrets come from there. And contexts that the
 * daemon fetches (`remote=`) from git.
 */
import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { type IncomingMessage, request } from 'node:http';
import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import { after, before, test } from 'node:test';
import type { DescMethod } from '@bufbuild/protobuf';
import { Auth } from '../../../src/api/buildkit/filesync_pb.ts';
import { Secrets } from '../../../src/api/buildkit/secrets_pb.ts';
import { pathOf } from '../../../src/api/grpc/channel.ts';
import { GrpcServices } from '../../../src/api/grpc/server.ts';
import { GrpcError } from '../../../src/api/grpc/status.ts';
import { GitServer, git, hasGit, served } from '../../../src/build/source/testing/git-server.ts';
import { busyboxImage } from '../../fixtures/catalog.ts';
import { REGISTRY_PASSWORD, REGISTRY_USER, type Registry, startRegistry } from '../../fixtures/registry.ts';
import { eventually } from '../command.ts';
import { type Daemon, daemonWithBusybox } from '../harness.ts';
import { TestSocket } from '../scoped-socket.ts';
import { type Built, classicBuild } from './classic-build.ts';

let daemon: Daemon;
let close: () => Promise<void>;
let locked: Registry;
let base = '';
let count = 0;
const asked: string[] = [];

before(async () => {
  ({ daemon, close } = await daemonWithBusybox());
  locked = await startRegistry({ password: true });
  base = await locked.push('private/base', 'v1', await busyboxImage());
});
after(async () => {
  await locked.stop();
  await close();
});

const client = new GrpcServices()
  .unary(Auth.method.credentials, async ({ host }) => {
    asked.push(host);
    return host === locked.host ? { username: REGISTRY_USER, secret: REGISTRY_PASSWORD } : {};
  })
  .unary(Secrets.method.getSecret, async ({ id }) => {
    if (id === 'token') return { data: Buffer.from('12345') };
    throw new GrpcError('NotFound', `no secret ${id}`);
  });
const METHODS: readonly DescMethod[] = [Auth.method.credentials, Secrets.method.getSecret];

/** As clients open one: an upgraded request, on which they are the server. */
async function openSession(socketPath: string): Promise<{ id: string; close(): void }> {
  const id = `session-${count++}`;
  const outgoing = request({
    socketPath,
    method: 'POST',
    path: '/session',
    headers: {
      Connection: 'Upgrade',
      Upgrade: 'h2c',
      'X-Docker-Expose-Session-Uuid': id,
      'X-Docker-Expose-Session-Grpc-Method': METHODS.map(pathOf),
    },
  });
  const connection = await new Promise<Duplex>((resolve, reject) => {
    outgoing.once('upgrade', (_: IncomingMessage, socket, head) => {
      if (head.length > 0) socket.unshift(head);
      resolve(socket);
    });
    outgoing.once('response', ({ statusCode }) => reject(new Error(`/session answers ${statusCode}`)));
    outgoing.once('error', reject);
    outgoing.end();
  });
  client.serve(connection);
  return { id, close: () => connection.destroy() };
}

async function forget(): Promise<void> {
  await daemon.ok('rmi', '-f', base);
  await daemon.ok('builder', 'prune', '-af');
}

const image = async (name: string, ...command: string[]): Promise<string> =>
  await daemon.ok('run', '--rm', '--network', 'none', name, ...command);

test('version=1: the base of a private registry and a secret, by what the session says', async () => {
  const files = {
    Dockerfile: `FROM ${base}\nRUN --mount=type=secret,id=token wc -c < /run/secrets/token > /length\n`,
  };
  const refused = await classicBuild(daemon, files, 'version=1&t=private');
  assert.match(refused.error, /no basic auth credentials|unauthorized|authentication required/);
  const session = await openSession(daemon.socket);
  try {
    const built = await classicBuild(daemon, files, `version=1&t=private&session=${session.id}`);
    assert.equal(built.error, '', built.output);
    assert.match(built.output, /^Successfully tagged private:latest$/m);
    assert.equal(await image('private', 'cat', '/length'), '5');
    assert.ok(asked.includes(locked.host), `asked for ${asked.join(', ')}`);
    const missing = { Dockerfile: 'FROM busybox\nRUN --mount=type=secret,id=none,required=true true\n' };
    const without = await classicBuild(daemon, missing, `version=1&session=${session.id}`);
    assert.match(without.error, /secret none: not found|none.*not found/);
  } finally {
    session.close();
    await forget();
  }
});

test('version=2: the same with a context from git, and progress as messages', {
  skip: hasGit() ? false : 'git is not installed',
}, async () => {
  const root = join(daemon.folder, 'repositories');
  mkdirSync(join(root, 'one/sub'), { recursive: true });
  writeFileSync(join(root, 'one/sub/Dockerfile'), `FROM ${base}\nCOPY file /file\n`);
  writeFileSync(join(root, 'one/sub/file'), 'of the repository\n');
  git(join(root, 'one'), 'init', '-q');
  git(join(root, 'one'), 'add', '-A');
  git(join(root, 'one'), 'commit', '-q', '-m', 'first');
  const server = new GitServer(root);
  const remote = encodeURIComponent(`${served(await server.start(), 'one')}#main:sub`);
  const session = await openSession(daemon.socket);
  const git2 = async (query: string): Promise<Built> =>
    await classicBuild(daemon, {}, `remote=${remote}&${query}`);
  try {
    const traced = await git2(`version=2&t=by-trace&session=${session.id}`);
    assert.equal(traced.error, '');
    assert.match(traced.id, /sha256:[0-9a-f]{64}$/);
    assert.equal(await image('by-trace', 'cat', '/file'), 'of the repository');
    const classic = await git2(`version=1&t=by-text&session=${session.id}`);
    assert.equal(classic.error, '', classic.output);
    const id = await daemon.ok('inspect', '--format', '{{.Id}}', 'by-trace');
    assert.equal(await daemon.ok('inspect', '--format', '{{.Id}}', 'by-text'), id);
    const nowhere = await classicBuild(
      daemon,
      {},
      `version=2&session=${session.id}&remote=${encodeURIComponent(`${served('http://127.0.0.1:1', 'one')}#main`)}`,
    );
    assert.match(nowhere.error, /127\.0\.0\.1/);
  } finally {
    session.close();
    await server.stop();
    await forget();
  }
});

test('a session that is not there, and an address that is none', async () => {
  const files = { Dockerfile: `FROM ${base}\n` };
  const unknown = await classicBuild(daemon, files, 'version=2&session=nobody');
  assert.equal(unknown.status, 400);
  assert.match(unknown.error, /no active session for nobody/);
  for (const version of [1, 2]) {
    const strange = await classicBuild(daemon, {}, `version=${version}&remote=ftp://x/y`);
    assert.equal(strange.status, 400);
    assert.match(strange.error, /invalid remote context \\?"ftp:\/\/x\/y/);
  }
});

test('version=2: a build ends with its session', async () => {
  const session = await openSession(daemon.socket);
  const slow = { Dockerfile: 'FROM busybox\nRUN sleep 31536\n' };
  const build = classicBuild(daemon, slow, `version=2&session=${session.id}`);
  try {
    await eventually('the step runs', () => sleeping());
  } finally {
    session.close();
  }
  assert.match((await build).error, /the session of the client has ended|cancell?ed/);
  await eventually('nothing of the step is left', () => !sleeping());
});

function sleeping(): boolean {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .some((pid) => {
      try {
        return readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0').includes('31536');
      } catch {
        // It has ended meanwhile.
        return false;
      }
    });
}

test('scoped sockets: another socket’s session is not theirs, and images are held to their limits', async () => {
  const session = await openSession(daemon.socket);
  const allowed = ['--allow', 'images.build', '--image', 'mine/*', '--image', 'busybox'];
  const socket = await TestSocket.create(daemon, ...allowed);
  const scoped = async (dockerfile: string, query: string): Promise<Built> =>
    await classicBuild({ socket: socket.path }, { Dockerfile: dockerfile }, query);
  const own = await openSession(socket.path);
  try {
    const foreign = await scoped('FROM busybox\n', `version=1&session=${session.id}`);
    assert.match(foreign.error, /no active session/);
    for (const version of [1, 2]) {
      const beyond = await scoped(`FROM ${base}\n`, `version=${version}&session=${own.id}`);
      assert.match(beyond.error, /not allowed on socket/);
      const named = await scoped('FROM busybox\n', `version=${version}&t=yours/x&session=${own.id}`);
      assert.match(named.error, /not allowed on socket/);
      const fine = await scoped(
        `FROM busybox\nLABEL v=${version}\n`,
        `version=${version}&t=mine/x&session=${own.id}`,
      );
      assert.equal(fine.error, '', fine.output);
    }
  } finally {
    own.close();
    session.close();
    await socket.remove();
  }
});
