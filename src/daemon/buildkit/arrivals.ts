/** For what a client names before it is there: those who look for it are woken whenever something has come. */

export class Arrivals {
  readonly #waiting = new Set<() => void>();

  announce(): void {
    for (const wake of [...this.#waiting]) wake();
  }

  /** Calls `find` now and whenever something came. Undefined after `maxMs`; throws the signal's reason. */
  async find<T>(find: () => T | undefined, maxMs: number, signal: AbortSignal): Promise<T | undefined> {
    const limit = AbortSignal.any([signal, AbortSignal.timeout(maxMs)]);
    for (;;) {
      const found = find();
      if (found !== undefined) return found;
      signal.throwIfAborted();
      if (limit.aborted) return undefined;
      await this.#next(limit);
    }
  }

  async #next(limit: AbortSignal): Promise<void> {
    await new Promise<void>((resolve) => {
      const wake = (): void => {
        this.#waiting.delete(wake);
        limit.removeEventListener('abort', wake);
        resolve();
      };
      this.#waiting.add(wake);
      limit.addEventListener('abort', wake);
      if (limit.aborted) wake();
    });
  }
}
