/**
 * The index against the unpacking driver: for random tars, both refuse in the same words, or both give the same tree;
 * and merged indexes against overlayfs over the same layers unpacked.
 * MYDOCK_FUZZ_CASES says how many; MYDOCK_FUZZ_SEED where to begin.
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { lstatSync, mkdirSync, mkdtempSync, readdirSync, readlinkSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { errorMessage } from '../../../base/errors.ts';
import { addon } from '../../../native/addon.ts';
import { Extractor } from '../extractor.ts';
import { TarReader } from '../tar/tar-reader.ts';
import { mergeIndexes } from './merge.ts';
import { buildIndex, describeIndex, seededRandom } from './suite/build-index.ts';
import { randomTar } from './suite/random-tar.ts';

const CASES = Number(process.env['MYDOCK_FUZZ_CASES'] ?? 200);
const SEED = Number(process.env['MYDOCK_FUZZ_SEED'] ?? 1);

/** As describeIndex has it, of a directory on a disk. */
function describeTree(root: string): Map<string, string> {
  const entries = new Map<string, string>();
  const visit = (path: Buffer, key: string): void => {
    const stat = lstatSync(path, { bigint: true, throwIfNoEntry: false });
    /* overlayfs lists whiteouts of directories that only one layer has, though nothing is there. */
    if (stat === undefined) return;
    const type = ['fifo', 'character', 'directory', 'block', 'file', 'symlink'][
      [1, 2, 4, 6, 8, 10].indexOf(Number(stat.mode >> 12n))
    ];
    const device = Number(stat.rdev);
    if (type === 'character' && device === 0) {
      entries.set(key, 'whiteout');
      return;
    }
    const seconds = stat.mtimeNs / 1_000_000_000n - (stat.mtimeNs % 1_000_000_000n < 0n ? 1n : 0n);
    const parts = [type, (stat.mode & 0o7777n).toString(8), `${stat.uid}:${stat.gid}`];
    parts.push(`${seconds}.${stat.mtimeNs - seconds * 1_000_000_000n}`, `${stat.nlink} links`);
    if (type === 'file') parts.push(`${stat.size} bytes`);
    if (type === 'symlink') parts.push(`to ${readlinkSync(path, { encoding: 'latin1' as BufferEncoding })}`);
    if (type === 'character')
      parts.push(`${(device >> 8) & 0xfff}:${(device & 0xff) | ((device >> 12) & 0xfff00)}`);
    const xattrs = addon().listXattrs(path);
    xattrs.sort((a, b) => (a.name < b.name ? -1 : 1));
    parts.push(...xattrs.map(({ name, value }) => `${name}=${value.toString('hex')}`));
    entries.set(key, parts.join(' '));
    if (type !== 'directory') return;
    for (const name of readdirSync(path, { encoding: 'buffer' }).sort(Buffer.compare)) {
      const childKey = key === '' ? name.toString('latin1') : `${key}/${name.toString('latin1')}`;
      visit(Buffer.concat([path, Buffer.from('/'), name]), childKey);
    }
  };
  visit(Buffer.from(root), '');
  return entries;
}

function outcome(make: () => Map<string, string>): Map<string, string> | string {
  try {
    return make();
  } catch (error) {
    return errorMessage(error);
  }
}

function unpack(tar: Buffer, directory: string): Map<string, string> {
  mkdirSync(directory, { mode: 0o755 });
  const extractor = new Extractor(directory, { findHoles: false });
  try {
    const reader = new TarReader(extractor);
    reader.push(tar);
    reader.finish();
    extractor.finish();
  } catch (error) {
    extractor.abort();
    throw error;
  }
  return describeTree(directory);
}

test('random tars mean the same unpacked and indexed', (context) => {
  if (process.getuid?.() !== 0) return context.skip('unpacking layers needs root');
  const directory = mkdtempSync(join(tmpdir(), 'mydock-same-'));
  try {
    let refused = 0;
    for (let i = 0; i < CASES; i++) {
      const tar = randomTar(seededRandom(SEED + i));
      const target = join(directory, 'fs');
      const expected = outcome(() => unpack(tar, target));
      const actual = outcome(() => describeIndex(buildIndex(tar).index));
      rmSync(target, { recursive: true });
      assert.deepEqual(actual, expected, `seed ${SEED + i}`);
      if (typeof expected === 'string') refused++;
    }
    assert.ok(refused < CASES * 0.75, `${refused} of ${CASES} tars were refused: too many to compare much`);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
});

/** Without what an implied directory has of its own: unpacked layers have such directories, merged ones look below. */
function withoutDirectories(entries: Map<string, string>): Map<string, string> {
  const plain = [...entries].map(
    ([path, text]) => [path, text.startsWith('directory') ? 'directory' : text] as const,
  );
  return new Map(plain);
}

/** Base first, as the unpacking driver mounts them: below an opaque root nothing is seen. */
function stacked(layers: readonly string[], target: string, empty: string): Map<string, string> {
  const lowers = [...layers.toReversed(), empty].join(':');
  execFileSync('mount', ['-t', 'overlay', 'layers', '-o', `ro,lowerdir=${lowers}`, target]);
  try {
    return describeTree(target);
  } finally {
    execFileSync('umount', [target]);
  }
}

test('random layers merge to what overlayfs shows', (context) => {
  if (process.getuid?.() !== 0) return context.skip('mounting needs root');
  const directory = mkdtempSync(join(tmpdir(), 'mydock-same-'));
  const place = (name: string) => join(directory, name);
  for (const name of ['target', 'empty']) mkdirSync(place(name), { mode: 0o755 });
  try {
    let compared = 0;
    for (let i = 0; i < CASES / 8; i++) {
      const random = seededRandom(SEED + i);
      const indexes: Buffer[] = [];
      let unpacked: string[] = [];
      while (indexes.length < 3) {
        const tar = randomTar(random);
        const target = place(`layer-${indexes.length}`);
        rmSync(target, { recursive: true, force: true });
        if (typeof outcome(() => unpack(tar, target)) === 'string') continue;
        const { index, hasOpaqueRoot } = buildIndex(tar);
        indexes.push(index);
        unpacked = hasOpaqueRoot ? [target] : [...unpacked, target];
      }
      const expected = withoutDirectories(stacked(unpacked, place('target'), place('empty')));
      const actual = withoutDirectories(describeIndex(mergeIndexes(indexes).index));
      assert.deepEqual(actual, expected, `seed ${SEED + i}`);
      compared += actual.size;
    }
    assert.ok(compared > CASES / 2, 'there was something to compare');
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
});
