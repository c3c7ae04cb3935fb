/**
 * What the daemon's main thread and a transfer's thread say to each other (structured clones over the worker's port).
 * A thread does one job, given as `workerData`, and ends. Streams are bounded in both directions: input by credits,
 * output by acknowledgements.
 */
import type { WireError } from '../../image/layers/work/worker-protocol.ts';

export type TransferJob =
  /** Gives the tree at `path` as a tar. */
  | { kind: 'pack'; path: string }
  /** Unpacks the input below `path`; at most `budgetBytes` of content. */
  | { kind: 'unpack'; path: string; budgetBytes: number | undefined }
  /** Copies a tree with its root's attributes into an empty directory. */
  | { kind: 'copy'; from: string; to: string }
  /** Renames all entries of `from` into `to`; with `attributes` those of the root are taken over as well. */
  | { kind: 'move'; from: string; to: string; attributes: boolean }
  /** Removes a tree; one that is not there is no error. */
  | { kind: 'remove'; path: string };

/** Input or output bytes that may be under way. */
export const WINDOW_BYTES = 2 * 1024 * 1024;

export type ToTransfer =
  | { kind: 'abort' }
  | { kind: 'input'; chunk: Uint8Array }
  | { kind: 'inputEnd' }
  | { kind: 'ack'; bytes: number };

export type FromTransfer =
  | { kind: 'credit'; bytes: number }
  | { kind: 'output'; chunk: Uint8Array }
  | { kind: 'done' }
  | { kind: 'failed'; error: WireError };
