/**
 * `--squash`: what a build's steps did as one layer above the base image, and the history that Docker's classic builder
 * writes of it: every step without a layer, and an entry for the merge.
 */
import { type DiffID, digestOf } from '../../image/digest.ts';
import type { ImageConfig } from '../../image/image-config.ts';
import type { Image } from '../../image/store/image-store.ts';
import type { Progress } from '../progress.ts';
import type { BuildParts } from './build-parts.ts';
import { canonicalJson } from './built-image.ts';
import { chainOf } from './layer-stack.ts';
import { mergeLayers } from './merged-layer.ts';
import type { BuiltImage, BuiltLayer } from './solved.ts';
import type { StepCacheUse } from './step-cache-use.ts';
import { definitionKey, stepKey } from './step-keys.ts';
import { fetchRemote } from './step-sources.ts';

export interface SquashContext {
  parts: Pick<BuildParts, 'snapshotter' | 'sources' | 'images'>;
  cache: StepCacheUse;
  progress: Progress;
  signal: AbortSignal;
}

export interface SquashBase {
  layers: readonly BuiltLayer[];
  /** Undefined from scratch. */
  image: Image | undefined;
  /** Entries of its history. */
  historyLength: number;
}

export async function squashed(
  context: SquashContext,
  image: BuiltImage,
  base: SquashBase,
): Promise<BuiltImage> {
  const above = image.layers.slice(base.layers.length);
  const merged = above.length < 2 ? above[0] : await merge(context, base.layers, above);
  const layers = merged === undefined ? [...base.layers] : [...base.layers, merged];
  const config = squashedConfig(
    image.config,
    base,
    layers.map(({ diffId }) => diffId),
  );
  return { ...image, layers, config, configBytes: Buffer.from(canonicalJson(config)) };
}

function squashedConfig(config: ImageConfig, base: SquashBase, diffIds: readonly DiffID[]): ImageConfig {
  const id = digestOf(Buffer.from(canonicalJson(config)));
  const comment = base.image === undefined ? `create new from ${id}` : `merge ${id} to ${base.image.id}`;
  const history = config.history.map((entry, index) =>
    index < base.historyLength ? entry : { ...entry, empty_layer: true },
  );
  const hasLayer = diffIds.length > base.layers.length;
  const { created } = config;
  return {
    ...config,
    rootfs: { type: 'layers', diff_ids: [...diffIds] },
    history: [
      ...history,
      { ...(created === undefined ? {} : { created }), comment, ...(hasLayer ? {} : { empty_layer: true }) },
    ],
  };
}

async function merge(
  context: SquashContext,
  below: readonly BuiltLayer[],
  above: readonly BuiltLayer[],
): Promise<BuiltLayer> {
  const { parts, cache, progress, signal } = context;
  const vertex = progress.vertex('squashing layers');
  const definition = definitionKey({ kind: 'squash' });
  const key = stepKey(definition, chainOf(below), chainOf([...below, ...above]));
  const description = `squashed ${above.length} layers`;
  const known = await cache.find(key, definition);
  if (known?.layer !== undefined) {
    vertex.cached();
    return known.layer;
  }
  return await progress.during(vertex, async () => {
    await fetchRemote([...below, ...above], signal);
    const request = {
      below: below.map(({ diffId }) => diffId),
      layers: above.map(({ diffId }) => diffId),
      newLayers: cache.newLayers,
    };
    const committed = await mergeLayers(parts, request, signal);
    const stored = await parts.images.keepBlob(committed);
    const layer = { ...stored, sizeBytes: committed.sizeBytes, cacheKey: key };
    cache.store({ key, definition, layer, description, parent: above.at(-1)?.cacheKey });
    return layer;
  });
}
