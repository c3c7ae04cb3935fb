/** What clients that steer their builds ask before they order one: what images, addresses and repositories stand for. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { createServer, request, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import { after, before, test } from 'node:test';
import { Control } from '../../../src/api/buildkit/control_pb.ts';
import { LLBBridge } from '../../../src/api/buildkit/gateway_pb.ts';
import { GrpcChannel } from '../../../src/api/grpc/channel.ts';
import { GitServer, git, hasGit, served } from '../../../src/build/source/testing/git-server.ts';
import { type Daemon, daemonWithRegistry } from '../harness.ts';
import { TestSocket } from '../scoped-socket.ts';

const FILE = 'content of the address\n';

let daemon: Daemon;
let close: () => Promise<void>;
let host = '';
let files: Server;
let address = '';

before(async () => {
  const started = await daemonWithRegistry();
  ({ daemon, close } = started);
  host = started.registry.host;
  files = createServer((_, response) => response.end(FILE));
  await new Promise<void>((resolve) => files.listen(0, '127.0.0.1', resolve));
  address = `http://127.0.0.1:${(files.address() as AddressInfo).port}/file.txt`;
});
after(async () => {
  files.close();
  await close();
});

/** A build under way, and calls about it. */
async function steered<T>(
  socketPath: string,
  body: (channel: GrpcChannel, options: { metadata: Record<string, string> }) => Promise<T>,
): Promise<T> {
  const headers = { Connection: 'Upgrade', Upgrade: 'h2c' };
  const outgoing = request({ socketPath, method: 'POST', path: '/grpc', headers });
  const connection = await new Promise<Duplex>((resolve, reject) => {
    outgoing.once('upgrade', (_, socket, head) => {
      if (head.length > 0) socket.unshift(head);
      resolve(socket);
    });
    outgoing.once('error', reject);
    outgoing.end();
  });
  const channel = new GrpcChannel(connection);
  const ref = `build-${Math.random()}`;
  const solving = channel.unary(Control.method.solve, { ref, internal: true });
  const options = { metadata: { 'buildkit-controlapi-buildid': ref } };
  try {
    const result = await body(channel, options);
    await channel.unary(LLBBridge.method.return, { result: {} }, options);
    await solving;
    return result;
  } finally {
    solving.catch(() => undefined);
    channel.close();
  }
}

test('an image: by what this machine has, and by what the registry says', async () => {
  const id = await daemon.ok('inspect', '--format', '{{.Id}}', 'busybox');
  await steered(daemon.socket, async (channel, options) => {
    const here = await channel.unary(LLBBridge.method.resolveImageConfig, { ref: 'busybox' }, options);
    assert.equal(`sha256:${createHash('sha256').update(here.config).digest('hex')}`, id);
    const source = { identifier: `docker-image://${host}/busybox:latest` };
    const meta = await channel.unary(
      LLBBridge.method.resolveSourceMeta,
      { source, resolveMode: 'pull', platform: { os: 'linux', architecture: 'amd64' } },
      options,
    );
    const digests = await daemon.ok('inspect', '--format', '{{json .RepoDigests}}', 'busybox');
    assert.ok(digests.includes(meta.image?.digest ?? 'none'), `${meta.image?.digest} in ${digests}`);
    assert.deepEqual(Buffer.from(meta.image?.config ?? []), Buffer.from(here.config));
    const missing = channel.unary(
      LLBBridge.method.resolveImageConfig,
      { ref: `${host}/missing:v1` },
      options,
    );
    await assert.rejects(missing, /not found|manifest unknown/);
  });
});

test('a file, a repository, and what there is nothing to say of', async () => {
  await steered(daemon.socket, async (channel, options) => {
    const resolve = async (identifier: string, attrs: Record<string, string> = {}) =>
      await channel.unary(LLBBridge.method.resolveSourceMeta, { source: { identifier, attrs } }, options);
    const { http } = await resolve(address);
    assert.equal(http?.checksum, `sha256:${createHash('sha256').update(FILE).digest('hex')}`);
    assert.equal(http?.filename, 'file.txt');
    await assert.rejects(resolve('local://context'), /not implemented: metadata of the source local:/);
    await assert.rejects(resolve('nothing'), /invalid source "nothing"/);
    if (!hasGit()) return;
    const root = join(daemon.folder, 'repositories');
    mkdirSync(join(root, 'one'), { recursive: true });
    writeFileSync(join(root, 'one/file'), 'content\n');
    for (const words of [
      ['init', '-q'],
      ['add', '-A'],
      ['commit', '-q', '-m', 'first'],
    ]) {
      git(join(root, 'one'), ...words);
    }
    const server = new GitServer(root);
    try {
      const url = served(await server.start(), 'one');
      const answer = await resolve(`${url.replace('http:', 'git:')}#main`, { 'git.fullurl': url });
      assert.equal(answer.git?.checksum, git(join(root, 'one'), 'rev-parse', 'HEAD'));
      assert.equal(answer.git?.ref, 'main');
    } finally {
      await server.stop();
    }
  });
});

test('scoped sockets: only images that may be named', async () => {
  const socket = await TestSocket.create(daemon, '--allow', 'images.build', '--image', 'mine/*');
  try {
    await steered(socket.path, async (channel, options) => {
      const named = channel.unary(LLBBridge.method.resolveImageConfig, { ref: 'busybox' }, options);
      await assert.rejects(named, /not allowed on socket/);
    });
  } finally {
    await socket.remove();
  }
});
