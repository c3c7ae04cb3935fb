/** Named contexts that are the result of another build: which of its images is meant, as layers to build on. */
import { NotFoundError } from '../../base/errors.ts';
import { formatPlatform, type Platform, platformRank } from '../../image/platform.ts';
import type { BuiltImage, BuiltLayer } from './solved.ts';

/** The one that fits `platform` best; the only one whatever it is for. Throws NotFound where none of several fits. */
export function resultFor(images: readonly BuiltImage[], platform: Platform, name: string): BuiltImage {
  const ranked = images
    .map((image) => ({ image, rank: platformRank(platform, image.platform) ?? Number.POSITIVE_INFINITY }))
    .sort((a, b) => a.rank - b.rank);
  const [best] = ranked;
  if (best === undefined || (images.length > 1 && best.rank === Number.POSITIVE_INFINITY)) {
    throw new NotFoundError(`build context ${name} has no result for platform ${formatPlatform(platform)}`);
  }
  return best.image;
}

/** Layers under which the other build cached its steps are no steps of this one. */
export function resultLayers({ layers }: BuiltImage): BuiltLayer[] {
  return layers.map(({ cacheKey: _, ...layer }) => layer);
}
