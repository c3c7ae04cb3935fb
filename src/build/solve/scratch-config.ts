/** The configuration of an image that has nothing yet (OCI image-spec, config.md): where commits without a base begin. */
import type { ImageConfig } from '../../image/image-config.ts';
import type { Platform } from '../../image/platform.ts';

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
