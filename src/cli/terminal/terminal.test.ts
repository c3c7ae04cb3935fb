import assert from 'node:assert/strict';
import { PassThrough, Writable } from 'node:stream';
import { test } from 'node:test';
import type { JSONMessage } from '../../api/images.ts';
import { encodeFrame } from '../../api/stream.ts';
import { testIo } from '../test-io.ts';
import { DetachWatch, parseDetachKeys } from './detach-keys.ts';
import { progressBar, showProgress } from './progress.ts';
import { copyOutput, copyStreams } from './stream-copy.ts';

test('detach keys are read and noticed across chunks', () => {
  assert.deepEqual(parseDetachKeys(undefined), [16, 17]);
  assert.deepEqual(parseDetachKeys('ctrl-x,a,ctrl-['), [24, 97, 27]);
  assert.throws(() => parseDetachKeys('ctrl-'), /invalid detach keys/);
  const watch = new DetachWatch([16, 17]);
  watch.look(Buffer.from([16, 65, 16]));
  assert.equal(watch.seen, false);
  watch.look(Buffer.from([16, 17]));
  assert.equal(watch.seen, true);
});

test('frames reach their streams in order, and a cut frame is an error', async () => {
  const output = new PassThrough();
  const io = testIo();
  const done = copyOutput(output, io.stdout, io.stderr, false);
  output.write(
    Buffer.concat([
      encodeFrame(1, Buffer.from('a')),
      encodeFrame(2, Buffer.from('E')),
      encodeFrame(1, Buffer.from('b')),
    ]),
  );
  output.end();
  await done;
  assert.equal(io.out(), 'ab');
  assert.equal(io.err(), 'E');
  const cut = new PassThrough();
  const failing = copyOutput(cut, io.stdout, io.stderr, false);
  cut.end(encodeFrame(1, Buffer.from('long payload')).subarray(0, 12));
  await assert.rejects(failing, /unexpected EOF/);
});

test('a slow reader slows the source down, and everything arrives before the end', async () => {
  const payload = Buffer.alloc(64 * 1024, 'x');
  const output = new PassThrough();
  let received = 0;
  let waiting = 0;
  const slow = new Writable({
    highWaterMark: 1024,
    write(chunk: Buffer, _, done) {
      waiting++;
      setImmediate(() => {
        received += chunk.length;
        waiting--;
        done();
      });
    },
  });
  const done = copyOutput(output, slow, slow, false);
  for (let n = 0; n < 20; n++) output.write(encodeFrame(1, payload));
  output.end();
  await done;
  assert.equal(received, 20 * payload.length);
  assert.equal(waiting, 0);
});

test('the end of stdin half-closes, output goes on', async () => {
  const input = new PassThrough();
  const output = new PassThrough();
  const io = testIo({ stdin: ['in', 'put'] });
  const received: Buffer[] = [];
  input.on('data', (chunk: Buffer) => received.push(chunk));
  input.on('end', () => output.end('answer'));
  await copyStreams(io, { input, output, contentType: undefined, destroy() {} }, { tty: true, stdin: true });
  assert.equal(Buffer.concat(received).toString(), 'input');
  assert.equal(io.out(), 'answer');
});

async function* stream(messages: JSONMessage[]) {
  yield* messages;
}

const PULL: JSONMessage[] = [
  { status: 'Pulling from library/x', id: 'latest' },
  { status: 'Pulling fs layer', id: 'aa' },
  { status: 'Downloading', id: 'aa', progressDetail: { current: 5, total: 10 } },
  { status: 'Pull complete', id: 'aa', progressDetail: {} },
  { status: 'Status: Downloaded' },
];

test('progress without a terminal is plain lines without bars', async () => {
  const io = testIo();
  await showProgress(stream(PULL), io.stdout);
  assert.equal(
    io.out(),
    'latest: Pulling from library/x\naa: Pulling fs layer\naa: Pull complete\nStatus: Downloaded\n',
  );
});

test('on a terminal every layer keeps one line, also with more layers than rows', async () => {
  const io = testIo({ terminal: { rows: 5, columns: 60 } });
  const layers = Array.from(
    { length: 12 },
    (_, n): JSONMessage => ({ status: 'Pull complete', id: `layer${n}` }),
  );
  const waiting = layers.map((layer) => ({ ...layer, status: 'Waiting' }));
  async function* slowly() {
    yield* waiting;
    await new Promise((resolve) => setTimeout(resolve, 80));
    yield* layers;
  }
  await showProgress(slowly(), io.stdout);
  const [first = '', final = ''] = io.out().split('\x1b[4A');
  assert.ok(first.includes('layer0: Waiting') && first.includes('0 complete, 9 more waiting'), first);
  for (const { id } of layers) assert.equal(final.split(`${id}: Pull complete`).length, 2, id);
  assert.ok(final.endsWith('\x1b[J'));
});

test('an error in the stream ends it with its code; quiet shows nothing', async () => {
  const io = testIo();
  const failing = stream([
    { stream: 'Step 1\n' },
    { errorDetail: { code: 3, message: 'it failed' }, error: 'x' },
  ]);
  await assert.rejects(showProgress(failing, io.stdout), { message: 'it failed', exitCode: 3 });
  assert.equal(io.out(), 'Step 1\n');
  await showProgress(stream(PULL), undefined);
});

test('bars fill with the amount and give way on narrow screens', () => {
  assert.equal(
    progressBar({ current: 50, total: 100 }, 100),
    `[${'='.repeat(25)}>${' '.repeat(24)}]      50B/100B`,
  );
  assert.equal(progressBar({ current: 100, total: 100 }, 100), `[${'='.repeat(50)}]     100B/100B`);
  assert.equal(progressBar({ current: 50, total: 100 }, 40), '50B/100B');
  assert.equal(progressBar({ current: 50 }, 100), '     50B');
});
