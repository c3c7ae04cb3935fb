/**
 * Steps under way, over all builds of the daemon: who comes to the same step meanwhile waits for its result instead of
 * doing it again.
 */
import type { BuiltLayer } from './solved.ts';

export interface StepResult {
  key: string;
  layer: BuiltLayer | undefined;
}

export class Executions {
  readonly #running = new Map<string, Promise<StepResult>>();

  /**
   * Another's result, or undefined where the step is the caller's to do, who then calls `done` with its result (or
   * with what failed) in any case. A step that fails for another is done anew.
   */
  async join(
    lineage: string,
    signal: AbortSignal,
  ): Promise<{ result: StepResult } | { done: (result: Promise<StepResult>) => void }> {
    for (;;) {
      const running = this.#running.get(lineage);
      if (running === undefined) return { done: this.#begin(lineage) };
      const aborted = Promise.withResolvers<never>();
      const abort = (): void => aborted.reject(signal.reason as Error);
      signal.addEventListener('abort', abort, { once: true });
      try {
        signal.throwIfAborted();
        return { result: await Promise.race([running, aborted.promise]) };
      } catch {
        signal.throwIfAborted();
      } finally {
        signal.removeEventListener('abort', abort);
      }
    }
  }

  #begin(lineage: string): (result: Promise<StepResult>) => void {
    const own = Promise.withResolvers<StepResult>();
    this.#running.set(lineage, own.promise);
    const end = (): void => {
      if (this.#running.get(lineage) === own.promise) this.#running.delete(lineage);
    };
    own.promise.then(end, end);
    return (result) => own.resolve(result);
  }
}
