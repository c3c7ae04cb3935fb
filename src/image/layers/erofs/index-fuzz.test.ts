/**
 * Broken and hostile tars and indexes. A mutated tar is refused as InvalidParameter, or gives an index that can be
 * walked, the same one twice and in any pieces; a mutated index is read and merged, or refused as Internal.
 * MYDOCK_FUZZ_CASES says how many; MYDOCK_FUZZ_SEED where to begin.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { tarOf } from '../suite/fixture.ts';
import { type ByteString, byteString } from '../tar/byte-string.ts';
import { SUPER, SUPER_OFFSET, superblockChecksum } from './format.ts';
import { IndexReader } from './index-reader.ts';
import { mergeIndexes } from './merge.ts';
import { buildIndex, describeEntry, seededRandom } from './suite/build-index.ts';
import { randomTar } from './suite/random-tar.ts';

const CASES = Number(process.env['MYDOCK_FUZZ_CASES'] ?? 1500);
const SEED = Number(process.env['MYDOCK_FUZZ_SEED'] ?? 1);
/** No case of a few kilobytes may take longer: what hangs is found by it. */
const CASE_MS = 20_000;

type Random = () => number;

const below = (random: Random, limit: number) => Math.floor(random() * limit);

/** A tar with what random ones lack: PAX records, sparse maps, long names. */
const SPECIAL = Buffer.concat([
  tarOf(
    { name: 'n'.repeat(180), type: 'file', content: 'long', mtimeSec: -3, mtimeNsec: 5 },
    { name: 'x', type: 'file', xattrs: [{ name: 'user.a' as ByteString, value: Buffer.from([0, 10, 255]) }] },
    { name: 'l', type: 'symlink', linkName: 't'.repeat(150) },
  ).subarray(0, -1024),
  sparseEntry('GNU.sparse.major=1', 'GNU.sparse.minor=0', 'GNU.sparse.name=s1', 'GNU.sparse.realsize=9000'),
  sparseMap(1, 8000, 512),
  tarOf({ name: 'end', type: 'directory' }),
]);

function sparseEntry(...records: string[]): Buffer {
  const body = records.map((record) => `${record.length + 4} ${record}\n`).join('');
  const tar = tarOf(
    { name: 'h', type: 'file', content: body },
    { name: 's', type: 'file', content: Buffer.alloc(1024) },
  );
  tar[156] = 0x78;
  withChecksum(tar, 0);
  /* Its content, two blocks, is given by the caller. */
  return tar.subarray(0, 1536);
}

function sparseMap(...numbers: number[]): Buffer {
  const blocks = Buffer.alloc(1024, 'd');
  blocks.fill(0, 0, 512);
  blocks.write(numbers.map((number) => `${number}\n`).join(''));
  return blocks;
}

function withChecksum(tar: Buffer, at: number): void {
  tar.fill(0x20, at + 148, at + 156);
  const sum = tar.subarray(at, at + 512).reduce((total, byte) => total + byte, 0);
  tar.write(`${sum.toString(8).padStart(6, '0')}\0 `, at + 148, 'latin1');
}

const EXTREMES = [
  '77777777777',
  '00000000000',
  '-1',
  '99999999999',
  '\x80\x00\x00\x00\x00\x00\x00\x00',
  '\xff'.repeat(12),
  `\x80${'\xff'.repeat(11)}`,
];
const FIELDS = [0, 100, 108, 116, 124, 136, 156, 157, 257, 329, 337, 345, 386, 482, 483];

function mutateTar(tar: Buffer, random: Random): Buffer {
  let mutated = Buffer.from(tar);
  for (let i = 1 + below(random, 4); i > 0 && mutated.length > 0; i--) {
    const block = below(random, Math.max(1, Math.floor(mutated.length / 512))) * 512;
    const kind = below(random, 6);
    const at = below(random, mutated.length);
    if (kind === 0) mutated[at] = (mutated[at] ?? 0) ^ (1 << below(random, 8));
    else if (kind === 1) mutated = mutated.subarray(0, at);
    else if (kind === 2) mutated = Buffer.concat([mutated.subarray(0, block), mutated.subarray(block + 512)]);
    else if (block + 512 <= mutated.length) {
      const field = FIELDS[below(random, FIELDS.length)] ?? 0;
      if (kind === 3) mutated.write(EXTREMES[below(random, EXTREMES.length)] ?? '', block + field, 'latin1');
      else if (kind === 4) mutated[block + 156] = '01234567DSLKxgV'.charCodeAt(below(random, 15));
      else mutated[block + below(random, 512)] = below(random, 256);
      withChecksum(mutated, block);
    }
  }
  return mutated;
}

function walkAll(index: Uint8Array): void {
  const reader = new IndexReader(index);
  for (const { path, inode } of reader.walk()) {
    describeEntry(reader, inode);
    reader.extents(inode);
    reader.lookup(path);
  }
}

/** Runs `body`, and says with what kind of error it failed; undefined: it did not. */
function kindOf(body: () => void): unknown {
  const start = performance.now();
  try {
    body();
    return undefined;
  } catch (error) {
    if (error instanceof Error && 'kind' in error) return error.kind;
    throw error;
  } finally {
    assert.ok(performance.now() - start < CASE_MS, 'it took too long');
  }
}

test('mutated tars are refused, or make an index that is whole', () => {
  for (let i = 0; i < CASES; i++) {
    const random = seededRandom(SEED + i);
    const tar = mutateTar(random() < 0.3 ? SPECIAL : randomTar(random), random);
    let index: Buffer | undefined;
    const kind = kindOf(() => {
      index = buildIndex(tar).index;
    });
    const at = `seed ${SEED + i}`;
    assert.ok(kind === undefined || kind === 'InvalidParameter', `${at}: ${String(kind)}`);
    const again = kindOf(() => {
      const other = buildIndex(tar, 1 + below(random, 700)).index;
      assert.ok(index?.equals(other), `${at}: another index from other pieces`);
    });
    assert.equal(again, kind, at);
    if (index === undefined) continue;
    walkAll(index);
    walkAll(mergeIndexes([index, index]).index);
  }
});

test('mutated indexes are read, or said to be damaged', () => {
  let read = 0;
  for (let i = 0; i < CASES; i++) {
    const random = seededRandom(SEED + i);
    const tar =
      random() < 0.2
        ? SPECIAL
        : tarOf(
            ...Array.from({ length: 60 }, (_, n) => ({
              name: `d${n % 5}/${'f'.repeat(n * 3)}${n}`,
              type: n % 9 === 0 ? ('directory' as const) : ('file' as const),
              content: n % 9 === 0 ? '' : 'x',
            })),
          );
    const { index } = buildIndex(tar);
    const mutated = Buffer.from(index);
    for (let n = 1 + below(random, 3); n > 0; n--) {
      const at = 1024 + below(random, mutated.length - 1024);
      if (random() < 0.5) mutated[at] = (mutated[at] ?? 0) ^ (1 << below(random, 8));
      else
        mutated.writeUInt16LE(
          [0, 0xffff, 0x7fff, 48, 64, below(random, 300)][below(random, 6)] ?? 0,
          Math.min(at, mutated.length - 2),
        );
    }
    mutated.writeUInt32LE(superblockChecksum(mutated), SUPER_OFFSET + SUPER.checksum);
    const bytes = random() < 0.1 ? mutated.subarray(0, below(random, mutated.length)) : mutated;
    for (const body of [() => walkAll(bytes), () => walkAll(mergeIndexes([index, bytes, index]).index)]) {
      const kind = kindOf(body);
      assert.ok(kind === undefined || kind === 'Internal', `seed ${SEED + i}: ${String(kind)}`);
      if (kind === undefined) read++;
    }
    kindOf(() => new IndexReader(bytes).lookup(byteString('d1/../d2/./ff')));
  }
  assert.ok(read > CASES / 10, 'some damage is harmless');
});
