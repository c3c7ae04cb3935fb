/** Stores of clients that send what they should not, or nothing; and what a good one gets. */
import assert from 'node:assert/strict';
import { duplexPair } from 'node:stream';
import { after, test } from 'node:test';
import { Content, WriteAction } from '../../../api/buildkit/content_pb.ts';
import { GrpcChannel } from '../../../api/grpc/channel.ts';
import { GrpcServices } from '../../../api/grpc/server.ts';
import { GrpcError } from '../../../api/grpc/status.ts';
import { errorMessage } from '../../../base/errors.ts';
import { digestOf } from '../../../image/digest.ts';
import { ServedStore } from './client-store.ts';

const signal = new AbortController().signal;
const content = Buffer.from('content of a blob');
const blob = { digest: digestOf(content), sizeBytes: content.length };
const written: Record<string, Buffer[]> = {};
const stores: string[] = [];

/** What a client does depends on the name of the store. */
const client = new GrpcServices()
  .unary(Content.method.info, async ({ digest }, { headers }) => {
    const store = String(headers['buildkit-attachable-store-id']);
    stores.push(store);
    if (store === 'silent') await new Promise(() => undefined);
    if (digest !== blob.digest) throw new GrpcError('NotFound', 'not here');
    return { info: { digest, size: BigInt(content.length) } };
  })
  .stream(Content.method.read, async function* (_, { headers }) {
    const store = headers['buildkit-attachable-store-id'];
    yield { offset: 0n, data: content.subarray(0, 7) };
    if (store === 'short') return;
    if (store === 'silent') await new Promise(() => undefined);
    if (store === 'failing') throw new GrpcError('Unknown', 'the disk is on fire');
    yield { offset: store === 'jumping' ? 3n : 7n, data: content.subarray(7) };
    while (store === 'endless') yield { offset: BigInt(content.length), data: content };
  })
  .stream(Content.method.write, async function* (requests, { headers }) {
    const store = String(headers['buildkit-attachable-store-id']);
    const pieces: Buffer[] = [];
    for await (const { action, data, expected } of requests) {
      if (store === 'full') throw new GrpcError('Unknown', 'no space left on device');
      if (store === 'has it') throw new GrpcError('AlreadyExists', 'content exists');
      if (action === WriteAction.WRITE) pieces.push(Buffer.from(data));
      if (action === WriteAction.COMMIT) {
        assert.equal(expected, blob.digest);
        written[store] = pieces;
      }
      const offset = pieces.reduce((sum, { length }) => sum + length, 0);
      yield { action, offset: BigInt(store === 'deaf' ? 0 : offset) };
    }
  });

const [near, far] = duplexPair();
client.serve(far);
const channel = new GrpcChannel(near);
after(() => channel.close());

const store = (name: string): ServedStore => new ServedStore(channel, name, 300);

async function read(name: string): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of store(name).read(blob, signal)) chunks.push(Buffer.from(chunk));
  return Buffer.concat(chunks);
}

/** By the whole of what a user is told. */
async function rejects(promise: Promise<unknown>, message: RegExp): Promise<void> {
  await assert.rejects(promise, (error) => {
    assert.match(errorMessage(error), message);
    return true;
  });
}

async function* pieces(): AsyncGenerator<Uint8Array> {
  yield content.subarray(0, 5);
  yield content.subarray(5);
}

test('a blob is found, read and written; names of stores may be of any letters', async () => {
  assert.equal(await store('good').size(blob.digest, signal), content.length);
  assert.equal(await store('local:/tmp/ü').size(digestOf(Buffer.from('other')), signal), undefined);
  assert.equal(Buffer.from(stores.at(-1) ?? '', 'latin1').toString(), 'local:/tmp/ü');
  assert.deepEqual(await read('good'), content);
  await store('good').write(blob, pieces(), signal);
  assert.deepEqual(Buffer.concat(written['good'] ?? []), content);
  await store('has it').write(blob, pieces(), signal);
});

test('what a client sends is no more, no less and no other than was asked for', async () => {
  await rejects(read('short'), /cannot read sha256:.* in the store "short" of the client: it sent 7 of 17/);
  await rejects(read('endless'), /it sent more than the 17 bytes that were expected/);
  await rejects(read('jumping'), /it sent bytes from 3 where 7 were expected/);
  await rejects(read('failing'), /the disk is on fire/);
});

test('a client that takes no bytes, or has no room, fails the transfer', async () => {
  await rejects(store('full').write(blob, pieces(), signal), /no space left on device/);
  await rejects(store('deaf').write(blob, pieces(), signal), /it took 0 of 5 bytes/);
});

test('a client that is silent is given up; whoever cancels gets the reason', async () => {
  await rejects(store('silent').size(blob.digest, signal), /the client was silent for 0.3 s/);
  await rejects(read('silent'), /the client was silent for 0.3 s/);
  const canceled = new AbortController();
  const reason = new Error('given up');
  const size = store('silent').size(blob.digest, canceled.signal);
  canceled.abort(reason);
  await assert.rejects(size, (error) => error === reason);
});
