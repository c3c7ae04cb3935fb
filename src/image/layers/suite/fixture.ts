/** What the parts of the suite share: a driver with a folder of its own, tars by hand and by GNU tar. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import type { DiffID } from '../../digest.ts';
import { digestOf, parseDiffID } from '../../digest.ts';
import type { CommittedLayer, LayerCompression, Snapshotter } from '../snapshotter.ts';
import { byteString } from '../tar/byte-string.ts';
import { type TarHeader, TarWriter } from '../tar/tar-writer.ts';
import type { Manifest } from './tree-manifest.ts';

/** Attributes of a file with cap_net_raw=ep: struct vfs_cap_data, version 2. */
export const CAPABILITY = Buffer.from('0100000200200000000000000000000000000000', 'hex');

export interface SuiteDriver {
  /** A driver whose files lie in `root`. */
  open(root: string): Snapshotter;
  /** The names below `root` that belong to no layer: leftovers. */
  leftovers(root: string): string[];
  /** Checks the files of the store by other means; called at the end of each test. */
  check?(root: string): void;
}

/** A store and a scratch folder of one test. */
export class Fixture {
  readonly directory = mkdtempSync(join(tmpdir(), 'mydock-layers-'));
  readonly root = join(this.directory, 'store');
  readonly snapshotter: Snapshotter;
  readonly #driver: SuiteDriver;
  readonly #mounts: string[] = [];
  #count = 0;

  constructor(driver: SuiteDriver) {
    this.#driver = driver;
    this.snapshotter = driver.open(this.root);
  }

  path(name: string): string {
    return join(this.directory, name);
  }

  newDirectory(): string {
    const path = this.path(`directory-${this.#count++}`);
    mkdirSync(path, { mode: 0o755 });
    return path;
  }

  async add(tar: Buffer, compression: LayerCompression = 'none'): Promise<DiffID> {
    const blobPath = this.path(`blob-${this.#count++}`);
    const packed = compression === 'gzip' ? gzipSync(tar, { level: 1 }) : zstdCompressSync(tar);
    writeFileSync(blobPath, compression === 'none' ? tar : packed);
    const diffId = parseDiffID(digestOf(tar));
    await this.snapshotter.add({ blobPath, compression, diffId });
    return diffId;
  }

  async mount(
    layers: DiffID[],
    writable?: { upper: string; work: string; volatile?: boolean },
  ): Promise<string> {
    const target = this.newDirectory();
    await this.snapshotter.mount({ layers, target, ...writable });
    this.#mounts.push(target);
    return target;
  }

  writable(): { upper: string; work: string } {
    return { upper: this.newDirectory(), work: this.newDirectory() };
  }

  async unmount(target: string): Promise<void> {
    await this.snapshotter.unmount(target);
  }

  async close(): Promise<void> {
    for (const target of this.#mounts) await this.snapshotter.unmount(target);
    await this.snapshotter.close();
    this.#driver.check?.(this.root);
    rmSync(this.directory, { recursive: true, force: true });
  }
}

export type Entry = TarHeader & { content?: string | Buffer };

/** A tar of the entries; names may be plain text. */
export function tarOf(
  ...entries: (Omit<Entry, 'name' | 'linkName'> & { name: string; linkName?: string })[]
): Buffer {
  const parts: Buffer[] = [];
  const writer = new TarWriter((bytes) => parts.push(Buffer.from(bytes)));
  for (const { content = '', name, linkName, ...rest } of entries) {
    const data = Buffer.from(content);
    const link = linkName === undefined ? {} : { linkName: byteString(linkName) };
    writer.entry({ ...rest, ...link, name: byteString(name), size: data.length });
    writer.data(data);
  }
  writer.finish();
  return Buffer.concat(parts);
}

export function sh(directory: string, script: string): void {
  execFileSync('bash', ['-euc', script], { cwd: directory, stdio: ['ignore', 'inherit', 'inherit'] });
}

export function gnuTar(directory: string, ...options: string[]): Buffer {
  const xattrs = options.includes('--format=posix') ? ['--xattrs', '--xattrs-include=*'] : [];
  const all = [...xattrs, '--numeric-owner', '--sort=name', ...options];
  return throughFile((path) => {
    execFileSync('tar', [...all, '-cf', path, '-C', directory, '.']);
    return readFileSync(path);
  });
}

/** GNU tar's reading of a tar into a directory. */
export function gnuUntar(tar: Buffer, directory: string): void {
  const options = ['--xattrs', '--xattrs-include=*', '--numeric-owner', '--same-permissions', '--same-owner'];
  throughFile((path) => {
    writeFileSync(path, tar);
    execFileSync('tar', [...options, '-xf', path, '-C', directory]);
  });
}

/** A pipe carries 64 kB between two turns of its ends, which on a busy machine takes seconds for a tar. */
function throughFile<T>(body: (path: string) => T): T {
  const scratch = mkdtempSync(join(tmpdir(), 'mydock-tar-'));
  try {
    return body(join(scratch, 'tar'));
  } finally {
    rmSync(scratch, { recursive: true });
  }
}

export function assertSameTree(actual: Manifest, expected: Manifest): void {
  assert.deepEqual([...actual.keys()].sort(), [...expected.keys()].sort());
  for (const [path, entry] of expected) assert.deepEqual(actual.get(path), entry, path);
}

export function withFixture(
  driver: SuiteDriver,
  body: (fixture: Fixture) => Promise<void>,
): () => Promise<void> {
  return async () => {
    const fixture = new Fixture(driver);
    try {
      await body(fixture);
    } finally {
      await fixture.close();
    }
  };
}

export async function digestOfStream(stream: AsyncIterable<Uint8Array>): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of stream) hash.update(chunk);
  return `sha256:${hash.digest('hex')}`;
}

/** The blob, where the driver made one, is the layer again. */
export async function checkBlob(fixture: Fixture, layer: CommittedLayer): Promise<void> {
  assert.equal(layer.blob === undefined, fixture.snapshotter.keepsTars);
  if (layer.blob === undefined) return;
  const blob = readFileSync(layer.blob.path);
  assert.deepEqual([digestOf(blob), blob.length], [layer.blob.digest, layer.blob.sizeBytes]);
  await fixture.snapshotter.remove(layer.diffId);
  await fixture.snapshotter.add({ blobPath: layer.blob.path, compression: 'gzip', diffId: layer.diffId });
}

/** What is removed goes in the background, which on a busy machine can take a while. */
export async function noLeftovers(driver: SuiteDriver, root: string): Promise<void> {
  for (let i = 0; i < 3000 && driver.leftovers(root).length > 0; i++) {
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  assert.deepEqual(driver.leftovers(root), []);
}
