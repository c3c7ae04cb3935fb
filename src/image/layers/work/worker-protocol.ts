/**
 * What the daemon's main thread and a layer worker say to each other (structured clones over the worker's port). A
 * worker does one job at a time. Jobs that take a stream get it as `input` items, bounded by credits; exports give
 * theirs as `output`, bounded by acknowledgements.
 */
import { closeSync } from 'node:fs';
import { EngineError, type ErrorKind, errnoCode, errorMessage } from '../../../base/errors.ts';
import type { ImageFiles, MountMethod } from '../erofs/image-mount.ts';
import type { LayerFacts } from '../layer-target.ts';
import type { LayerCompression, LayerFileRun } from '../snapshotter.ts';
import type { TarHeader } from '../tar/tar-writer.ts';
import type { TreeFile, TreeFileRun } from '../tree-content.ts';
import type { FileExtent } from './growing-file.ts';

/** `unpacked`: a directory tree in overlayfs's form. `indexed`: the tar as it is, and an EROFS image that points into it. */
export type LayerFormat = 'unpacked' | 'indexed';

/** Where a layer's files are made; `directory` exists and is empty. */
export interface LayerFiles {
  format: LayerFormat;
  directory: string;
}

/** A layer that is made here, and its blob where one is wanted. */
export interface NewLayer {
  target: LayerFiles;
  blob?: { path: string; compression: LayerCompression };
}

export type Job =
  /** Stores a blob's content and checks its diffID. With `extent` the blob is still being written. */
  | {
      kind: 'add';
      blobPath: string;
      extent?: FileExtent;
      compression: LayerCompression | 'detect';
      diffId: string;
      target: LayerFiles;
    }
  /** Stores a tar: the file at `tarPath`, or the input's chunks where that is undefined. `files`: see TarOptions. */
  | { kind: 'tar'; tarPath: string | undefined; layer: NewLayer; files: boolean }
  /** Makes a layer of the input's entries. */
  | { kind: 'create'; layer: NewLayer }
  /** Makes a layer of an upper directory. */
  | { kind: 'commit'; upper: string; exclude: readonly string[]; layer: NewLayer }
  /** Gives the tar of an unpacked layer as output. */
  | { kind: 'export'; directory: string; withRoot: boolean }
  /** Makes one EROFS image of the indexes of an image's layers, base first, in an empty directory. */
  | { kind: 'merge'; layers: readonly { diffId: string; index: string }[]; directory: string }
  /** Fails with Internal where an index is not as it was written; `name` says whose it is. */
  | { kind: 'check'; index: string; name: string }
  /** Mounts an EROFS image: attaching loop devices flushes the files first. */
  | { kind: 'mount'; method: MountMethod; files: ImageFiles; target: string }
  /** Digests files below a directory. */
  | { kind: 'hash'; root: string; runs: readonly Omit<TreeFileRun, 'rootFd'>[] }
  /** Removes a tree; ends in the middle of it, with ECANCELED, once `stop`, in shared memory, is not 0. */
  | { kind: 'remove'; path: string; stop?: Int32Array }
  /** Flushes the file system that holds a directory. */
  | { kind: 'sync'; path: string };

export interface JobResult extends LayerFacts {
  diffId: string;
  blob?: { digest: string; sizeBytes: number };
  /** Of a `hash`: 32 bytes of SHA-256 for each file; zeros for empty ones. */
  digests?: Uint8Array;
}

export const NO_RESULT: JobResult = {
  sizeBytes: 0,
  hasRootEntry: false,
  hasOpaqueRoot: false,
  diffId: '',
};

/** Where an entry's content is read from. */
export type EntrySource = { path: string | Uint8Array } | { fd: number } | { file: TreeFile };

export type InputItem =
  /** An entry; without `source` the content of a file follows as chunks. */
  | { type: 'entry'; header: TarHeader; source?: EntrySource }
  | { type: 'chunk'; data: Uint8Array }
  | { type: 'files'; run: LayerFileRun }
  | { type: 'finish' };

/** Input bytes, counted by `inputCost`, that may be under way before credits come back. */
export const INPUT_WINDOW_BYTES = 2 * 1024 * 1024;
export const OUTPUT_WINDOW_BYTES = 1024 * 1024;
const ITEM_COST_BYTES = 256;

export function inputCost(items: readonly InputItem[]): number {
  let sum = 0;
  for (const item of items) {
    sum += ITEM_COST_BYTES;
    for (const { byteLength } of itemBytes(item)) sum += byteLength;
  }
  return sum;
}

/** What of an item is no object: memory of its own goes over to the worker, other is copied. */
export function itemBytes(item: InputItem): readonly ArrayBufferView[] {
  if (item.type === 'chunk') return [item.data];
  if (item.type !== 'files') return [];
  const { names, states, numbers, seconds } = item.run;
  return [names, states, numbers, seconds];
}

/** Closes the descriptors of items that nobody will read. */
export function closeSources(items: readonly InputItem[]): void {
  for (const item of items) {
    if (item.type === 'entry' && item.source !== undefined && 'fd' in item.source) closeSync(item.source.fd);
  }
}

export type ToWorker =
  | { kind: 'run'; job: Job }
  | { kind: 'abort' }
  | { kind: 'input'; items: InputItem[] }
  | { kind: 'ack'; bytes: number }
  /** How far the job's growing blob reaches now: the answer to `starved`. */
  | { kind: 'grown'; extent: FileExtent };

export interface WireError {
  errorKind: ErrorKind | undefined;
  message: string;
  /** The errno name, where the error bears one. */
  code: string | undefined;
}

export type FromWorker =
  | { kind: 'progress'; consumedBytes: number }
  | { kind: 'credit'; bytes: number }
  /** The job waits for its growing blob to have more than this. */
  | { kind: 'starved'; consumedBytes: number }
  | { kind: 'output'; chunk: Uint8Array }
  | { kind: 'done'; result: JobResult }
  | { kind: 'failed'; error: WireError };

/** Errors lose their class on the way; their kind, whole message and errno cross. */
export function toWireError(error: unknown): WireError {
  return {
    errorKind: error instanceof EngineError ? error.kind : undefined,
    message: errorMessage(error),
    code: codeOf(error),
  };
}

/** Its own, or that of what caused it: the text has all of them, and no causes travel. */
function codeOf(error: unknown): string | undefined {
  const code = errnoCode(error);
  return code === undefined && error instanceof Error && error.cause !== undefined
    ? codeOf(error.cause)
    : code;
}

export function fromWireError(error: WireError): EngineError {
  const { errorKind, message, code } = error;
  return Object.assign(new EngineError(errorKind ?? 'Internal', message), code === undefined ? {} : { code });
}
