/**
 * ARG: which build arguments may be used where, and with which values. Arguments in front of the first FROM serve
 * FROM lines, and stages that declare them again; those of a stage end with it.
 */

/** May be given without a declaration, reach RUN, and neither show in the history nor change the cache. */
const PROXY_ARGS = [
  'HTTP_PROXY',
  'http_proxy',
  'HTTPS_PROXY',
  'https_proxy',
  'FTP_PROXY',
  'ftp_proxy',
  'NO_PROXY',
  'no_proxy',
  'ALL_PROXY',
  'all_proxy',
];

export class BuildArgs {
  readonly #given: Readonly<Record<string, string | null>>;
  readonly #global = new Map<string, string | undefined>();
  readonly #stage = new Map<string, string | undefined>();
  readonly #used = new Set<string>();
  readonly #platform: Readonly<Record<string, string>>;

  /**
   * `given`: from `--build-arg`; null leaves the value to the Dockerfile. `platform`: TARGETPLATFORM and the like,
   * known to FROM lines and to stages that declare them.
   */
  constructor(given: Readonly<Record<string, string | null>>, platform: Readonly<Record<string, string>>) {
    this.#given = given;
    this.#platform = platform;
  }

  declareGlobal(name: string, value: string | undefined): void {
    this.#used.add(name);
    this.#global.set(name, value);
  }

  beginStage(): void {
    this.#stage.clear();
  }

  declare(name: string, value: string | undefined): void {
    this.#used.add(name);
    this.#stage.set(name, value);
  }

  /** For FROM lines and the arguments in front of them. */
  global(name: string): string | undefined {
    if (!this.#global.has(name))
      return this.#platform[name] ?? (isProxy(name) ? (this.#given[name] ?? undefined) : undefined);
    return this.#given[name] ?? this.#global.get(name) ?? this.#platform[name];
  }

  /** For the instructions of a stage. */
  lookup(name: string): string | undefined {
    if (this.#stage.has(name)) return this.#given[name] ?? this.#stage.get(name) ?? this.global(name);
    return isProxy(name) ? (this.#given[name] ?? undefined) : undefined;
  }

  /** `NAME=value` for RUN, without those that `taken` (the image's ENV) has. `visible` ones belong to the history. */
  environment(taken: ReadonlySet<string>): { all: string[]; visible: string[] } {
    const names = [...new Set([...this.#stage.keys(), ...PROXY_ARGS])].filter((name) => !taken.has(name));
    const entries = names.flatMap((name) => {
      const value = this.lookup(name);
      return value === undefined ? [] : [{ name, text: `${name}=${value}` }];
    });
    const visible = entries.filter(({ name }) => this.#stage.has(name) || !isProxy(name));
    return { all: entries.map(({ text }) => text), visible: visible.map(({ text }) => text).sort() };
  }

  /** Arguments that were given and that no ARG took. */
  unused(): string[] {
    return Object.keys(this.#given)
      .filter((name) => !this.#used.has(name) && !isProxy(name))
      .sort();
  }
}

function isProxy(name: string): boolean {
  return PROXY_ARGS.includes(name);
}
