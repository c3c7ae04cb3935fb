/** Files of one directory are read many at a time: in order, whatever their sizes, and only while they are what was listed. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import {
  closeSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { O_DIRECTORY, O_PATH } from '../../native/inside-root.ts';
import { STATE_COUNT, STATE_FROM, TREE_FIELDS, treeAddon } from '../../native/tree.ts';
import type { ByteString } from './tar/byte-string.ts';
import { readTreeFiles, type TreeFileRun } from './tree-content.ts';
import { DIGEST_BYTES, digestTreeFiles } from './tree-digests.ts';

const SIZES = [0, 1, 999, 1000, 1001, 5000, 0, 10];
let folder: string;
let rootFd: number;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'mydock-tree-'));
  mkdirSync(join(folder, 'd'));
  for (const [i, size] of SIZES.entries()) writeFileSync(join(folder, 'd', `é${i}`), content(i, size));
  rootFd = openSync(folder, O_PATH | O_DIRECTORY);
});

afterEach(() => {
  closeSync(rootFd);
  rmSync(folder, { recursive: true });
});

function content(i: number, size: number): Buffer {
  return Buffer.alloc(size, String.fromCharCode(97 + i));
}

/** The folder's files as they are now, in the order of their numbers. */
async function listed(): Promise<TreeFileRun> {
  const listing = await treeAddon().treeList(rootFd, 'd', true);
  const names = listing.names.split('/');
  const sorted = names.toSorted();
  const states = new Float64Array(names.length * STATE_COUNT);
  for (const [i, name] of sorted.entries()) {
    const at = names.indexOf(name) * TREE_FIELDS.count;
    states.set(listing.fields.subarray(at + STATE_FROM, at + TREE_FIELDS.count), i * STATE_COUNT);
  }
  const bytes = Buffer.from(sorted.map((name) => `${name}\0`).join(''), 'latin1');
  return { rootFd, directory: 'd' as ByteString, names: bytes, states };
}

/** Contents by number. */
async function read(run: TreeFileRun, bufferBytes: number): Promise<Map<number, Buffer>> {
  const contents = new Map<number, Buffer>();
  await readTreeFiles(run, Buffer.alloc(bufferBytes), (index, piece) => {
    contents.set(index, Buffer.concat([contents.get(index) ?? Buffer.alloc(0), piece]));
  });
  return contents;
}

for (const bufferBytes of [1, 7, 1000, 1001, 2000, 100_000]) {
  test(`all of them, ${bufferBytes} bytes at a time`, async () => {
    const contents = await read(await listed(), bufferBytes);
    for (const [i, size] of SIZES.entries()) {
      assert.deepEqual(contents.get(i) ?? Buffer.alloc(0), content(i, size), `file ${i}`);
    }
  });
}

test('their digests, none for empty files', async () => {
  const digests = Buffer.alloc(SIZES.length * DIGEST_BYTES);
  await digestTreeFiles(await listed(), Buffer.alloc(1000), digests, 0, () => undefined);
  for (const [i, size] of SIZES.entries()) {
    const expected =
      size === 0 ? Buffer.alloc(DIGEST_BYTES) : createHash('sha256').update(content(i, size)).digest();
    assert.deepEqual(digests.subarray(i * DIGEST_BYTES, (i + 1) * DIGEST_BYTES), expected, `file ${i}`);
  }
});

const CHANGES: Record<string, (path: string) => void> = {
  'was written again': (path) => writeFileSync(path, content(9, 1000)),
  'became shorter': (path) => writeFileSync(path, 'x'),
  'went away': (path) => rmSync(path),
  'became a folder': (path) => {
    rmSync(path);
    mkdirSync(path);
  },
  'became a link to a file outside': (path) => {
    writeFileSync(join(folder, 'outside'), content(3, 1000));
    rmSync(path);
    symlinkSync('../outside', path);
  },
};

for (const [what, change] of Object.entries(CHANGES)) {
  test(`one that ${what} is named`, async () => {
    const run = await listed();
    change(join(folder, 'd/é3'));
    for (const bufferBytes of [500, 100_000]) {
      await assert.rejects(read(run, bufferBytes), /"d\/é3" was changed while it was read/);
    }
  });
}

test('a directory that became a link is not followed', async () => {
  const run = await listed();
  renameSync(join(folder, 'd'), join(folder, 'e'));
  symlinkSync('e', join(folder, 'd'));
  await assert.rejects(read(run, 100_000), /"d" was changed while it was read/);
});

test('names that would lead elsewhere lead nowhere', async () => {
  writeFileSync(join(folder, 'outside'), content(3, 1000));
  const { states } = await listed();
  const state = states.slice(3 * STATE_COUNT, 4 * STATE_COUNT);
  for (const name of ['../outside', '/etc/passwd', '..', '']) {
    const names = Buffer.from(`${name}\0`);
    await assert.rejects(
      read({ rootFd, directory: 'd' as ByteString, names, states: state }, 100_000),
      /was changed/,
    );
  }
  const cut = { rootFd, directory: 'd' as ByteString, names: Buffer.from('é3', 'latin1'), states: state };
  await assert.rejects(read(cut, 100_000), { code: 'EINVAL' });
});
