import assert from 'node:assert/strict';
import { connect, createServer, type Socket } from 'node:net';
import { after, before, describe, test } from 'node:test';
import { NotFoundError } from '../../base/errors.ts';
import { Control } from '../buildkit/control_pb.ts';
import { Upload } from '../buildkit/upload_pb.ts';
import { GrpcChannel } from './channel.ts';
import { FrameReader, frame } from './frames.ts';
import { GrpcServices } from './server.ts';
import { asGrpcError, errorFromTrailers, GrpcError, trailers } from './status.ts';

describe('frames', () => {
  const messages = [Buffer.from('one'), Buffer.alloc(0), Buffer.alloc(70_000, 7), Buffer.from('four')];
  const bytes = Buffer.concat(messages.map(frame));

  for (const size of [1, 4, 5, 6, 1000, bytes.length]) {
    test(`read in pieces of ${size}`, () => {
      const reader = new FrameReader();
      const read: Buffer[] = [];
      for (let at = 0; at < bytes.length; at += size)
        read.push(...reader.push(bytes.subarray(at, at + size)));
      reader.end();
      assert.deepEqual(read, messages);
    });
  }

  test('a message that is announced as too large is refused before it comes', () => {
    const reader = new FrameReader(100);
    assert.throws(() => [...reader.push(frame(Buffer.alloc(101)).subarray(0, 5))], {
      code: 'ResourceExhausted',
    });
  });

  test('compressed messages are refused, and streams that end within one', () => {
    assert.throws(() => [...new FrameReader().push(Buffer.from([1, 0, 0, 0, 0]))], { code: 'Unimplemented' });
    const reader = new FrameReader();
    assert.deepEqual([...reader.push(Buffer.from([0, 0, 0, 0, 2, 9]))], []);
    assert.throws(() => reader.end(), { code: 'Internal' });
  });
});

test('errors survive their way through trailers', () => {
  const detail = { typeUrl: 'example.com/a+json', value: Buffer.from('{}') };
  const error = new GrpcError('Unknown', 'näheres: 100% \n zwei', [detail]);
  const read = errorFromTrailers(trailers(error) as Record<string, string>);
  assert.equal(read?.code, 'Unknown');
  assert.equal(read?.message, error.message);
  assert.deepEqual(
    read?.details.map(({ typeUrl, value }) => ({ typeUrl, value })),
    [detail],
  );
  assert.equal(errorFromTrailers({ 'grpc-status': '0' }), undefined);
  assert.equal(asGrpcError(new NotFoundError('no such thing')).code, 'Unknown');
});

describe('calls over a connection', () => {
  const seen: Socket[] = [];
  let canceled: Promise<unknown>;
  let cancel: (reason: unknown) => void = () => undefined;
  const services = new GrpcServices()
    .unary(Control.method.solve, async ({ ref, frontendAttrs }) => {
      if (ref === 'fail') throw new GrpcError('NotFound', 'no such ref');
      return { exporterResponse: { ref, ...frontendAttrs } };
    })
    .stream(Upload.method.pull, async function* (requests, call) {
      call.signal.addEventListener('abort', () => cancel(call.signal.reason));
      let total = 0;
      for await (const { data } of requests) {
        total += data.length;
        yield { data };
      }
      yield { data: Buffer.from(`${total}`) };
    });
  const server = createServer((socket) => {
    seen.push(socket);
    services.serve(socket);
  });
  let port = 0;

  before(async () => {
    canceled = new Promise((resolve) => {
      cancel = resolve;
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const address = server.address();
    port = typeof address === 'object' && address !== null ? address.port : 0;
  });
  after(() => {
    server.close();
    for (const socket of seen) socket.destroy();
  });

  const channel = async (): Promise<GrpcChannel> => {
    const socket = connect(port, '127.0.0.1');
    await new Promise((resolve) => socket.once('connect', resolve));
    return new GrpcChannel(socket);
  };

  test('one message each way, and errors by code and text', async () => {
    const one = await channel();
    const answer = await one.unary(Control.method.solve, { ref: 'a', frontendAttrs: { target: 'b' } });
    assert.deepEqual(answer.exporterResponse, { ref: 'a', target: 'b' });
    await assert.rejects(one.unary(Control.method.solve, { ref: 'fail' }), {
      code: 'NotFound',
      message: 'no such ref',
    });
    await assert.rejects(one.unary(Control.method.info, {}), { code: 'Unimplemented' });
    one.close();
    await assert.rejects(async () => one.unary(Control.method.info, {}), { code: 'Unavailable' });
  });

  test('more than the windows, both ways at once', async () => {
    const one = await channel();
    const call = one.open(Upload.method.pull);
    const piece = Buffer.alloc(1 << 20, 1);
    const write = async (): Promise<void> => {
      for (let count = 0; count < 40; count++) await call.write({ data: piece });
      call.end();
    };
    const writing = write();
    let total = 0;
    let last = '';
    for await (const { data } of call.messages()) {
      total += data.length;
      last = Buffer.from(data).toString('latin1', 0, 20);
    }
    await writing;
    assert.equal(last, String(40 << 20));
    assert.equal(total, (40 << 20) + last.length);
    one.close();
  });

  test('a call that is canceled is canceled on the other side, one whose connection goes rejects', async () => {
    const one = await channel();
    const controller = new AbortController();
    const call = one.open(Upload.method.pull, { signal: controller.signal });
    await call.write({ data: Buffer.from('x') });
    const messages = call.messages();
    await messages.next();
    controller.abort(new Error('enough'));
    await assert.rejects(messages.next(), { message: 'enough' });
    assert.ok((await canceled) instanceof GrpcError);
    const open = one.open(Upload.method.pull);
    await open.write({ data: Buffer.from('x') });
    const rest = open.messages();
    await rest.next();
    seen.at(-1)?.destroy();
    await assert.rejects(rest.next(), { code: 'Unavailable' });
    assert.ok(
      one.closed.aborted || (await new Promise((resolve) => one.closed.addEventListener('abort', resolve))),
    );
  });

  test('a connection that has brought something is closed in the same moment', async () => {
    const socket = connect(port, '127.0.0.1');
    // The server's settings, as they come with the answer that switches protocols.
    socket.unshift(Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0]));
    await new Promise((resolve) => socket.once('connect', resolve));
    const one = new GrpcChannel(socket);
    one.close();
    await assert.rejects(one.unary(Control.method.info, {}), { code: 'Unavailable' });
    if (!one.closed.aborted) await new Promise((resolve) => one.closed.addEventListener('abort', resolve));
    assert.ok(socket.destroyed);
  });

  test('connections that bring anything, and end anywhere, end alone', async () => {
    const preface = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
    const settings = Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0]);
    for (let round = 0; round < 60; round++) {
      const socket = connect(port, '127.0.0.1');
      socket.on('error', () => undefined);
      await new Promise((resolve) => socket.once('connect', resolve));
      const noise = Buffer.from(
        Array.from({ length: 200 }, (_, at) => (round * 31 + at * (round + 7)) & 255),
      );
      socket.write(
        round % 3 === 0 ? noise : Buffer.concat([preface, settings, noise.subarray(0, round * 3)]),
      );
      if (round % 2 === 0) socket.destroy();
      else socket.end();
      await new Promise((resolve) => socket.once('close', resolve).resume());
    }
    const one = await channel();
    const calls = Array.from({ length: 20 }, () =>
      one.unary(Control.method.solve, { ref: 'x' }).catch(() => undefined),
    );
    one.close();
    await Promise.all(calls);
    const other = await channel();
    assert.equal(
      (await other.unary(Control.method.solve, { ref: 'still' })).exporterResponse['ref'],
      'still',
    );
    other.close();
  });
});
