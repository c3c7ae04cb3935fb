/**
 * `--squash`: what the steps of a build changed as one layer. Files that a later step replaced or removed are not in
 * it; removals of what the base has are.
 */
import { NotImplementedError } from '../../base/errors.ts';
import type { BuildParts } from './build-parts.ts';
import type { StageHistory } from './built-image.ts';
import type { BuiltLayer } from './solved.ts';
import type { StageResult } from './stage-run.ts';

export interface Squashed {
  layers: readonly BuiltLayer[];
  history: readonly StageHistory[];
}

export function squashLayers(parts: BuildParts, result: StageResult, signal: AbortSignal): Promise<Squashed> {
  void parts;
  void result;
  signal.throwIfAborted();
  throw new NotImplementedError('not implemented: squash');
}
