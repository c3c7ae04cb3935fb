/**
 * Work that several callers ask for at once and that is done once: each has its own abort signal and progress, and
 * the work is aborted when the last of them has gone away.
 */

type Progress = (consumedBytes: number) => void;

interface Run<T> {
  promise: Promise<T>;
  controller: AbortController;
  listeners: Set<Progress>;
  callers: number;
}

export class SharedRuns<T> {
  readonly #runs = new Map<string, Run<T>>();

  /** Joins the run of this key, or starts it. */
  async join(
    key: string,
    onProgress: Progress | undefined,
    signal: AbortSignal | undefined,
    start: (onProgress: Progress, signal: AbortSignal) => Promise<T>,
  ): Promise<T> {
    const run = await this.#find(key, start);
    /* A function of its own, because two callers may pass the same. */
    const listener: Progress = (consumedBytes) => onProgress?.(consumedBytes);
    run.listeners.add(listener);
    try {
      signal?.throwIfAborted();
      return await untilAborted(run.promise, signal);
    } finally {
      run.listeners.delete(listener);
      run.callers--;
      if (run.callers === 0) run.controller.abort();
    }
  }

  /**
   * The run, with its new caller counted. One that was aborted is waited for, so that its leftovers are gone before the
   * next begins.
   */
  async #find(
    key: string,
    start: (onProgress: Progress, signal: AbortSignal) => Promise<T>,
  ): Promise<Run<T>> {
    for (;;) {
      const found = this.#runs.get(key);
      const run = found ?? this.#start(key, start);
      if (!run.controller.signal.aborted) {
        run.callers++;
        return run;
      }
      await run.promise.catch(() => undefined);
    }
  }

  #start(key: string, start: (onProgress: Progress, signal: AbortSignal) => Promise<T>): Run<T> {
    const controller = new AbortController();
    const listeners = new Set<Progress>();
    const report: Progress = (consumedBytes) => {
      for (const listener of listeners) listener(consumedBytes);
    };
    const promise = start(report, controller.signal).finally(() => this.#runs.delete(key));
    promise.catch(() => undefined);
    const run: Run<T> = { promise, controller, listeners, callers: 0 };
    this.#runs.set(key, run);
    return run;
  }
}

async function untilAborted<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return await promise;
  let onAbort: (() => void) | undefined;
  const aborted = new Promise<never>((_, reject) => {
    onAbort = () => reject(signal.reason);
    signal.addEventListener('abort', onAbort, { once: true });
  });
  try {
    return await Promise.race([promise, aborted]);
  } finally {
    if (onAbort !== undefined) signal.removeEventListener('abort', onAbort);
  }
}
