/** What a build needs from the engine to execute a RUN: one process in a container of its own over a mounted root. */
import type { Readable } from 'node:stream';
import type { Ulimit } from '../../api/host-config.ts';
import type { MountOwners } from '../../image/layers/mapped-mounts.ts';
import type { ContainerMount } from '../../oci/mounts.ts';
import type { StepLimits } from '../solve-request.ts';

export interface RunStep {
  /** 64 hex digits, new for each step. */
  id: string;
  /** Mounted and writable; what the step changes there becomes the layer. */
  rootfs: string;
  args: string[];
  /** Complete but for HOSTNAME and HOME: the image's ENV, and the build arguments. */
  env: string[];
  /** Absolute; made where it is missing. */
  cwd: string;
  /** `user[:group]`; empty is root. */
  user: string;
  /** As `--network` of a build: empty or `default`, `bridge`, `host`, `none`, `container:<id>`, a network's name or ID. */
  network: string;
  extraHosts: readonly string[];
  limits: StepLimits;
  ulimits?: readonly Ulimit[];
  cgroupParent?: string;
  /** As a privileged container. */
  insecure?: boolean;
  /** Host files to bind read-only, with the execute bit as they have it; made where the root lacks them below /dev. */
  files: { source: string; destination: string }[];
  /** Targets are looked up in the root by the kernel; what is missing is made, and taken away afterwards. */
  mounts?: readonly ContainerMount[];
  /** Somebody who types into it; else it has no input. */
  terminal?: StepTerminal;
  onOutput(chunk: Buffer, stream: 'stdout' | 'stderr'): void;
  /** Aborted: the step's processes are killed, and `run` rejects with the signal's reason. */
  signal: AbortSignal;
}

export interface StepTerminal {
  /** A pseudo terminal: all output comes as `stdout`. */
  tty: boolean;
  stdin: Readable;
  size?: TerminalSize;
  /** Gets, once the program runs, what changes the size of its terminal. */
  onStart?(resize: (size: TerminalSize) => void): void;
}

export interface TerminalSize {
  rows: number;
  columns: number;
}

export interface StepEnd {
  /** 127 and 126 also where the program could not be executed; `failure` then says why. */
  exitCode: number;
  failure?: string;
  /**
   * Folders of the root, deepest first and without links in their paths, in which nothing but mount points were made, and
   * those taken away again. Where the root's upper directory has them with nothing in them, that is all there is to them.
   */
  untouched: readonly string[];
}

export interface StepRunner {
  /** Calls `use` with whom the files in a step's root are to belong to; undefined: as on the disk. `run` comes inside. */
  withOwners<T>(
    step: Pick<RunStep, 'id' | 'network'>,
    use: (owners: MountOwners | undefined) => Promise<T>,
  ): Promise<T>;
  /** Runs to the end; nothing of the container is left. Rejects where it could not be made. */
  run(step: RunStep): Promise<StepEnd>;
}
