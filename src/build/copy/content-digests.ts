/**
 * The digests of the files that a copy takes: those that are remembered by what stat says, and the rest read: a few at
 * once, many by worker threads. What was read is remembered, where it will be found again.
 */

import { createHash } from 'node:crypto';
import { statfsSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { setImmediate as turn } from 'node:timers/promises';
import { InternalError } from '../../base/errors.ts';
import { step } from '../../base/steps.ts';
import { Turns } from '../../base/turns.ts';
import type { ByteString } from '../../image/layers/tar/byte-string.ts';
import { DIGEST_BYTES, digestTreeFiles } from '../../image/layers/tree-digests.ts';
import { WorkerPool } from '../../image/layers/work/worker-pool.ts';
import { STATE_COUNT, TREE_FIELDS } from '../../native/tree.ts';
import type { SourceTree } from '../source/source-tree.ts';
import {
  type DigestedFile,
  type DirectoryIdentity,
  type FileDigests,
  isSettled,
  type KnownFiles,
  trustedUntil,
} from './file-digests.ts';
import type { FileTable } from './file-table.ts';
import type { Match, SelectedNode } from './selection.ts';
import { type FileEntry, TreeFiles } from './tree-files.ts';

/** Up to here reading on this thread is quicker than waking another one. */
const AT_ONCE_BYTES = 2 * 1024 * 1024;
const AT_ONCE_FILES = 200;
/** What a worker gets at a time. */
const BATCH_BYTES = 64 * 1024 * 1024;
const BATCH_FILES = 4000;
const BUFFER_BYTES = 256 * 1024;
/** Files that are written down in one transaction. */
const REMEMBER_AT_ONCE = 20_000;
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
  files: FileTable;
}

/** Files of one tree that were not remembered. */
interface Unknown {
  tree: SourceTree;
  directories: Directory[];
}

export class ContentDigests {
  readonly #store: FileDigests;
  readonly #listedMs: number;
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
    if (match.kind === 'directory') collect(match.node, directories);
    else if (match.file.isFile(0)) directories.push({ entry: match.directory, files: match.file });
  }

  /** Whether nothing has to be read. */
  get isComplete(): boolean {
    return this.#unknown.length === 0;
  }

  /** Reads what is not known. Throws InvalidParameter naming a file that is changed meanwhile. */
  async complete(signal: AbortSignal): Promise<void> {
    for (const { tree, directories } of this.#unknown) {
      await digestFiles(tree, directories, signal);
      if (!isRemembered(tree)) continue;
      await step('build/remember-digests', tree.title, () => this.#remember(tree.path, directories));
    }
    this.#unknown = [];
  }

  async #lookUp(tree: SourceTree, directories: readonly Directory[], turns: Turns): Promise<void> {
    const mayBeKnown = isRemembered(tree);
    const unknown: Directory[] = [];
    for (const directory of directories) {
      await turns.take();
      const { entry, files } = directory;
      const known = mayBeKnown ? this.#store.known(identityOf(entry)) : undefined;
      if (known !== undefined) recall(files, known);
      if (hasUnknown(files)) unknown.push(directory);
    }
    if (unknown.length > 0) this.#unknown.push({ tree, directories: unknown });
  }

  async #remember(path: string, directories: readonly Directory[]): Promise<void> {
    const untilMs = trustedUntil(path, this.#listedMs);
    let batch: { identity: DirectoryIdentity; files: DigestedFile[] }[] = [];
    let count = 0;
    for (const { entry, files } of directories) {
      const settled = settledFiles(files, untilMs);
      batch.push({ identity: identityOf(entry), files: settled });
      count += settled.length;
      if (count < REMEMBER_AT_ONCE) continue;
      this.#store.remember(batch);
      batch = [];
      count = 0;
      await turn();
    }
    if (batch.length > 0) this.#store.remember(batch);
  }
}

/** The digest of a file that is known, or has no content. */
export function digestOf(files: FileTable, index: number): Uint8Array {
  const digest = files.sizeBytes(index) === 0 ? EMPTY_DIGEST : files.digest(index);
  if (digest === undefined) throw new InternalError(`no digest of ${JSON.stringify(files.path(index))}`);
  return digest;
}

/** Whether a file's digest has to be found out. */
function isUnknown(files: FileTable, index: number): boolean {
  return files.isFile(index) && files.sizeBytes(index) > 0 && !files.isKnown(index);
}

function hasUnknown(files: FileTable): boolean {
  for (let index = 0; index < files.count; index++) if (isUnknown(files, index)) return true;
  return false;
}

function recall(files: FileTable, known: KnownFiles): void {
  const state = new Float64Array(STATE_COUNT);
  for (let index = 0; index < files.count; index++) {
    if (!isUnknown(files, index)) continue;
    files.putState(index, state, 0);
    const digest = known.digest(state);
    if (digest !== undefined) files.setDigest(index, digest);
  }
}

function settledFiles(files: FileTable, untilMs: number): DigestedFile[] {
  const settled: DigestedFile[] = [];
  for (let index = 0; index < files.count; index++) {
    const digest = files.digest(index);
    if (digest === undefined) continue;
    const state = files.state(index);
    if (isSettled(state, untilMs)) settled.push({ state, digest });
  }
  return settled;
}

function isRemembered(tree: SourceTree): boolean {
  return !UNTOLD_TYPES.has(statfsSync(tree.path).type);
}

function collect(node: SelectedNode, directories: Directory[]): void {
  const { entry, files, folders } = node;
  if (files.count > 0) directories.push({ entry, files });
  for (const folder of folders) collect(folder, directories);
}

function identityOf(directory: FileEntry): DirectoryIdentity {
  const [, high, low] = directory.identity.split(':');
  return { device: directory.field(TREE_FIELDS.device), inode: `${high}:${low}` };
}

/** What is read at a time: some unknown files of a directory. */
interface Part {
  files: FileTable;
  indexes: Uint32Array;
  bytes: number;
}

async function digestFiles(
  tree: SourceTree,
  directories: readonly Directory[],
  signal: AbortSignal,
): Promise<void> {
  const batches = batchesOf(directories);
  const first = batches.next();
  if (first.done === true) return;
  const rest = batches.next();
  const bytes = first.value.reduce((sum, part) => sum + part.bytes, 0);
  const count = first.value.reduce((sum, part) => sum + part.indexes.length, 0);
  if (rest.done === true && bytes <= AT_ONCE_BYTES && count <= AT_ONCE_FILES) {
    await digestHere(tree, first.value, signal);
    return;
  }
  const waiting = [first.value, ...(rest.done === true ? [] : [rest.value])];
  const next = (): Part[] | undefined => {
    const there = waiting.shift();
    if (there !== undefined) return there;
    const step = batches.next();
    return step.done === true ? undefined : step.value;
  };
  await digestByWorkers(tree, next, signal);
}

/** Batches are made as workers take them: those of all files at once would take as much memory as the files' table. */
async function digestByWorkers(
  tree: SourceTree,
  next: () => Part[] | undefined,
  signal: AbortSignal,
): Promise<void> {
  const pool = new WorkerPool();
  const failed = new AbortController();
  const either = AbortSignal.any([signal, failed.signal]);
  const work = async (): Promise<void> => {
    for (let parts = next(); parts !== undefined; parts = next()) {
      const { digests } = await pool.run(
        { kind: 'hash', root: tree.path, runs: parts.map(runOf) },
        {},
        either,
      );
      if (digests === undefined) throw new InternalError('a layer worker gave no digests');
      takeDigests(parts, digests);
    }
  };
  const working = Array.from({ length: availableParallelism() }, work);
  try {
    await Promise.all(working);
  } catch (error) {
    failed.abort();
    await Promise.allSettled(working);
    throw error;
  } finally {
    await pool.close();
  }
}

async function digestHere(tree: SourceTree, parts: readonly Part[], signal: AbortSignal): Promise<void> {
  const digests = Buffer.alloc(parts.reduce((sum, { indexes }) => sum + indexes.length, 0) * DIGEST_BYTES);
  const buffer = Buffer.allocUnsafe(BUFFER_BYTES);
  const reader = new TreeFiles(tree);
  const turns = new Turns(signal);
  try {
    let at = 0;
    for (const part of parts) {
      const run = { ...runOf(part), rootFd: reader.rootFd };
      await digestTreeFiles(run, buffer, digests, at, () => turns.take());
      at += part.indexes.length * DIGEST_BYTES;
    }
  } finally {
    reader.close();
  }
  takeDigests(parts, digests);
}

function runOf({ files, indexes }: Part): { directory: ByteString; names: Uint8Array; states: Float64Array } {
  return { directory: files.directory, ...files.run(indexes) };
}

function takeDigests(parts: readonly Part[], digests: Uint8Array): void {
  let at = 0;
  for (const { files, indexes } of parts) {
    for (const index of indexes) {
      files.setDigest(index, digests.subarray(at, at + DIGEST_BYTES));
      at += DIGEST_BYTES;
    }
  }
}

function* batchesOf(directories: readonly Directory[]): Generator<Part[]> {
  let batch: Part[] = [];
  let bytes = 0;
  let count = 0;
  for (const { files } of directories) {
    for (const part of partsOf(files)) {
      batch.push(part);
      bytes += part.bytes;
      count += part.indexes.length;
      if (bytes < BATCH_BYTES && count < BATCH_FILES) continue;
      yield batch;
      batch = [];
      bytes = 0;
      count = 0;
    }
  }
  if (batch.length > 0) yield batch;
}

function* partsOf(files: FileTable): Generator<Part> {
  let indexes: number[] = [];
  let bytes = 0;
  for (let index = 0; index < files.count; index++) {
    if (!isUnknown(files, index)) continue;
    indexes.push(index);
    bytes += files.sizeBytes(index);
    if (bytes < BATCH_BYTES && indexes.length < BATCH_FILES) continue;
    yield { files, indexes: Uint32Array.from(indexes), bytes };
    indexes = [];
    bytes = 0;
  }
  if (indexes.length > 0) yield { files, indexes: Uint32Array.from(indexes), bytes };
}
