/**
 * ARG: which build arguments may be used where, and with which values. Arguments in front of the first FROM serve
 * FROM lines, and stages that declare them again; those of a stage end with it. Values given with the request beat
 * defaults; platform arguments (`TARGETARCH`) are known to FROM lines, and to stages that declare them.
 */

/** May be given without a declaration, reach RUN, and neither show in the history nor change the cache. */
const PROXY_ARGS: ReadonlySet<string> = new Set(
  ['HTTP_PROXY', 'HTTPS_PROXY', 'FTP_PROXY', 'NO_PROXY', 'ALL_PROXY'].flatMap((name) => [
    name,
    name.toLowerCase(),
  ]),
);

export type GivenArguments = Readonly<Record<string, string | null>>;

/** Arguments in front of the first FROM, for one target platform. */
export class GlobalArguments {
  readonly given: GivenArguments;
  readonly #platform: Readonly<Record<string, string>>;
  readonly #declared = new Map<string, string | undefined>();

  constructor(given: GivenArguments, platform: Readonly<Record<string, string>>) {
    this.given = given;
    this.#platform = platform;
  }

  declare(name: string, value: string | undefined): void {
    this.#declared.set(name, own(this.given, name) ?? value ?? this.#platformValue(name));
  }

  /** What FROM lines, and the declarations below this one, see. */
  lookup(name: string): string | undefined {
    if (this.#declared.has(name)) return this.#declared.get(name);
    const platform = this.#platformValue(name);
    if (platform !== undefined) return own(this.given, name) ?? platform;
    return isProxy(name) ? own(this.given, name) : undefined;
  }

  #platformValue(name: string): string | undefined {
    return Object.hasOwn(this.#platform, name) ? this.#platform[name] : undefined;
  }
}

/** Arguments of one stage, in the order of their declarations. */
export class StageArguments {
  readonly #global: GlobalArguments;
  readonly #declared: Map<string, string | undefined>;
  /** Declared with a value behind the last ENV of the name. */
  readonly #overEnv: Set<string>;
  readonly #stepEpoch: string;

  /**
   * `stepEpoch`: what SOURCE_DATE_EPOCH is where it is declared and nobody gave it a value. `above`: of the stage that this
   * one is FROM.
   */
  constructor(global: GlobalArguments, stepEpoch: number, above?: StageArguments) {
    this.#global = global;
    this.#stepEpoch = String(stepEpoch);
    this.#declared = new Map(above === undefined ? [] : above.#declared);
    this.#overEnv = new Set(above === undefined ? [] : above.#overEnv);
  }

  /** `value`: its default, expanded. Returns the value that the declaration gives. */
  declare(name: string, value: string | undefined): string | undefined {
    const fallback = name === 'SOURCE_DATE_EPOCH' ? this.#stepEpoch : undefined;
    const known = own(this.#global.given, name) ?? value ?? this.#global.lookup(name) ?? fallback;
    // Declared again without a value, it keeps the one that it has.
    this.#declared.set(name, known ?? this.#declared.get(name));
    if (known !== undefined && !isProxy(name)) this.#overEnv.add(name);
    return known;
  }

  /** ENV has set the name: what was declared above it counts no more. */
  setByEnv(name: string): void {
    this.#overEnv.delete(name);
  }

  /** The value that beats that of ENV: of ARG and ENV the later one counts. */
  override(name: string): string | undefined {
    return this.#overEnv.has(name) ? this.#declared.get(name) : undefined;
  }

  lookup(name: string): string | undefined {
    if (this.#declared.has(name)) return this.#declared.get(name);
    return isProxy(name) ? own(this.#global.given, name) : undefined;
  }

  /** `NAME=value` of all declared ones, without those in `shadowed` (the image's ENV wins). */
  declared(shadowed: ReadonlySet<string>): string[] {
    return [...this.#declared].flatMap(([name, value]) =>
      value === undefined || shadowed.has(name) || isProxy(name) ? [] : [`${name}=${value}`],
    );
  }

  /** `NAME=value` of all that were ever declared, as histories have them. */
  shown(variable: (name: string) => string | undefined): string[] {
    const names = [...this.#declared.keys()].filter((name) => !isProxy(name));
    return names.map((name) => `${name}=${variable(name) ?? ''}`);
  }

  /** `NAME=value` of the proxies in both spellings, for RUN alone: no part of what the step is. */
  proxies(shadowed: ReadonlySet<string>): string[] {
    return [...PROXY_ARGS].flatMap((name) => {
      const value = this.lookup(name) ?? this.lookup(otherSpelling(name));
      return value === undefined || shadowed.has(name) ? [] : [`${name}=${value}`];
    });
  }
}

/** A name like `constructor` is nobody's argument. */
function own(given: GivenArguments, name: string): string | undefined {
  return Object.hasOwn(given, name) ? (given[name] ?? undefined) : undefined;
}

function otherSpelling(name: string): string {
  return name === name.toUpperCase() ? name.toLowerCase() : name.toUpperCase();
}

export function isProxy(name: string): boolean {
  return PROXY_ARGS.has(name);
}

/** Given arguments that no ARG of the Dockerfile takes and that mean nothing to the builder. */
export function unusedArguments(given: GivenArguments, declared: ReadonlySet<string>): string[] {
  return Object.keys(given)
    .filter((name) => !declared.has(name) && !isProxy(name))
    .filter((name) => !name.startsWith('BUILDKIT_') && name !== 'SOURCE_DATE_EPOCH')
    .sort();
}
