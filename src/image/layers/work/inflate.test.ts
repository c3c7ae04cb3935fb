/** Inflating layers: several members and frames, cuts at every byte, and broken data. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { describe, test } from 'node:test';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import type { LayerCompression } from '../snapshotter.ts';
import { detectCompression, inflate } from './inflate.ts';

async function run(parts: Buffer[], compression: LayerCompression): Promise<Buffer> {
  const chunks: Buffer[] = [];
  const source = async function* (): AsyncGenerator<Buffer> {
    yield* parts;
  };
  for await (const chunk of inflate(source(), compression)) chunks.push(chunk);
  return Buffer.concat(chunks);
}

function cut(data: Buffer, size: number): Buffer[] {
  const parts: Buffer[] = [];
  for (let at = 0; at < data.length; at += size) parts.push(data.subarray(at, at + size));
  return parts;
}

const first = Buffer.from('first '.repeat(20));
const second = randomBytes(3000);
const both = Buffer.concat([first, second]);
const skippable = Buffer.concat([Buffer.from([0x53, 0x2a, 0x4d, 0x18, 5, 0, 0, 0]), Buffer.alloc(5, 1)]);

/** The same member with a file name and a comment in its header. */
function named(member: Buffer): Buffer {
  const head = Buffer.from(member.subarray(0, 10));
  head[3] = 0x18;
  return Buffer.concat([head, Buffer.from('layer.tar\0a comment\0'), member.subarray(10)]);
}

const streams: [string, LayerCompression, Buffer][] = [
  ['gzip of two members', 'gzip', Buffer.concat([gzipSync(first), gzipSync(second)])],
  ['gzip padded with zeros', 'gzip', Buffer.concat([gzipSync(both), Buffer.alloc(700)])],
  [
    'gzip with an empty member, a name and a comment',
    'gzip',
    Buffer.concat([named(gzipSync(first)), gzipSync(''), named(gzipSync(second))]),
  ],
  ['zstd of two frames', 'zstd', Buffer.concat([zstdCompressSync(first), zstdCompressSync(second)])],
  [
    'zstd with skippable frames',
    'zstd',
    Buffer.concat([
      skippable,
      zstdCompressSync(first),
      skippable,
      skippable,
      zstdCompressSync(second),
      skippable,
    ]),
  ],
  ['none', 'none', both],
];

describe('inflate', () => {
  for (const [name, compression, data] of streams) {
    test(name, async () => {
      for (const size of [1, 7, 100, 1000, data.length]) {
        assert.ok((await run(cut(data, size), compression)).equals(both), `in pieces of ${size}`);
      }
      for (let at = 1; at < Math.min(data.length, 200); at++) {
        const parts = [data.subarray(0, at), data.subarray(at)];
        assert.ok((await run(parts, compression)).equals(both), `cut at ${at}`);
      }
    });
  }

  test('output larger than the chunks that may wait', async () => {
    const large = Buffer.alloc(20 * 1024 * 1024, 'large ');
    assert.ok((await run([gzipSync(large)], 'gzip')).equals(large));
    assert.ok((await run([zstdCompressSync(large)], 'zstd')).equals(large));
  });

  test('a reader that stops early', async () => {
    const source = async function* (): AsyncGenerator<Buffer> {
      for (;;) yield gzipSync(randomBytes(100_000));
    };
    for await (const chunk of inflate(source(), 'gzip')) {
      assert.ok(chunk.length > 0);
      break;
    }
  });
});

test('with reuse, a chunk lies where the one before it lay', async () => {
  const large = Buffer.alloc(3 * 1024 * 1024, 'large ');
  const source = async function* (): AsyncGenerator<Buffer> {
    yield gzipSync(large);
  };
  const places = new Set<ArrayBufferLike>();
  let length = 0;
  for await (const chunk of inflate(source(), 'gzip', { reuse: true })) {
    assert.ok(chunk.equals(large.subarray(length, length + chunk.length)));
    places.add(chunk.buffer);
    length += chunk.length;
  }
  assert.equal(length, large.length);
  assert.equal(places.size, 1);
});

describe('broken data', () => {
  const gzip = gzipSync(second);
  const zstd = zstdCompressSync(second);
  const flipped = Buffer.from(gzip);
  flipped[gzip.length - 6] = (flipped[gzip.length - 6] ?? 0) ^ 1;
  const cases: [string, LayerCompression, Buffer, RegExp][] = [
    ['cut gzip', 'gzip', gzip.subarray(0, 500), /^invalid gzip data: unexpected EOF$/],
    ['empty gzip', 'gzip', Buffer.alloc(0), /^invalid gzip data: unexpected EOF$/],
    ['no gzip', 'gzip', Buffer.from('hello, world'), /^invalid gzip data: incorrect header check$/],
    ['wrong gzip checksum', 'gzip', flipped, /^invalid gzip data: /],
    ['garbage behind gzip', 'gzip', Buffer.concat([gzip, Buffer.from('garbage')]), /^invalid gzip data: /],
    [
      'garbage behind the padding of gzip',
      'gzip',
      Buffer.concat([gzip, Buffer.alloc(9), Buffer.from('garbage')]),
      /^invalid gzip data: data behind the padding at its end$/,
    ],
    ['cut zstd', 'zstd', zstd.subarray(0, 500), /^invalid zstd data: unexpected EOF$/],
    [
      'cut second frame',
      'zstd',
      Buffer.concat([zstd, zstd.subarray(0, 500)]),
      /^invalid zstd data: unexpected EOF$/,
    ],
    ['no zstd', 'zstd', Buffer.from('hello, world'), /^invalid zstd data: /],
    ['garbage behind zstd', 'zstd', Buffer.concat([zstd, Buffer.from('garbage')]), /^invalid zstd data: /],
  ];
  for (const [name, compression, data, message] of cases) {
    test(name, async () => {
      for (const size of [1, 300, data.length || 1]) {
        await assert.rejects(run(cut(data, size), compression), { kind: 'InvalidParameter', message });
      }
    });
  }

  test('a source that fails', async () => {
    const source = async function* (): AsyncGenerator<Buffer> {
      yield gzip.subarray(0, 100);
      throw new Error('disk on fire');
    };
    const reading = (async () => {
      for await (const chunk of inflate(source(), 'gzip')) assert.ok(chunk);
    })();
    await assert.rejects(reading, /disk on fire/);
  });
});

test('detectCompression', () => {
  assert.equal(detectCompression(gzipSync(first)), 'gzip');
  assert.equal(detectCompression(zstdCompressSync(first)), 'zstd');
  assert.equal(detectCompression(skippable), 'zstd');
  assert.equal(detectCompression(Buffer.alloc(512)), 'none');
  assert.equal(detectCompression(Buffer.alloc(0)), 'none');
  assert.throws(() => detectCompression(Buffer.from('BZh91AY')), { kind: 'NotImplemented' });
  assert.throws(() => detectCompression(Buffer.from([0xfd, 0x37, 0x7a, 0x58, 0x5a, 0])), {
    kind: 'NotImplemented',
  });
});
