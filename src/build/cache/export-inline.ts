/**
 * The steps of a build that made an image's layers, said in the image's configuration (`--cache-to type=inline`, or
 * BuildKit's build argument for it). What is said depends on the steps alone and not on which of them were cached, so
 * that the image's ID does not either.
 */
import type { BuiltLayer, CacheTrail } from '../solve/solved.ts';
import type { SolveRequest } from '../solve-request.ts';
import { type CacheRecord, formatInline } from './cache-document.ts';

const INLINE_ARGUMENT = 'BUILDKIT_INLINE_CACHE';

/** Undefined where it was not asked for. */
export function inlineCache(
  { cacheTo, buildArgs }: Pick<SolveRequest, 'cacheTo' | 'buildArgs'>,
  trail: readonly CacheTrail[],
  layers: readonly BuiltLayer[],
): unknown {
  const argument = Object.hasOwn(buildArgs, INLINE_ARGUMENT) ? buildArgs[INLINE_ARGUMENT] : '';
  if (!cacheTo.some(({ type }) => type === 'inline') && argument !== '1' && argument !== 'true')
    return undefined;
  const diffIds = layers.map(({ diffId }) => diffId);
  return formatInline(recordsOf(trail, new Set(diffIds)), diffIds);
}

/** Those that changed nothing, or made one of the layers; all of them where those are undefined. Sorted. */
export function recordsOf(
  trail: readonly CacheTrail[],
  diffIds: ReadonlySet<string> | undefined,
): CacheRecord[] {
  return trail
    .filter(({ layer }) => layer === undefined || diffIds === undefined || diffIds.has(layer.diffId))
    .map(({ key, definition, aliases, layer }) => ({
      key,
      definition,
      aliases: [...aliases].sort(),
      layer: layer === undefined ? undefined : { diffId: layer.diffId, blob: undefined },
    }))
    .sort((a, b) => (a.key < b.key ? -1 : 1));
}
