/**
 * The digests of the files that a copy takes: those that are remembered by what stat says, and the rest read: a few at
 * once, many by worker threads. What was read is remembered, where it will be found again.
 */

import { createHash, hash as hashAtOnce } from 'node:crypto';
import { statfsSync } from 'node:fs';
import { setImmediate as turn } from 'node:timers/promises';
import { InternalError } from '../../base/errors.ts';
import { step } from '../../base/steps.ts';
import type { ByteString } from '../../image/layers/tar/byte-string.ts';
import { readTreeFile } from '../../image/layers/tree-content.ts';
import { WorkerPool } from '../../image/layers/work/worker-pool.ts';
import { TREE_FIELDS } from '../../native/tree.ts';
import type { SourceTree } from '../source/source-tree.ts';
import {
  DIGEST_BYTES,
  type DigestedFile,
  type DirectoryIdentity,
  type FileDigests,
  isSettled,
  trustedUntil,
} from './file-digests.ts';
import type { Match, SelectedNode } from './selection.ts';
import { type FileEntry, TreeFiles } from './tree-files.ts';
import { Turns } from './turns.ts';

/** Up to here reading on this thread is quicker than waking another one. */
const AT_ONCE_BYTES = 2 * 1024 * 1024;
const AT_ONCE_FILES = 200;
/** What a worker gets at a time. */
const BATCH_BYTES = 64 * 1024 * 1024;
const BATCH_FILES = 4000;
const BUFFER_BYTES = 256 * 1024;
const REMEMBER_AT_ONCE = 500;
/**
 * File systems (statfs(2)) where stat does not tell one content from another: on EROFS, squashfs, ISO 9660, UDF, cramfs
 * and romfs all that it says is of whoever made the image, and the next image that is mounted has the same device;
 * overlayfs may lie on such; FAT numbers its files as they are met; with FUSE a user's program answers.
 */
const UNTOLD_TYPES = new Set([
  0xe0f5e1e2, 0x73717368, 0x9660, 0x15013346, 0x28cd3d45, 0x7275, 0x794c7630, 0x4d44, 0x65735546,
]);
const EMPTY_DIGEST = createHash('sha256').digest();

interface Directory {
  entry: FileEntry;
  files: FileEntry[];
}

/** Files of one tree that were not remembered. */
interface Unknown {
  tree: SourceTree;
  /** When the tree was listed, before any of it was read. */
  files: FileEntry[];
}

export class ContentDigests {
  readonly #store: FileDigests;
  readonly #listedMs: number;
  readonly #digests = new Map<FileEntry, Uint8Array>();
  readonly #directories = new Map<SourceTree, Directory[]>();
  #unknown: Unknown[] = [];

  private constructor(store: FileDigests, listedMs: number) {
    this.#store = store;
    this.#listedMs = listedMs;
  }

  /** Looks up what is remembered. `listedMs`: when the listing of the matches began. */
  static async lookUp(
    store: FileDigests,
    matches: readonly Match[],
    listedMs: number,
    turns: Turns,
  ): Promise<ContentDigests> {
    const digests = new ContentDigests(store, listedMs);
    for (const match of matches) digests.#take(match);
    for (const [tree, directories] of digests.#directories) await digests.#lookUp(tree, directories, turns);
    return digests;
  }

  #take(match: Match): void {
    const directories = this.#directories.get(match.tree) ?? [];
    this.#directories.set(match.tree, directories);
    if (match.node.entry.isFile) directories.push({ entry: match.directory, files: [match.node.entry] });
    else collect(match.node, directories);
  }

  /** Whether nothing has to be read. */
  get isComplete(): boolean {
    return this.#unknown.length === 0;
  }

  digest(entry: FileEntry): Uint8Array {
    const digest = entry.sizeBytes === 0 ? EMPTY_DIGEST : this.#digests.get(entry);
    if (digest === undefined) throw new InternalError(`no digest of ${JSON.stringify(entry.path)}`);
    return digest;
  }

  /** Reads what is not known. Throws InvalidParameter naming a file that is changed meanwhile. */
  async complete(signal: AbortSignal): Promise<void> {
    for (const { tree, files } of this.#unknown) {
      const digests = await digestFiles(tree, files, signal);
      for (const [index, entry] of files.entries()) {
        this.#digests.set(entry, digests.subarray(index * DIGEST_BYTES, (index + 1) * DIGEST_BYTES));
      }
      if (!isRemembered(tree)) continue;
      await step('build/remember-digests', tree.title, () => this.#remember(tree, new Set(files)));
    }
    this.#unknown = [];
  }

  async #lookUp(tree: SourceTree, directories: readonly Directory[], turns: Turns): Promise<void> {
    const mayBeKnown = isRemembered(tree);
    const unknown: FileEntry[] = [];
    for (const { entry, files } of directories) {
      await turns.take();
      const known = mayBeKnown ? this.#store.known(identityOf(entry)) : undefined;
      for (const file of files) {
        if (file.sizeBytes === 0 || this.#digests.has(file)) continue;
        const digest = known?.digest(file.state);
        if (digest === undefined) unknown.push(file);
        else this.#digests.set(file, digest);
      }
    }
    if (unknown.length > 0) this.#unknown.push({ tree, files: unknown });
  }

  async #remember(tree: SourceTree, read: ReadonlySet<FileEntry>): Promise<void> {
    const untilMs = trustedUntil(tree.path, this.#listedMs);
    let batch: { identity: DirectoryIdentity; files: DigestedFile[] }[] = [];
    for (const { entry, files } of this.#directories.get(tree) ?? []) {
      if (!files.some((file) => read.has(file))) continue;
      batch.push({ identity: identityOf(entry), files: this.#settled(files, untilMs) });
      if (batch.length < REMEMBER_AT_ONCE) continue;
      this.#store.remember(batch);
      batch = [];
      await turn();
    }
    if (batch.length > 0) this.#store.remember(batch);
  }

  #settled(files: readonly FileEntry[], untilMs: number): DigestedFile[] {
    const settled: DigestedFile[] = [];
    for (const file of files) {
      const state = file.state;
      if (file.sizeBytes > 0 && isSettled(state, untilMs)) settled.push({ state, digest: this.digest(file) });
    }
    return settled;
  }
}

function isRemembered(tree: SourceTree): boolean {
  return !UNTOLD_TYPES.has(statfsSync(tree.path).type);
}

function collect(node: SelectedNode, directories: Directory[]): void {
  const files: FileEntry[] = [];
  for (const child of node.children ?? []) {
    if (child.children !== undefined) collect(child, directories);
    else if (child.entry.isFile) files.push(child.entry);
  }
  if (files.length > 0) directories.push({ entry: node.entry, files });
}

function identityOf(directory: FileEntry): DirectoryIdentity {
  const [, high, low] = directory.identity.split(':');
  return { device: directory.field(TREE_FIELDS.device), inode: `${high}:${low}` };
}

async function digestFiles(
  tree: SourceTree,
  files: readonly FileEntry[],
  signal: AbortSignal,
): Promise<Buffer> {
  const bytes = files.reduce((sum, file) => sum + file.sizeBytes, 0);
  if (bytes <= AT_ONCE_BYTES && files.length <= AT_ONCE_FILES) return await digestHere(tree, files, signal);
  const pool = new WorkerPool();
  const failed = new AbortController();
  try {
    const jobs = [...batches(files)].map(async (batch) => {
      const paths = batch.map(({ path }) => path).join('\0') as ByteString;
      const job = { kind: 'hash', root: tree.path, paths, states: statesOf(batch) } as const;
      const { digests } = await pool.run(job, {}, AbortSignal.any([signal, failed.signal]));
      if (digests === undefined) throw new InternalError('a layer worker gave no digests');
      return digests;
    });
    try {
      return Buffer.concat(await Promise.all(jobs));
    } catch (error) {
      failed.abort();
      await Promise.allSettled(jobs);
      throw error;
    }
  } finally {
    await pool.close();
  }
}

async function digestHere(
  tree: SourceTree,
  files: readonly FileEntry[],
  signal: AbortSignal,
): Promise<Buffer> {
  const digests = Buffer.alloc(files.length * DIGEST_BYTES);
  const buffer = Buffer.allocUnsafe(BUFFER_BYTES);
  const reader = new TreeFiles(tree);
  const turns = new Turns(signal);
  try {
    for (const [index, { path, state, sizeBytes }] of files.entries()) {
      const file = { rootFd: reader.rootFd, path, state };
      if (sizeBytes <= buffer.length) {
        await readTreeFile(file, buffer, (piece) => {
          hashAtOnce('sha256', piece, 'buffer').copy(digests, index * DIGEST_BYTES);
        });
      } else {
        const hash = createHash('sha256');
        await readTreeFile(file, buffer, (piece) => void hash.update(piece));
        hash.digest().copy(digests, index * DIGEST_BYTES);
      }
      await turns.take();
    }
  } finally {
    reader.close();
  }
  return digests;
}

function* batches(files: readonly FileEntry[]): Generator<FileEntry[]> {
  let batch: FileEntry[] = [];
  let bytes = 0;
  for (const file of files) {
    batch.push(file);
    bytes += file.sizeBytes;
    if (bytes < BATCH_BYTES && batch.length < BATCH_FILES) continue;
    yield batch;
    batch = [];
    bytes = 0;
  }
  if (batch.length > 0) yield batch;
}

function statesOf(files: readonly FileEntry[]): Float64Array {
  const length = files[0]?.state.length ?? 0;
  const states = new Float64Array(files.length * length);
  for (const [index, file] of files.entries()) states.set(file.state, index * length);
  return states;
}
