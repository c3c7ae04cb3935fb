/**
 * Indexes as the kernel reads them: mounted over their tars and compared, entry by entry, with the same layers unpacked
 * by GNU tar and stacked by overlayfs; and checked by fsck.erofs where that is installed.
 */
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { errorMessage } from '../../../base/errors.ts';
import { addon } from '../../../native/addon.ts';
import { assertSameTree, tarOf } from '../suite/fixture.ts';
import { treeManifest } from '../suite/tree-manifest.ts';
import { referenceImage, referenceManifest } from '../suite/trees.ts';
import { SUPER, SUPER_OFFSET } from './format.ts';
import { mergeIndexes } from './merge.ts';
import { type BuiltIndex, buildIndex } from './suite/build-index.ts';

const directory = mkdtempSync(join(tmpdir(), 'mydock-index-'));
let count = 0;

function newDirectory(): string {
  const path = join(directory, `d${count++}`);
  mkdirSync(path, { mode: 0o755 });
  return path;
}

function newFile(content: Buffer): string {
  const path = join(directory, `f${count++}`);
  writeFileSync(path, content);
  return path;
}

interface Stored {
  built: BuiltIndex;
  devices: string[];
}

function store(tar: Buffer): Stored {
  const built = buildIndex(tar);
  const devices = [newFile(tar)];
  if (built.spillBytes > 0) devices.push(newFile(built.spill()));
  return { built, devices };
}

function mounted<T>(index: Buffer, devices: string[], body: (target: string) => T): T {
  const target = newDirectory();
  addon().mountErofs({ source: newFile(index), devices, target, options: [], attributes: 0 });
  try {
    return body(target);
  } finally {
    execFileSync('umount', [target]);
  }
}

/** Why the kernel cannot mount an index from files; undefined where it can. */
function whyNot(): string | undefined {
  if (process.getuid?.() !== 0) return 'mounting needs root';
  try {
    mounted(mergeIndexes([]).index, [], () => undefined);
    return undefined;
  } catch (error) {
    return `this kernel mounts no EROFS from files: ${errorMessage(error)}`;
  }
}

/** fsck.erofs of a version that knows extra devices; undefined where there is none. */
function fsckWorks(): boolean {
  const { stdout, error } = spawnSync('fsck.erofs', ['--version'], { encoding: 'utf8' });
  const version = /erofs-utils\)? ?v?(\d+)\.(\d+)|(\d+)\.(\d+)/.exec(stdout ?? '');
  if (error !== undefined || version === null) return false;
  const [major, minor] = [Number(version[1] ?? version[3]), Number(version[2] ?? version[4])];
  return major > 1 || (major === 1 && minor >= 8);
}

/** Versions up to 1.8 crash over the checksum of a superblock in blocks of 512 bytes, so it is not told of any. */
function fsck(index: Buffer, devices: string[]): void {
  const copy = Buffer.from(index);
  copy.writeUInt32LE(
    copy.readUInt32LE(SUPER_OFFSET + SUPER.featureCompat) & ~1,
    SUPER_OFFSET + SUPER.featureCompat,
  );
  const options = devices.map((device) => `--device=${device}`);
  const { status, stderr } = spawnSync('fsck.erofs', [...options, newFile(copy)], { encoding: 'utf8' });
  assert.equal(status, 0, stderr);
}

const reason = whyNot();
after(() => rmSync(directory, { recursive: true, force: true }));

describe('indexes in the kernel', { skip: reason ?? false }, () => {
  for (const options of [
    ['--format=posix'],
    ['--format=posix', '--sparse'],
    ['--format=gnu', '--sparse'],
    ['--format=oldgnu'],
  ]) {
    it(`are what GNU tar unpacks: ${options.join(' ')}`, () => {
      const { tars, base, both } = referenceImage(...options);
      const layers = tars.map(store);
      const one = mergeIndexes(layers.slice(0, 1).map(({ built }) => built.index)).index;
      mounted(one, layers[0]?.devices ?? [], (target) => assertSameTree(treeManifest(target), base));
      const devices = layers.flatMap((layer) => layer.devices);
      mounted(mergeIndexes(layers.map(({ built }) => built.index)).index, devices, (target) =>
        assertSameTree(treeManifest(target), both),
      );
    });
  }

  it('stack in overlayfs unmerged as well, whiteouts and opaque directories included', () => {
    const { tars, both } = referenceImage('--format=posix');
    const [low, high] = tars.map(store);
    if (low === undefined || high === undefined) return;
    const target = newDirectory();
    mounted(low.built.index, low.devices, (lower) =>
      mounted(high.built.index, high.devices, (upper) => {
        execFileSync('mount', ['-t', 'overlay', 'layers', '-o', `ro,lowerdir=${upper}:${lower}`, target]);
        try {
          assertSameTree(treeManifest(target), both);
        } finally {
          execFileSync('umount', [target]);
        }
      }),
    );
  });

  it('hold large directories, long links and attributes, sizes at the edges of blocks', () => {
    const sizes = [0, 1, 511, 512, 513, 4095, 4096, 4097, 1_000_000];
    const tar = tarOf(
      { name: './', type: 'directory' },
      ...sizes.map((size) => ({
        name: `size-${size}`,
        type: 'file' as const,
        content: Buffer.alloc(size, size % 251),
      })),
      { name: 'many/', type: 'directory' },
      ...Array.from({ length: 2000 }, (_, i) => ({
        name: `many/${'x'.repeat(i % 200)}-${i}`,
        type: 'file' as const,
      })),
      ...[1, 300, 384, 385, 511, 512, 513, 4000].map((length) => ({
        name: `link-${length}`,
        type: 'symlink' as const,
        linkName: 'l'.repeat(length),
        xattrs: [{ name: 'trusted.x' as never, value: Buffer.alloc(Math.min(length * 3, 3000)) }],
      })),
    );
    const { built, devices } = store(tar);
    mounted(built.index, devices, (target) => {
      assertSameTree(treeManifest(target), referenceManifest({ newDirectory }, [tar]));
    });
  });

  it('pass fsck.erofs', { skip: fsckWorks() ? false : 'fsck.erofs 1.8 or newer is not installed' }, () => {
    const layers = [
      ...referenceImage('--format=posix', '--sparse').tars,
      tarOf(
        ...Array.from({ length: 5000 }, (_, i) => ({
          name: `d${i % 7}/${i}`,
          type: 'file' as const,
          content: `${i}`,
        })),
      ),
    ].map(store);
    for (const { built, devices } of layers) fsck(built.index, devices);
    const { index } = mergeIndexes(layers.map(({ built }) => built.index));
    fsck(
      index,
      layers.flatMap(({ devices }) => devices),
    );
  });
});
