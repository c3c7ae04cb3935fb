/** Keeps long work on the daemon's thread in slices, so that others get their turn, and an abort is heard. */
import { setImmediate as turn } from 'node:timers/promises';

const TURN_MS = 10;

/** Of a list, whoever walks it asks for a turn at every such many entries. */
export const ENTRIES_AT_ONCE = 16;

export class Turns {
  readonly #signal: AbortSignal | undefined;
  #turnAt = performance.now() + TURN_MS;

  constructor(signal?: AbortSignal) {
    this.#signal = signal;
  }

  /** Resolves at once where the slice is not used up. Throws the signal's reason. */
  async take(): Promise<void> {
    if (performance.now() < this.#turnAt) return;
    await turn();
    this.#signal?.throwIfAborted();
    this.#turnAt = performance.now() + TURN_MS;
  }
}
