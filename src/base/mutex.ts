/**
 * Runs asynchronous sections one after the other, in the order in which they asked. Used to serialise the operations
 * on one object (a container, a layer); readers that only look do not take it.
 */
export class Mutex {
  #tail: Promise<unknown> = Promise.resolve();

  /** Runs `section` when all earlier ones have settled. Its error goes to its caller only. Not re-entrant. */
  run<T>(section: () => Promise<T> | T): Promise<T> {
    const result = this.#tail.then(section);
    this.#tail = result.catch(() => undefined);
    return result;
  }
}
