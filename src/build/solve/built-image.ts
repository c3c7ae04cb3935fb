/**
 * From a finished stage to an image: its configuration, as bytes that depend on nothing but what is in it. Keys are
 * sorted, and nothing tells of the machine or the moment.
 */

import type { DiffID } from '../../image/digest.ts';
import type { HistoryEntry, ImageConfig, RunConfig } from '../../image/image-config.ts';
import type { Platform } from '../../image/platform.ts';
import { INLINE_FIELD } from '../cache/cache-document.ts';

const HISTORY_COMMENT = 'buildkit.dockerfile.v0';

/** One instruction, as the history will have it. */
export interface StageHistory {
  createdBy: string;
  author: string;
  /** Whether it made a layer. */
  layer: boolean;
}

export interface ImageInput {
  platform: Platform;
  /** Configuration that the first stage of the line came from. */
  base: ImageConfig | undefined;
  config: RunConfig;
  author: string;
  /** `--label`: beat those of the Dockerfile. */
  labels: Readonly<Record<string, string>>;
  history: readonly StageHistory[];
  /** Base first. */
  diffIds: readonly DiffID[];
  /** Seconds since 1970. */
  epochSeconds: number;
}

/**
 * Docker's private fields of the base (its container's configuration, its ID) are left out, and what the base says of the
 * cache of its own build.
 */
const PRIVATE = new Set([
  'container',
  'container_config',
  'id',
  'parent',
  'parent_id',
  'Size',
  'docker_version',
  INLINE_FIELD,
  'moby.buildkit.cache.v0',
]);

export function imageConfigOf(input: ImageInput): ImageConfig {
  const created = new Date(input.epochSeconds * 1000).toISOString().replace('.000Z', 'Z');
  const inherited = Object.fromEntries(
    Object.entries(input.base ?? {}).filter(([key]) => !PRIVATE.has(key)),
  ) as Partial<ImageConfig>;
  const labels = { ...(input.config.Labels ?? {}), ...input.labels };
  const config: RunConfig = {
    ...input.config,
    ...(Object.keys(labels).length === 0 ? {} : { Labels: labels }),
  };
  // Names of the machine or container that a base image was committed on.
  delete config.Hostname;
  delete config.Domainname;
  delete config['Image'];
  return {
    ...inherited,
    architecture: input.platform.architecture,
    os: input.platform.os,
    ...(input.platform.variant === undefined ? {} : { variant: input.platform.variant }),
    ...(input.author === '' ? {} : { author: input.author }),
    created,
    config,
    rootfs: { type: 'layers', diff_ids: [...input.diffIds] },
    history: [
      ...(input.base?.history ?? []),
      ...input.history.map(
        ({ createdBy, layer }): HistoryEntry => ({
          created,
          created_by: createdBy,
          comment: HISTORY_COMMENT,
          ...(layer ? {} : { empty_layer: true }),
        }),
      ),
    ],
  };
}

/** JSON with sorted keys: the same value is the same bytes. */
export function canonicalJson(value: unknown): string {
  return JSON.stringify(value, (_, item: unknown) => {
    if (typeof item !== 'object' || item === null || Array.isArray(item)) return item;
    return Object.fromEntries(Object.entries(item).sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0)));
  });
}
