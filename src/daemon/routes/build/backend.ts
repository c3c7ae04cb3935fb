/** What the build routes need of the engine. */
import type { Builder, FailedStepShells } from '../../../build/builder.ts';

export interface BuildBackend
  extends Pick<
    Builder,
    | 'solve'
    | 'export'
    | 'openFiles'
    | 'resolveSource'
    | 'platforms'
    | 'hostGateway'
    | 'cacheEntries'
    | 'prune'
  > {
  /** Whether clients may name folders of this machine as contexts. */
  readonly contextFolders: boolean;
  /** Shells in failed steps; undefined where clients may have none. */
  readonly failedSteps?: FailedStepShells;
}
