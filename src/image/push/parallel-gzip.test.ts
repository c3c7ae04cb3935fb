/** The output is gzip, and the same however the input comes. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { gunzipSync } from 'node:zlib';
import { parallelGzip } from './parallel-gzip.ts';

async function* pieces(data: Buffer, sizeBytes: number): AsyncGenerator<Buffer> {
  for (let at = 0; at < data.length; at += sizeBytes) yield data.subarray(at, at + sizeBytes);
}

async function gzip(data: Buffer, sizeBytes: number): Promise<Buffer> {
  const chunks: Buffer[] = [];
  const signal = AbortSignal.timeout(120_000);
  for await (const chunk of parallelGzip(pieces(data, sizeBytes), signal)) chunks.push(chunk);
  return Buffer.concat(chunks);
}

/** Text that repeats across the borders of blocks, and parts that do not compress. */
function sample(): Buffer {
  const text = Buffer.from(
    Array.from({ length: 90_000 }, (_, i) => `line ${i % 977} of the sample\n`).join(''),
  );
  return Buffer.concat([text, randomBytes(1_500_000), text]);
}

test('round trip, by zlib and by gzip itself', async () => {
  const data = sample();
  const compressed = await gzip(data, 100_000);
  assert.ok(compressed.length < data.length / 2, `${compressed.length} of ${data.length} bytes`);
  assert.ok(gunzipSync(compressed).equals(data));
  const output = execFileSync('gzip', ['-dc'], { input: compressed, maxBuffer: 1 << 26 });
  assert.ok(output.equals(data));
});

test('empty, one byte, one block, one block and a byte', async () => {
  for (const sizeBytes of [0, 1, 1 << 20, (1 << 20) + 1]) {
    const data = Buffer.alloc(sizeBytes, 'x');
    assert.ok(gunzipSync(await gzip(data, 1 << 18)).equals(data), `${sizeBytes} bytes`);
  }
});

test('the same bytes whatever the chunks, and beside others', async () => {
  const data = sample();
  const [first, ...others] = await Promise.all([4096, 100_001, 1 << 20, 1 << 24].map((n) => gzip(data, n)));
  for (const other of others) assert.ok(first?.equals(other));
});

test('a source that fails, a reader that leaves and an abort let the next one go on', async () => {
  const failing = async function* (): AsyncGenerator<Buffer> {
    yield* pieces(sample(), 1 << 20);
    throw new Error('broken');
  };
  const read = async (source: AsyncIterable<Buffer>, signal: AbortSignal): Promise<void> => {
    for await (const _ of parallelGzip(source, signal));
  };
  for (let i = 0; i < 4; i += 1) {
    await assert.rejects(read(failing(), AbortSignal.timeout(120_000)), /broken/);
    for await (const _ of parallelGzip(pieces(sample(), 1 << 20), AbortSignal.timeout(120_000))) break;
    await assert.rejects(read(failing(), AbortSignal.abort(new Error('gone'))), /gone/);
  }
  assert.ok((await gzip(sample(), 1 << 20)).length > 0);
});
