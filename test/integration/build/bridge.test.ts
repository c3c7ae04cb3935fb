/**
 * BuildKit's services called one by one, as no client of ours does it: results that are looked into, streams of progress
 * without end, references that come again, and connections that end between any two calls.
 */
import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { connect, type Socket } from 'node:net';
import { after, before, describe, test } from 'node:test';
import { Control } from '../../../src/api/buildkit/control_pb.ts';
import { LLBBridge } from '../../../src/api/buildkit/gateway_pb.ts';
import { GrpcChannel } from '../../../src/api/grpc/channel.ts';
import { eventually } from '../command.ts';
import { type Daemon, daemonWithBusybox } from '../harness.ts';

const DOCKERFILE = `FROM busybox AS base
RUN mkdir /made && echo 0123456789 > /made/file && ln -s /made/file /made/link
FROM base AS slow
RUN sleep 1000
FROM base
`;

describe("BuildKit's services", () => {
  let daemon: Daemon;
  let close: () => Promise<void>;
  let server: Server;
  let context: string;
  let count = 0;

  before(async () => {
    ({ daemon, close } = await daemonWithBusybox());
    server = createServer((_, response) => response.end(DOCKERFILE));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const address = server.address();
    context = `http://127.0.0.1:${typeof address === 'object' ? address?.port : 0}/Dockerfile`;
  });
  after(async () => {
    server.close();
    await close();
  });

  const open = async (): Promise<GrpcChannel> => new GrpcChannel(await switched(daemon.socket));

  /** Begins a build that is steered from here. */
  const begin = (channel: GrpcChannel) => {
    const ref = `build-${count++}`;
    const metadata = { 'buildkit-controlapi-buildid': ref };
    const solved = channel.unary(Control.method.solve, { ref });
    solved.catch(() => undefined);
    const order = async (target = ''): Promise<string> => {
      const frontendOpt = { context, target };
      const request = { frontend: 'dockerfile.v0', frontendOpt };
      return (await channel.unary(LLBBridge.method.solve, request, { metadata })).ref;
    };
    return { ref, metadata, solved, order };
  };

  test('a result is looked into, until its build is over', async () => {
    const channel = await open();
    const { metadata, solved, order } = begin(channel);
    const ref = await order();
    const read = async (filePath: string, range?: { offset: bigint; length: bigint }): Promise<string> => {
      const request = { ref, filePath, ...(range === undefined ? {} : { range }) };
      return Buffer.from(
        (await channel.unary(LLBBridge.method.readFile, request, { metadata })).data,
      ).toString();
    };
    assert.equal(await read('/made/link'), '0123456789\n');
    assert.equal(await read('made/file', { offset: 2n, length: 3n }), '234');
    await assert.rejects(read('/none'), { code: 'NotFound' });
    const folder = { ref, dirPath: '/made' };
    const { entries } = await channel.unary(LLBBridge.method.readDir, folder, { metadata });
    assert.deepEqual(
      entries.map(({ path }) => Buffer.from(path).toString()),
      ['file', 'link'],
    );
    const { stat } = await channel.unary(
      LLBBridge.method.statFile,
      { ref, path: '/made/link' },
      { metadata },
    );
    assert.equal(stat?.size, 11n);
    // A container of the client's own would be judged by nobody.
    const container = channel.unary(LLBBridge.method.newContainer, {}, { metadata });
    await assert.rejects(container, { code: 'Unimplemented' });
    await channel.unary(LLBBridge.method.return, {}, { metadata });
    await solved;
    await assert.rejects(read('/made/file'), { message: /has ended|no such job/ });
    channel.close();
  });

  test('a reference that is in use is refused, and free again afterwards', async () => {
    const channel = await open();
    const { ref, metadata, solved, order } = begin(channel);
    await order();
    await assert.rejects(channel.unary(Control.method.solve, { ref }), { message: /exists already/ });
    await channel.unary(LLBBridge.method.return, {}, { metadata });
    await solved;
    channel.close();
  });

  test('many streams of progress over several connections end with their build', async () => {
    const channel = await open();
    const { ref, metadata, solved, order } = begin(channel);
    const id = await order();
    const channels = await Promise.all(Array.from({ length: 10 }, open));
    const streams = channels.flatMap((one) =>
      Array.from({ length: 100 }, async () => {
        const call = one.open(Control.method.status);
        await call.write({ ref });
        call.end();
        let messages = 0;
        for await (const _ of call.messages()) messages += 1;
        return messages;
      }),
    );
    const request = { result: { result: { case: 'ref' as const, value: { id } } } };
    await channel.unary(LLBBridge.method.return, request, { metadata });
    await solved;
    const results = await Promise.allSettled(streams);
    // Those that came when it was over are told so.
    const failed = results.flatMap((result) => (result.status === 'rejected' ? [result.reason.code] : []));
    assert.deepEqual(
      failed.filter((code) => code !== 'NotFound'),
      [],
    );
    assert.ok(results.length - failed.length > 0);
    for (const one of [channel, ...channels]) one.close();
  });

  test('a connection may end between any two calls: nothing goes on, nothing is left open', async () => {
    const files = (): number => readdirSync(`/proc/${daemon.pid}/fd`).length;
    const idle = files();
    const acts: ((build: ReturnType<typeof begin>, channel: GrpcChannel) => unknown)[] = [
      () => undefined,
      (build) => void build.order().catch(() => undefined),
      (build) => void build.order('slow').catch(() => undefined),
      async (build) => await build.order(),
      async (build, channel) => {
        const ref = await build.order();
        const { metadata } = build;
        await channel.unary(LLBBridge.method.readFile, { ref, filePath: '/made/file' }, { metadata });
      },
      async (build, channel) => {
        await build.order();
        await channel.unary(LLBBridge.method.return, {}, { metadata: build.metadata });
      },
    ];
    for (const act of acts) {
      const channel = await open();
      const build = begin(channel);
      await act(build, channel);
      channel.close();
      await build.solved.catch(() => undefined);
    }
    await eventually('the daemon has closed all', () => files() <= idle + 2);
    await eventually('no step runs', async () => (await daemon.ok('ps', '-aq')) === '');
    const { code, stderr } = await daemon.mydock(['builder', 'prune', '--all', '--force']);
    assert.equal(code, 0, stderr);
  });
});

async function switched(path: string): Promise<Socket> {
  const socket = connect(path);
  socket.write('POST /grpc HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n');
  let head = '';
  while (!head.endsWith('\r\n\r\n')) {
    const byte = socket.read(1) as Buffer | null;
    if (byte !== null) head += byte.toString('latin1');
    else await new Promise((resolve) => socket.once('readable', resolve));
  }
  assert.match(head, /^HTTP\/1\.1 101 /);
  socket.removeAllListeners('readable');
  return socket;
}
