/**
 * Work that several callers ask for at once and that is done once: each has its own abort signal and progress, and
 * the work is aborted when the last of them has gone away. Work that fails by its source, which is its starter's matter, is
 * begun again by those who only joined it.
 */
import { EngineError } from '../../../base/errors.ts';
import { SourceLostError } from './growing-file.ts';

type Progress = (consumedBytes: number) => void;

type Start<T> = (onProgress: Progress, signal: AbortSignal) => Promise<T>;

interface Run<T> {
  start: Start<T>;
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
    start: Start<T>,
  ): Promise<T> {
    for (;;) {
      const run = await this.#find(key, start);
      try {
        return await this.#wait(run, onProgress, signal);
      } catch (error) {
        const joined = run.start !== start;
        if (!joined || !isOfSource(error) || signal?.aborted === true) throw error;
      }
    }
  }

  async #wait(run: Run<T>, onProgress: Progress | undefined, signal: AbortSignal | undefined): Promise<T> {
    /* A function of its own, because two callers may pass the same. */
    const listener: Progress = (consumedBytes) => onProgress?.(consumedBytes);
    run.listeners.add(listener);
    try {
      signal?.throwIfAborted();
      return await untilAborted(run.promise, signal);
    } finally {
      run.listeners.delete(listener);
      run.callers--;
      if (run.callers === 0) {
        run.controller.abort();
        /* Whoever gives up last may rely on nothing being written any more. */
        await run.promise.catch(() => undefined);
      }
    }
  }

  /**
   * The run, with its new caller counted. One that was aborted is waited for, so that its leftovers are gone before the
   * next begins.
   */
  async #find(key: string, start: Start<T>): Promise<Run<T>> {
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

  #start(key: string, start: Start<T>): Run<T> {
    const controller = new AbortController();
    const listeners = new Set<Progress>();
    const report: Progress = (consumedBytes) => {
      for (const listener of listeners) listener(consumedBytes);
    };
    const promise = start(report, controller.signal).finally(() => this.#runs.delete(key));
    promise.catch(() => undefined);
    const run: Run<T> = { start, promise, controller, listeners, callers: 0 };
    this.#runs.set(key, run);
    return run;
  }
}

/** The source is lost, or is not what it should be. */
function isOfSource(error: unknown): boolean {
  return (
    error instanceof SourceLostError || (error instanceof EngineError && error.kind === 'InvalidParameter')
  );
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
