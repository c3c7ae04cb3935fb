/** Variables of a Dockerfile as they are where an instruction stands, and which of them a text uses. */
import { InvalidParameterError } from '../../../base/errors.ts';
import type { EscapeCharacter } from '../ast.ts';
import { type ExpandOptions, expandWord, expandWords } from '../expand.ts';

export interface Expanded {
  /** Undefined where the text cannot be expanded: the build says why. */
  text: string | undefined;
  /** Names that have a value. */
  found: ReadonlySet<string>;
  missing: ReadonlySet<string>;
}

export class TrackedVariables {
  readonly #values: Map<string, string>;
  readonly #escapeChar: EscapeCharacter;

  constructor(values: Iterable<readonly [string, string]>, escapeChar: EscapeCharacter) {
    this.#values = new Map(values);
    this.#escapeChar = escapeChar;
  }

  copy(): TrackedVariables {
    return new TrackedVariables(this.#values, this.#escapeChar);
  }

  get names(): Iterable<string> {
    return this.#values.keys();
  }

  has(name: string): boolean {
    return this.#values.has(name);
  }

  get(name: string): string | undefined {
    return this.#values.get(name);
  }

  set(name: string, value: string): void {
    this.#values.set(name, value);
  }

  expand(text: string, how: Pick<ExpandOptions, 'literalQuotes'> = {}): Expanded {
    const [found, missing] = [new Set<string>(), new Set<string>()];
    const lookup = (name: string): string | undefined => {
      const value = this.#values.get(name);
      (value === undefined ? missing : found).add(name);
      return value;
    };
    const escapeChar = how.literalQuotes === true ? '\\' : this.#escapeChar;
    return { text: attempt(() => expandWord(text, { ...how, escapeChar, lookup })), found, missing };
  }

  /** As EXPOSE splits its ports. */
  words(text: string): string[] {
    const lookup = (name: string): string | undefined => this.#values.get(name);
    return attempt(() => expandWords(text, { escapeChar: this.#escapeChar, lookup })) ?? [];
  }
}

function attempt<T>(body: () => T): T | undefined {
  try {
    return body();
  } catch (error) {
    if (error instanceof InvalidParameterError) return undefined;
    throw error;
  }
}
