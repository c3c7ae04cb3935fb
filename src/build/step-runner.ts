/** What a build needs from the engine to execute a RUN: one process in a container of its own over a mounted root. */
import type { MountOwners } from '../image/layers/mapped-mounts.ts';
import type { StepLimits } from './request.ts';

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
  extraHosts: string[];
  limits: StepLimits;
  /** Host files to bind read-only, with the execute bit as they have it; made where the root lacks them below /dev. */
  files: { source: string; destination: string }[];
  onOutput(chunk: Buffer, stream: 'stdout' | 'stderr'): void;
  /** Aborted: the step's processes are killed, and `run` rejects with the signal's reason. */
  signal: AbortSignal;
}

export interface StepRunner {
  /** Calls `use` with whom the files in a step's root are to belong to; undefined: as on the disk. `run` comes inside. */
  withOwners<T>(
    step: Pick<RunStep, 'id' | 'network'>,
    use: (owners: MountOwners | undefined) => Promise<T>,
  ): Promise<T>;
  /**
   * Runs to the end; nothing of the container is left. Rejects where the program could not be started (exit codes 125
   * to 127 belong to programs that did start).
   */
  run(step: RunStep): Promise<{ exitCode: number }>;
}
