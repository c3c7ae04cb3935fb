/** What RUN is once all names in it are known, and what it leaves. Carried out by run-service.ts. */
import type { Ulimit } from '../../api/host-config.ts';
import type { DiffID } from '../../image/digest.ts';
import type { CommittedLayer } from '../../image/layers/snapshotter.ts';
import type { Platform } from '../../image/platform.ts';
import type { NewLayers } from '../new-layers.ts';
import type { ProgressVertex } from '../progress.ts';
import type { BuildSession } from '../session.ts';
import type { StepLimits } from '../solve-request.ts';
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
      /** Brings what an imported cache has of it into a new one; false where there is nothing. */
      imported?(directory: string, signal: AbortSignal): Promise<boolean>;
      /** A new one has the mode and the owner of the folder that it begins with, and not those given here. */
      keepsAttributes?: boolean;
      /** Tells caches apart that begin with different files: a digest of what `from` is. */
      fromKey?: string;
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

/** What all RUNs of one build have in common. */
export interface RunBuild {
  /** As BuildIo.id: names the build where a step that failed is kept. */
  id: string;
  session?: BuildSession | undefined;
  extraHosts: readonly string[];
  limits: StepLimits;
  ulimits: readonly Ulimit[];
  cgroupParent: string;
  /** What it may: `network.host`, `security.insecure`. */
  entitlements: readonly string[];
  /** A step that fails keeps its state, for RunService.shell. */
  keepFailed: boolean;
  newLayers: NewLayers;
}

export interface RunRequest {
  /** Base first. */
  layers: readonly StackedLayer[];
  platform: Platform;
  args: readonly string[];
  /** A heredoc that is a program of its own (`#!`): it stands at `/dev/pipes/<name>`. */
  script?: { name: string; content: string };
  /** Complete but for HOSTNAME and HOME. */
  env: readonly string[];
  cwd: string;
  user: string;
  /** Targets are absolute. */
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
  /** Resolves once the layer is stored; undefined where nothing changed. Rejects where it cannot be stored, or was released before. */
  readonly committed: Promise<CommittedLayer | undefined>;
  /**
   * The build needs it no longer. What lies in `upper` goes once it is stored and no root lies on it; where it is not
   * stored yet, it never will be. Idempotent.
   */
  release(): Promise<void>;
}
