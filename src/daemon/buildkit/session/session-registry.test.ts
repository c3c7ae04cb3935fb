/** Sessions against clients that do not answer, go away, or take what is another's. */
import assert from 'node:assert/strict';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { after, before, describe, test } from 'node:test';
import { Auth } from '../../../api/buildkit/filesync_pb.ts';
import { Secrets } from '../../../api/buildkit/secrets_pb.ts';
import { SSH } from '../../../api/buildkit/sshforward_pb.ts';
import { Upload } from '../../../api/buildkit/upload_pb.ts';
import { pathOf } from '../../../api/grpc/channel.ts';
import { GrpcServices } from '../../../api/grpc/server.ts';
import { GrpcError } from '../../../api/grpc/status.ts';
import { SessionRegistry } from './session-registry.ts';

const signal = new AbortController().signal;

/** The client's side of sessions. */
const client = new GrpcServices()
  .unary(Secrets.method.getSecret, async ({ id }) => {
    if (id === 'huge') return { data: Buffer.alloc(600 << 10) };
    if (id !== 'token') throw new GrpcError('NotFound', 'not here');
    return { data: Buffer.from('12345') };
  })
  .unary(Auth.method.credentials, async ({ host }) =>
    host === 'registry-1.docker.io'
      ? { username: 'me', secret: 'pass' }
      : { secret: host === 'token.host' ? 'id' : '' },
  )
  .unary(SSH.method.checkAgent, async ({ id }) => {
    if (id !== 'default') throw new GrpcError('Unknown', `unset ssh forward key ${id}`);
    return {};
  })
  .stream(SSH.method.forwardAgent, async function* (requests) {
    for await (const { data } of requests) yield { data: Buffer.from(data).reverse() };
  })
  .stream(Upload.method.pull, async function* (_, { headers }) {
    yield { data: Buffer.from(`body of ${headers['urlpath']}`) };
    yield { data: Buffer.alloc(3_000_000) };
  });
const METHODS = [
  Secrets.method.getSecret,
  Auth.method.credentials,
  SSH.method.checkAgent,
  SSH.method.forwardAgent,
  Upload.method.pull,
].map(pathOf);

describe('sessions', () => {
  const accepted: Socket[] = [];
  let server: Server;
  let port = 0;

  before(async () => {
    server = createServer((socket) => accepted.push(socket));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const address = server.address();
    port = typeof address === 'object' && address !== null ? address.port : 0;
  });
  after(() => {
    server.close();
    for (const socket of accepted) socket.destroy();
  });

  /** Both ends of a connection. */
  const pair = async (): Promise<{ near: Socket; far: Socket }> => {
    const count = accepted.length;
    const near = connect(port, '127.0.0.1');
    near.on('error', () => undefined);
    while (accepted.length === count) await new Promise(setImmediate);
    return { near, far: accepted.at(-1) as Socket };
  };
  const open = async (registry: SessionRegistry, id: string, methods = METHODS) => {
    const { near, far } = await pair();
    client.serve(far);
    return { session: registry.add({ id, sharedKey: 'shared', methods }, near), far };
  };

  test('secrets, credentials, agents and uploads of the client', async () => {
    const { session } = await open(new SessionRegistry(), 'one');
    assert.equal((await session.secret('token'))?.toString(), '12345');
    assert.equal(await session.secret('other'), undefined);
    await assert.rejects(session.secret('huge'), /secret "huge": it has 614400 bytes/);
    assert.deepEqual(await session.credentials('docker.io'), { username: 'me', password: 'pass' });
    assert.deepEqual(await session.credentials('token.host'), { identitytoken: 'id' });
    assert.equal(await session.credentials('elsewhere'), undefined);
    assert.equal(await session.hasSshAgent('default'), true);
    assert.equal(await session.hasSshAgent('other'), false);
    const agent = await session.connectSshAgent('default');
    agent.write('abc');
    const [answer] = (await new Promise((resolve) =>
      agent.once('data', (data: Buffer) => resolve([data])),
    )) as [Buffer];
    assert.equal(answer.toString(), 'cba');
    agent.destroy();
    const chunks: Buffer[] = [];
    for await (const chunk of await session.upload('xyz', signal)) chunks.push(chunk as Buffer);
    const body = Buffer.concat(chunks);
    assert.equal(body.toString('utf8', 0, 12), 'body of /xyz');
    assert.equal(body.length, 12 + 3_000_000);
    session.close();
  });

  test('what a client does not offer is not asked for', async () => {
    const { session } = await open(new SessionRegistry(), 'none', []);
    assert.equal(await session.secret('token'), undefined);
    assert.equal(await session.hasSshAgent('default'), false);
    assert.equal(await session.credentials('docker.io'), undefined);
    await assert.rejects(
      session.syncFolder({ name: 'context' }, '/nowhere', { signal }),
      /it offers no folders/,
    );
    session.close();
  });

  test('an ID is taken once, and free again when its client has gone', async () => {
    const registry = new SessionRegistry();
    const { session, far } = await open(registry, 'same');
    assert.throws(() => registry.requireNew({ id: 'same', sharedKey: '', methods: [] }), {
      kind: 'Conflict',
    });
    for (const id of ['', 'a b', 'x'.repeat(300), 'a\nb']) {
      assert.throws(() => registry.requireNew({ id, sharedKey: '', methods: [] }), {
        kind: 'InvalidParameter',
      });
    }
    assert.equal(await registry.get('context:same', signal), session);
    const gone = new Promise((resolve) => session.closed.addEventListener('abort', resolve));
    far.destroy();
    await gone;
    registry.requireNew({ id: 'same', sharedKey: '', methods: [] });
    await assert.rejects(session.secret('token'));
  });

  test('a session that is on its way is waited for; a build that ends stops waiting', async () => {
    const registry = new SessionRegistry();
    const waiting = registry.get('late', signal);
    const { session } = await open(registry, 'late');
    assert.equal(await waiting, session);
    session.close();
    const controller = new AbortController();
    const never = registry.get('never', controller.signal);
    controller.abort(new Error('enough'));
    await assert.rejects(never, /enough/);
  });

  test('a client that speaks something else ends its own session alone', async () => {
    const { near, far } = await pair();
    const session = new SessionRegistry().add({ id: 'odd', sharedKey: '', methods: METHODS }, near);
    const gone = new Promise((resolve) => session.closed.addEventListener('abort', resolve));
    const asked = assert.rejects(session.secret('token'));
    far.write('HTTP/1.1 400 Bad Request\r\n\r\n'.repeat(100));
    await Promise.all([gone, asked]);
  });

  test('a client that never answers is given up when the build is', async () => {
    const { near } = await pair();
    const session = new SessionRegistry().add({ id: 'mute', sharedKey: '', methods: METHODS }, near);
    const controller = new AbortController();
    const body = (await session.upload('x', controller.signal))[Symbol.asyncIterator]();
    const next = assert.rejects(body.next());
    controller.abort(new Error('enough'));
    await next;
    session.close();
  });
});
