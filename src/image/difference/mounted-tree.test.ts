/** Trees on a disk: nothing outside of them is reached, nothing but regular files is opened. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { linkSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import type { ByteString } from '../layers/tar/byte-string.ts';
import { MountedTree, type MountedTreeOptions } from './mounted-tree.ts';
import { readBounded, type TreeFile } from './tree.ts';
import { compareMountedTrees } from './tree-comparison.ts';

let folder: string;
let root: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'tree-'));
  root = join(folder, 'root');
  mkdirSync(join(root, 'etc'), { recursive: true });
  writeFileSync(join(folder, 'secret'), 'of the host');
});
afterEach(() => rmSync(folder, { recursive: true }));

const path = (text: string): ByteString => text as ByteString;

function text(file: TreeFile | undefined): string | undefined {
  return file === undefined ? undefined : readBounded(file, 100).data.toString();
}

function withTree(options: Partial<MountedTreeOptions>, use: (tree: MountedTree) => void): void {
  const tree = new MountedTree({ root, identity: 'none', ...options });
  try {
    use(tree);
  } finally {
    tree.close();
  }
}

test('links lead to places inside the tree, or are not followed', () => {
  symlinkSync('../../secret', join(root, 'etc/out'));
  symlinkSync(join(folder, 'secret'), join(root, 'etc/absolute'));
  symlinkSync('/etc', join(root, 'conf'));
  symlinkSync('loop', join(root, 'loop'));
  writeFileSync(join(root, 'etc/file'), 'inside');
  withTree({}, (tree) => {
    assert.equal(tree.find(path('etc/out')), undefined);
    assert.equal(tree.find(path('etc/absolute')), undefined);
    assert.equal(tree.find(path('../../secret')), undefined);
    assert.equal(tree.find(path('loop')), undefined);
    assert.equal(text(tree.find(path('conf/file'))), 'inside');
    assert.equal(text(tree.open(path('etc/file'))), 'inside');
    assert.equal(tree.open(path('conf/file')), undefined);
    assert.equal(tree.list(path('conf')), undefined);
    assert.deepEqual(tree.names(path('conf'))?.sort(), ['absolute', 'file', 'out']);
    assert.equal(tree.list(path('etc/file')), undefined);
    const out = tree.list(path('etc'))?.find(({ name }) => name === 'out');
    assert.equal(out?.link, '../../secret');
  });
});

test('a FIFO or a folder in the place of a database is not opened', () => {
  execFileSync('mkfifo', [join(root, 'etc/fifo')]);
  withTree({}, (tree) => {
    assert.equal(tree.find(path('etc/fifo')), undefined);
    assert.equal(tree.open(path('etc/fifo')), undefined);
    assert.equal(tree.find(path('etc')), undefined);
  });
});

test("a container's own files have no identity, and what is hidden is not there", () => {
  const upper = join(folder, 'upper');
  mkdirSync(join(upper, 'etc'), { recursive: true });
  for (const name of ['own', 'image', 'hidden']) writeFileSync(join(root, 'etc', name), name);
  linkSync(join(root, 'etc/image'), join(root, 'etc/other-name'));
  writeFileSync(join(upper, 'etc/own'), '');
  withTree({ identity: 'inode', upper, hidden: ['/etc/hidden'] }, (tree) => {
    const entries = new Map(tree.list(path('etc'))?.map((entry) => [String(entry.name), entry]));
    assert.deepEqual([...entries.keys()].sort(), ['image', 'other-name', 'own']);
    assert.equal(entries.get('own')?.contentIdentity, undefined);
    assert.notEqual(entries.get('image')?.contentIdentity, undefined);
    assert.equal(entries.get('image')?.contentIdentity, entries.get('other-name')?.contentIdentity);
    assert.equal(entries.get('image')?.inode, entries.get('other-name')?.inode);
  });
});

test('in a thread of its own: an answer, an end on demand, no descriptor left open', async () => {
  writeFileSync(join(root, 'etc/file'), 'x');
  const other = join(folder, 'other');
  mkdirSync(join(other, 'etc'), { recursive: true });
  const options = { packages: true, files: true, content: true, times: false };
  const trees = [
    { root, identity: 'none' },
    { root: other, identity: 'none' },
  ] as const;
  const open = (): number => readdirSync('/proc/self/fd').length;
  await compareMountedTrees(...trees, options, new AbortController().signal);
  const before = open();
  const { files } = await compareMountedTrees(...trees, options, new AbortController().signal);
  assert.deepEqual(
    files?.Changes.map(({ Path, Kind }) => [Kind, Path]),
    [['removed', '/etc/file']],
  );
  const abort = new AbortController();
  const running = compareMountedTrees(...trees, options, abort.signal);
  abort.abort(new Error('no longer wanted'));
  await assert.rejects(running, /no longer wanted/);
  await assert.rejects(
    compareMountedTrees(
      { root: join(folder, 'missing'), identity: 'none' },
      trees[1],
      options,
      new AbortController().signal,
    ),
    /ENOENT/,
  );
  assert.equal(open(), before);
});
