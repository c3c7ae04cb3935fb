/**
 * Keeps the freezing of a container and the starts of execs in it apart: a process that is frozen on its way to its
 * program is given up by the supervisor after a while, and its exec fails for no reason that a user could see.
 */
export class FreezeGate {
  readonly #starting = new Set<Promise<unknown>>();
  #freezing: Promise<void> | undefined;

  /** Calls `begin` when no freeze is under way. A later freeze waits until what it returns has settled. */
  async start<T>(begin: () => Promise<T>): Promise<T> {
    while (this.#freezing !== undefined) await this.#freezing;
    const started = begin();
    this.#starting.add(started);
    try {
      return await started;
    } finally {
      this.#starting.delete(started);
    }
  }

  /** Calls `work` when every start has settled; others wait meanwhile. One call at a time. */
  async freeze(work: () => Promise<void>): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#freezing = promise;
    try {
      await Promise.allSettled(this.#starting);
      await work();
    } finally {
      this.#freezing = undefined;
      resolve();
    }
  }
}
