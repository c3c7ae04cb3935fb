/**
 * The flags of a verb, and the values that a command line gives them. A library's tables do more than is needed here and
 * take a tenth of a short command's processor time: `run` has more than a hundred flags.
 */

/** Declared as `-m, --memory <bytes>`: with a type it takes a value, without one it is a switch. */
export class Flag {
  readonly declaration: string;
  readonly description: string;
  readonly short: string | undefined;
  readonly long: string;
  /** It takes a value. */
  readonly required: boolean;
  /** `--no-x`: a switch that is on unless it is given. */
  readonly negate: boolean;
  readonly defaultValue: unknown;
  /** Reads a value; `before` is the flag's value so far. */
  readonly parse: ((text: string, before: unknown) => unknown) | undefined;
  /** Accepted, and left out of help and completion. */
  readonly hidden: boolean;

  constructor(
    declaration: string,
    description: string,
    more: {
      defaultValue?: unknown;
      parse?: (text: string, before: unknown) => unknown;
      hidden?: boolean;
    } = {},
  ) {
    const comma = declaration.indexOf(', ');
    const long = declaration.slice(comma < 0 ? 0 : comma + 2);
    const space = long.indexOf(' ');
    this.declaration = declaration;
    this.description = description;
    this.short = comma < 0 ? undefined : declaration.slice(0, comma);
    this.long = space < 0 ? long : long.slice(0, space);
    this.required = space >= 0;
    this.negate = long.startsWith('--no-');
    this.defaultValue = more.defaultValue;
    this.parse = more.parse;
    this.hidden = more.hidden === true;
  }

  /** `memory-swap`. */
  get name(): string {
    return this.long.slice(2);
  }

  /** Where its value stands among the options: `memorySwap`, of `--no-x` `x`. */
  get optionName(): string {
    const name = this.negate ? this.long.slice('--no-'.length) : this.name;
    return name.includes('-') ? name.replace(/-(.)/g, (_, letter: string) => letter.toUpperCase()) : name;
  }
}

export class FlagTable {
  readonly flags: Flag[] = [];
  readonly #values: Record<string, unknown> = {};
  readonly #byName = new Map<string, Flag>();

  /** Throws where a name is taken. */
  add(flag: Flag): void {
    for (const name of flag.short === undefined ? [flag.long] : [flag.long, flag.short]) {
      if (this.#byName.has(name)) throw new Error(`flag ${name} is declared twice`);
      this.#byName.set(name, flag);
    }
    this.flags.push(flag);
    if (flag.defaultValue !== undefined) this.#values[flag.optionName] = flag.defaultValue;
    else if (flag.negate) this.#values[flag.optionName] = true;
  }

  /** A further name of a flag (`--net` for `--network`), which help does not show. */
  addAlias(alias: string, name: string): void {
    const flag = this.#byName.get(name);
    if (flag !== undefined) this.#byName.set(alias, flag);
  }

  /** The flag of that name (`--memory`, `-m`), also of an older name. */
  find(name: string): Flag | undefined {
    return this.#byName.get(name);
  }

  /** What `find` does, for the names that help shows. */
  findShown(name: string): Flag | undefined {
    const flag = this.#byName.get(name);
    return flag !== undefined && (flag.long === name || flag.short === name) ? flag : undefined;
  }

  /** A value as it was given; switches take booleans. Throws what the flag's `parse` throws. */
  set(flag: Flag, value: string | boolean): void {
    const name = flag.optionName;
    if (typeof value === 'boolean') this.#values[name] = flag.negate ? !value : value;
    else this.#values[name] = flag.parse === undefined ? value : flag.parse(value, this.#values[name]);
  }

  /** Every option that was given or has a default. */
  options(): Record<string, unknown> {
    return { ...this.#values };
  }
}
