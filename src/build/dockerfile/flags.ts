/** The flags of an instruction (`COPY --from=x --link`) against those that it has. */
import { InvalidParameterError } from '../../base/errors.ts';

export type FlagKind = 'string' | 'boolean' | 'list';

export class Flags {
  readonly #values = new Map<string, string[]>();

  /** Throws InvalidParameter for unknown, repeated and incomplete flags. */
  constructor(given: readonly string[], known: Readonly<Record<string, FlagKind>>) {
    for (const flag of given) {
      const at = flag.indexOf('=');
      const name = flag.slice(2, at < 0 ? undefined : at);
      const kind = known[name];
      if (kind === undefined) throw new InvalidParameterError(`unknown flag: --${name}${expected(known)}`);
      const earlier = this.#values.get(name) ?? [];
      if (kind !== 'list' && earlier.length > 0) {
        throw new InvalidParameterError(`duplicate flag specified: ${name}`);
      }
      if (kind !== 'boolean' && at < 0) throw new InvalidParameterError(`missing a value on flag: ${name}`);
      const value = at < 0 ? 'true' : flag.slice(at + 1);
      if (kind === 'boolean' && value !== 'true' && value !== 'false') {
        throw new InvalidParameterError(`expecting boolean value for flag ${name}, not: ${value}`);
      }
      this.#values.set(name, [...earlier, value]);
    }
  }

  string(name: string): string {
    return this.#values.get(name)?.[0] ?? '';
  }

  list(name: string): string[] {
    return this.#values.get(name) ?? [];
  }

  /** Undefined where it was not given. */
  boolean(name: string): boolean | undefined {
    const value = this.#values.get(name)?.[0];
    return value === undefined ? undefined : value === 'true';
  }
}

function expected(known: Readonly<Record<string, FlagKind>>): string {
  const names = Object.keys(known).map((name) => `--${name}`);
  return names.length === 0 ? ' (no flags are allowed here)' : ` (expected one of ${names.join(', ')})`;
}
