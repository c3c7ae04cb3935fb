/** Where a stage stands: its image so far and the configuration that the next step builds on. */
import type { DiffID } from '../image/digest.ts';
import { configPlatform } from '../image/image-config.ts';
import type { Platform } from '../image/platform.ts';
import type { Image } from '../image/store/image-store.ts';
import { ConfigState } from './solve/config-state.ts';

export class StageState extends ConfigState {
  readonly name: string;
  platform: Platform;
  /** Undefined as long as a stage FROM scratch has no step. */
  image: Image | undefined;

  constructor(name: string, platform: Platform, base: Image | undefined) {
    super(base?.config);
    this.name = name;
    this.platform = base === undefined ? platform : configPlatform(base.config);
    this.image = base;
  }

  get layers(): readonly DiffID[] {
    return this.image?.diffIds ?? [];
  }

  /** Goes on from an image that a step made, now or in an earlier build. */
  use(image: Image): void {
    this.image = image;
    this.config = structuredClone(image.config.config);
    if (typeof image.config.author === 'string') this.author = image.config.author;
  }
}
