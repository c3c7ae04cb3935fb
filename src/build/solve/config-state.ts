/** The configuration that a stage's instructions have come to so far: what the next one sees and changes. */
import type { ImageConfig, RunConfig } from '../../image/image-config.ts';
import { DEFAULT_PATH } from '../../oci/process.ts';

const DEFAULT_SHELL = ['/bin/sh', '-c'];

export class ConfigState {
  config: RunConfig;
  author: string;
  /** CMD was given in this stage: a later ENTRYPOINT leaves it. */
  cmdSet = false;

  /** Without a base there is nothing yet but a PATH. */
  constructor(base: Pick<ImageConfig, 'config' | 'author'> | undefined) {
    this.config = structuredClone(base?.config ?? {});
    this.author = base?.author ?? '';
    if (this.variable('PATH') === undefined) this.config.Env = [...this.env, `PATH=${DEFAULT_PATH}`];
  }

  get env(): readonly string[] {
    return this.config.Env ?? [];
  }

  get shell(): readonly string[] {
    const shell = this.config.Shell ?? [];
    return shell.length === 0 ? DEFAULT_SHELL : shell;
  }

  variable(name: string): string | undefined {
    const entry = this.env.find((one) => one.startsWith(`${name}=`));
    return entry?.slice(name.length + 1);
  }
}
