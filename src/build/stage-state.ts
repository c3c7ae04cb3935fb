/** Where a stage stands: its image so far and the configuration that the next step builds on. */
import type { DiffID } from '../image/digest.ts';
import type { RunConfig } from '../image/image-config.ts';
import { configPlatform } from '../image/image-config.ts';
import type { Platform } from '../image/platform.ts';
import type { Image } from '../image/store/image-store.ts';
import { DEFAULT_PATH } from '../oci/process.ts';

const DEFAULT_SHELL = ['/bin/sh', '-c'];

export class StageState {
  readonly name: string;
  platform: Platform;
  /** Undefined as long as a stage FROM scratch has no step. */
  image: Image | undefined;
  config: RunConfig;
  author = '';
  /** CMD was given in this stage: a later ENTRYPOINT leaves it. */
  cmdSet = false;

  constructor(name: string, platform: Platform, base: Image | undefined) {
    this.name = name;
    this.platform = base === undefined ? platform : configPlatform(base.config);
    this.image = base;
    this.config = structuredClone(base?.config.config ?? {});
    if (base !== undefined && typeof base.config.author === 'string') this.author = base.config.author;
    if (this.variable('PATH') === undefined) this.config.Env = [...this.env, `PATH=${DEFAULT_PATH}`];
  }

  get env(): readonly string[] {
    return this.config.Env ?? [];
  }

  get shell(): readonly string[] {
    const shell = this.config.Shell ?? [];
    return shell.length === 0 ? DEFAULT_SHELL : shell;
  }

  get layers(): readonly DiffID[] {
    return this.image?.diffIds ?? [];
  }

  variable(name: string): string | undefined {
    const entry = this.env.find((one) => one.startsWith(`${name}=`));
    return entry?.slice(name.length + 1);
  }

  /** Goes on from an image that a step made, now or in an earlier build. */
  use(image: Image): void {
    this.image = image;
    this.config = structuredClone(image.config.config);
    if (typeof image.config.author === 'string') this.author = image.config.author;
  }
}
