import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { describe, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { ExpansionLimit } from './expansion-limit.ts';
import { type ArchiveCompression, detectArchiveCompression, inflateArchive } from './inflate-archive.ts';

async function* pieces(data: Buffer, size: number): AsyncGenerator<Buffer> {
  for (let at = 0; at < data.length; at += size) yield data.subarray(at, at + size);
}

async function inflated(data: Buffer, compression: ArchiveCompression): Promise<Buffer> {
  const parts: Buffer[] = [];
  for await (const chunk of inflateArchive(pieces(data, 1000), compression)) parts.push(Buffer.from(chunk));
  return Buffer.concat(parts);
}

const content = Buffer.concat([randomBytes(300_000), Buffer.alloc(3_000_000, 'abc')]);

for (const name of ['bzip2', 'xz'] as const) {
  const program = `/usr/bin/${name}`;
  describe(name, { skip: !existsSync(program) && !existsSync(`/bin/${name}`) }, () => {
    const compress = (data: Buffer): Buffer =>
      execFileSync(name, ['-1', '-c'], { input: data, maxBuffer: 1 << 26 });

    test('streams, several of them in one, and empty ones', async () => {
      const packed = compress(content);
      assert.equal(detectArchiveCompression(packed), name);
      assert.deepEqual(await inflated(packed, name), content);
      const twice = Buffer.concat([packed, compress(Buffer.from('end'))]);
      assert.deepEqual(await inflated(twice, name), Buffer.concat([content, Buffer.from('end')]));
      assert.deepEqual(await inflated(compress(Buffer.alloc(0)), name), Buffer.alloc(0));
    });

    test('broken and cut data are refused by name', async () => {
      const packed = compress(content);
      await assert.rejects(inflated(packed.subarray(0, -30), name), {
        kind: 'InvalidParameter',
        message: new RegExp(`^invalid ${name} data: .*(end|EOF)`, 'i'),
      });
      const broken = Buffer.from(packed);
      broken.fill(0x55, 1000, 2000);
      await assert.rejects(inflated(broken, name), {
        kind: 'InvalidParameter',
        message: new RegExp(`^invalid ${name} data: `),
      });
    });

    test('a reader that leaves early, and a source that fails, leave no program behind', async () => {
      const packed = compress(randomBytes(1_000_000));
      for await (const chunk of inflateArchive(pieces(packed, 1000), name)) {
        assert.ok(chunk.length > 0);
        break;
      }
      const failing = async function* (): AsyncGenerator<Buffer> {
        yield packed.subarray(0, 100_000);
        throw new Error('connection lost');
      };
      await assert.rejects(async () => {
        for await (const chunk of inflateArchive(failing(), name)) assert.ok(chunk);
      }, /connection lost/);
    });
  });
}

test('gzip is as it was', async () => {
  assert.deepEqual(await inflated(gzipSync(content), detectArchiveCompression(gzipSync(content))), content);
});

test('what expands beyond reason is refused, naming the limit', () => {
  const limit = new ExpansionLimit('archive', { freeBytes: 1000, maxExpansion: 10 });
  limit.took(50);
  limit.gave(1000, 'xz');
  assert.throws(() => limit.gave(1, 'xz'), {
    kind: 'InvalidParameter',
    message: 'archive expands to more than 10 times its xz data: refused',
  });
});
