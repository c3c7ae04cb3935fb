/** What RUN is once all names in it are known, and what it leaves. */

import type { DiffID } from '../../image/digest.ts';
import type { CommittedLayer } from '../../image/layers/snapshotter.ts';
import type { Platform } from '../../image/platform.ts';
import type { ProgressVertex } from '../progress.ts';
import type { SourceTree } from '../source/source-tree.ts';

/** `RUN --mount`, with its source found. */
export type RunMount =
  | { type: 'bind'; target: string; tree: SourceTree | 'scratch'; source: string; readOnly: boolean }
  | {
      type: 'cache';
      target: string;
      id: string;
      sharing: 'shared' | 'private' | 'locked';
      /** What a new cache begins with. */
      from?: SourceTree;
      source: string;
      readOnly: boolean;
      mode: number;
      uid: number;
      gid: number;
    }
  | { type: 'tmpfs'; target: string; sizeBytes?: number }
  | {
      type: 'secret';
      id: string;
      /** Undefined with `env` alone. */
      target?: string;
      env?: string;
      required: boolean;
      mode: number;
      uid: number;
      gid: number;
    }
  | { type: 'ssh'; id: string; target?: string; required: boolean; mode: number; uid: number; gid: number };

/** The layers below a step: those that are stored, and those of steps whose changes are still being stored. */
export type StackedLayer = DiffID | PendingLayer;

export interface RunRequest {
  /** Base first. */
  layers: readonly StackedLayer[];
  platform: Platform;
  args: readonly string[];
  /** A heredoc that is a program of its own (`#!`). */
  script?: { name: string; content: string };
  /** Complete but for HOSTNAME and HOME. */
  env: readonly string[];
  cwd: string;
  user: string;
  mounts: readonly RunMount[];
  /** As RunStep.network. */
  network: string;
  /** `--security=insecure`: as a privileged container. */
  insecure: boolean;
  /** Modification times after this are set to it. Seconds since 1970. */
  epochSeconds: number;
  vertex: ProgressVertex;
  signal: AbortSignal;
}

/** The changes of a step that has ended: they can be built upon at once. */
export interface PendingLayer {
  /** The upper directory, until `release`. */
  readonly upper: string;
  /** Nothing changed. */
  readonly empty: boolean;
  /** Resolves once the layer is stored; undefined where nothing changed. */
  readonly committed: Promise<CommittedLayer | undefined>;
  release(): Promise<void>;
}
