/** Refuses archives that expand beyond reason before they have filled the disk. Images expand by 2 to 10. */
import { InvalidParameterError } from '../../../base/errors.ts';

/** Up to here anything may expand as it likes; beyond, at most by the factor. */
const FREE_BYTES = 1 << 30;
const MAX_EXPANSION = 250;

export interface ExpansionBounds {
  freeBytes?: number;
  maxExpansion?: number;
}

export class ExpansionLimit {
  readonly #what: string;
  readonly #freeBytes: number;
  readonly #maxExpansion: number;
  #takenBytes = 0;
  #givenBytes = 0;

  /** `what`: for the error's text, as `image archive`. */
  constructor(what: string, { freeBytes = FREE_BYTES, maxExpansion = MAX_EXPANSION }: ExpansionBounds = {}) {
    this.#what = what;
    this.#freeBytes = freeBytes;
    this.#maxExpansion = maxExpansion;
  }

  /** Compressed bytes went in. */
  took(bytes: number): void {
    this.#takenBytes += bytes;
  }

  /** Uncompressed ones came out. Throws InvalidParameter where they are too many. */
  gave(bytes: number, compression: string): void {
    this.#givenBytes += bytes;
    if (this.#givenBytes <= this.#freeBytes || this.#givenBytes <= this.#takenBytes * this.#maxExpansion)
      return;
    throw new InvalidParameterError(
      `${this.#what} expands to more than ${this.#maxExpansion} times its ${compression} data: refused`,
    );
  }
}
