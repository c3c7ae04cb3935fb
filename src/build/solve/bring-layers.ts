/** Layers of results that only an imported cache has so far, for outputs that have need of their bytes. */
import type { SolveRequest } from '../solve-request.ts';
import type { StageResult } from './stage-run.ts';
import { fetchRemote } from './step-sources.ts';

/** To be called as long as a step can still be done where its layer cannot be had. */
export async function bringLayers(
  { outputs }: Pick<SolveRequest, 'outputs'>,
  results: readonly StageResult[],
  signal: AbortSignal,
): Promise<void> {
  if (outputs.every(({ type }) => type === 'cacheonly')) return;
  await Promise.all(results.map(({ baseLayers, layers }) => fetchRemote([...baseLayers, ...layers], signal)));
}
