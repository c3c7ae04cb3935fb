/** From what the target's stage came to, to the image that the build gives: labels, inline cache, `--squash`. */
import { INLINE_FIELD } from '../cache/cache-document.ts';
import { inlineCache } from '../cache/export-inline.ts';
import type { SolveRequest } from '../solve-request.ts';
import { canonicalJson, imageConfigOf } from './built-image.ts';
import type { BuiltImage } from './solved.ts';
import { type SquashContext, squashed } from './squash.ts';
import type { StageResult } from './stage-run.ts';

export interface FinishContext extends SquashContext {
  request: SolveRequest;
}

export async function finishedImage(
  context: FinishContext,
  result: StageResult,
  epochSeconds: number,
): Promise<BuiltImage> {
  const { request } = context;
  const image = imageOf(context, result, epochSeconds);
  if (!request.squash) return image;
  const base = {
    layers: result.baseLayers,
    image: result.baseImage,
    historyLength: result.origin?.history.length ?? 0,
  };
  return await squashed(context, image, base);
}

function imageOf({ request, cache }: FinishContext, result: StageResult, epochSeconds: number): BuiltImage {
  const { origin, baseImage, state, history, platform } = result;
  const layers = [...result.baseLayers, ...result.layers];
  const config = imageConfigOf({
    platform,
    base: origin,
    config: state.config,
    author: state.author,
    labels: request.labels,
    history,
    diffIds: layers.map(({ diffId }) => diffId),
    epochSeconds,
  });
  // The layers of the steps are not those of a squashed image.
  const inline = request.squash ? undefined : inlineCache(request, cache.trail, layers);
  if (inline !== undefined) config[INLINE_FIELD] = inline;
  return {
    platform,
    config,
    configBytes: Buffer.from(canonicalJson(config)),
    layers,
    ...(baseImage === undefined ? {} : { base: baseImage.id }),
  };
}
