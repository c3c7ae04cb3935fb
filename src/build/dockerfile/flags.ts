/** The flags of an instruction (`COPY --from=x --link`) against those that it has. */
import { InvalidParameterError } from '../../base/errors.ts';
import { didYouMean } from './suggest.ts';

export type FlagKind = 'string' | 'boolean' | 'list';

export class Flags {
  readonly #values = new Map<string, string[]>();

  /** Throws InvalidParameter for unknown, repeated and incomplete flags. */
  constructor(given: readonly string[], known: Readonly<Record<string, FlagKind>>) {
    for (const flag of given) {
      const at = flag.indexOf('=');
      const name = flag.slice(2, at < 0 ? undefined : at);
      const kind = Object.hasOwn(known, name) ? known[name] : undefined;
      if (kind === undefined)
        throw new InvalidParameterError(`unknown flag: --${name}${expected(name, known)}`);
      const earlier = this.#values.get(name) ?? [];
      if (kind !== 'list' && earlier.length > 0) {
        throw new InvalidParameterError(`duplicate flag specified: --${name}`);
      }
      const value = at < 0 ? 'true' : flag.slice(at + 1);
      if (kind === 'boolean' ? value === '' : at < 0) {
        throw new InvalidParameterError(`missing a value on flag: --${name}`);
      }
      if (kind === 'boolean' && !/^(?:true|false)$/i.test(value)) {
        throw new InvalidParameterError(`expecting boolean value for flag --${name}, not: ${value}`);
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
    return value === undefined ? undefined : value.toLowerCase() === 'true';
  }
}

function expected(name: string, known: Readonly<Record<string, FlagKind>>): string {
  const names = Object.keys(known);
  if (names.length === 0) return ' (no flags are allowed here)';
  const near = didYouMean(name, names);
  return near === '' ? ` (expected one of ${names.map((one) => `--${one}`).join(', ')})` : near;
}
