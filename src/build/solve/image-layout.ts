/**
 * The configuration of the image that a step makes: its parent's, with the step's changes, one more history entry, and
 * the layer where there is one (OCI image-spec, config.md).
 */
import type { DiffID } from '../../image/digest.ts';
import type { HistoryEntry, ImageConfig, RunConfig } from '../../image/image-config.ts';
import type { Platform } from '../../image/platform.ts';

/** An image that has nothing yet. */
export function scratchConfig(platform: Platform): ImageConfig {
  return {
    architecture: platform.architecture,
    os: platform.os,
    ...(platform.variant === undefined ? {} : { variant: platform.variant }),
    config: {},
    rootfs: { type: 'layers', diff_ids: [] },
    history: [],
  };
}

export interface ChildRequest {
  parent: ImageConfig;
  config: RunConfig;
  /** What the step did, as `docker history` shows it. */
  createdBy: string;
  /** RFC 3339. */
  created: string;
  author: string;
  layer?: DiffID;
}

/** Docker's private fields of the parent (its container's configuration, its ID) are left out. */
export function childConfig(request: ChildRequest): ImageConfig {
  const {
    container: _,
    container_config: __,
    id: ___,
    parent: ____,
    Size: _____,
    ...parent
  } = request.parent;
  const entry: HistoryEntry = {
    created: request.created,
    created_by: request.createdBy,
    ...(request.author === '' ? {} : { author: request.author }),
    ...(request.layer === undefined ? { empty_layer: true } : {}),
  };
  return {
    ...(parent as unknown as ImageConfig),
    created: request.created,
    ...(request.author === '' ? {} : { author: request.author }),
    config: request.config,
    rootfs: {
      type: 'layers',
      diff_ids: [...parent.rootfs.diff_ids, ...(request.layer === undefined ? [] : [request.layer])],
    },
    history: [...parent.history, entry],
  };
}

/** `NAME=value` set in a list, in the place of an earlier one. */
export function setEnv(env: readonly string[], name: string, value: string): string[] {
  const index = env.findIndex((entry) => entry.startsWith(`${name}=`) || entry === name);
  const text = `${name}=${value}`;
  return index < 0 ? [...env, text] : env.with(index, text);
}
