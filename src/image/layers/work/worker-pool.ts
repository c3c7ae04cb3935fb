/**
 * The daemon's layer workers: threads that are started when there is work, do one job at a time, and end when they have
 * been idle for a while. Jobs queue for one place more than the machine has cores: the last of a row of equal jobs would
 * else run beside idle cores. Jobs that wait for the main thread to feed or drain them need no place, and one that
 * follows a growing file gives its place away while it waits for more, so that nobody's slowness blocks the others.
 */
import { existsSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { InternalError } from '../../../base/errors.ts';
import { beginSpan } from '../../../base/spans.ts';
import { addon, libraryDirectory } from '../../../native/addon.ts';
import type { FileExtent, GrowingFile } from './growing-file.ts';
import {
  closeSources,
  type FromWorker,
  fromWireError,
  INPUT_WINDOW_BYTES,
  type InputItem,
  inputCost,
  itemBytes,
  type Job,
  type JobResult,
  type ToWorker,
} from './worker-protocol.ts';

/** How long a thread that has nothing to do is kept. */
export interface IdleTimes {
  idleMs: number;
  /**
   * V8 compiles a thread's code anew, a fifth of the processor time of a large pull: threads whose jobs have taken so long,
   * as many as have places, are kept longer, for some 13 MB each.
   */
  warmMs: number;
  warmIdleMs: number;
}

const IDLE_TIMES: IdleTimes = { idleMs: 5000, warmMs: 1000, warmIdleMs: 120_000 };

export interface JobHooks {
  onProgress?: (consumedBytes: number) => void;
  /**
   * Sends the job's input. What it throws ends the job and is thrown by `run`. `send` takes the items' descriptors over,
   * also where it throws.
   */
  feed?: (send: (items: InputItem[]) => Promise<void>) => Promise<void>;
  /** Takes output; resolves when it wants more. */
  onOutput?: (chunk: Buffer) => Promise<void>;
  /** Of an `add`: the blob that is still being written. The job's error is its SourceLostError once it is lost. */
  growing?: GrowingFile;
}

/** What a running thread is given beside the caller's hooks. */
interface ThreadHooks extends JobHooks {
  onStarved?: (consumedBytes: number) => Promise<FileExtent>;
}

/** Bundled: layer-worker.cjs beside the addon. From the sources: the TypeScript file, which Node strips itself. */
function workerFile(): string {
  const bundled = join(libraryDirectory(), 'layer-worker.cjs');
  const source = join(import.meta.dirname, 'layer-worker.ts');
  return existsSync(source) ? source : bundled;
}

export class WorkerPool {
  readonly #limit: number;
  readonly #times: IdleTimes;
  readonly #idle: Thread[] = [];
  readonly #all = new Set<Thread>();
  readonly #queue: (() => void)[] = [];
  #limited = 0;

  constructor(limit: number = availableParallelism() + 1, times: IdleTimes = IDLE_TIMES) {
    this.#limit = limit;
    this.#times = times;
  }

  /**
   * Does a job. An abort ends it (while queued, too) and throws the signal's reason. Rejects with the job's error, or
   * InternalError where the thread died.
   */
  async run(job: Job, hooks: JobHooks = {}, signal?: AbortSignal): Promise<JobResult> {
    signal?.throwIfAborted();
    if (job.kind === 'add' && hooks.growing !== undefined) {
      return await this.#runFollowing(job, hooks, hooks.growing, signal);
    }
    const queues = hooks.feed === undefined && hooks.onOutput === undefined && job.kind !== 'sync';
    if (queues) await this.#acquire(signal);
    try {
      return await this.#runOnThread(job, hooks, signal);
    } finally {
      if (queues) this.#release();
    }
  }

  /** Holds a place only while there is something to read. */
  async #runFollowing(
    job: Extract<Job, { kind: 'add' }>,
    hooks: JobHooks,
    growing: GrowingFile,
    caller: AbortSignal | undefined,
  ): Promise<JobResult> {
    const ended = new AbortController();
    const signal = AbortSignal.any([growing.lost, ended.signal, ...(caller === undefined ? [] : [caller])]);
    let holding = false;
    const release = (): void => {
      if (holding) this.#release();
      holding = false;
    };
    const onStarved = async (consumedBytes: number): Promise<FileExtent> => {
      release();
      await growing.more(consumedBytes, signal);
      await this.#acquire(signal);
      holding = true;
      if (signal.aborted) release();
      signal.throwIfAborted();
      return growing.extent;
    };
    try {
      const extent = await onStarved(0);
      return await this.#runOnThread({ ...job, extent }, { ...hooks, onStarved }, signal);
    } finally {
      ended.abort();
      release();
    }
  }

  /** Ends all threads; jobs under way fail. */
  async close(): Promise<void> {
    await Promise.all([...this.#all].map((thread) => thread.terminate()));
  }

  async #acquire(signal: AbortSignal | undefined): Promise<void> {
    if (this.#limited < this.#limit) {
      this.#limited++;
      return;
    }
    await new Promise<void>((resolve, reject) => {
      const onAbort = (): void => {
        const at = this.#queue.indexOf(start);
        if (at >= 0) this.#queue.splice(at, 1);
        reject(signal?.reason);
      };
      const start = (): void => {
        signal?.removeEventListener('abort', onAbort);
        resolve();
      };
      signal?.addEventListener('abort', onAbort, { once: true });
      this.#queue.push(start);
    });
  }

  /** Hands the place to the next in the queue. */
  #release(): void {
    const next = this.#queue.shift();
    if (next === undefined) this.#limited--;
    else next();
  }

  async #runOnThread(job: Job, hooks: ThreadHooks, signal: AbortSignal | undefined): Promise<JobResult> {
    const thread = this.#idle.pop() ?? this.#start();
    try {
      return await thread.run(job, hooks, signal);
    } finally {
      if (this.#all.has(thread)) {
        const { idleMs, warmMs, warmIdleMs } = this.#times;
        const isKept = thread.workedMs >= warmMs && this.#idle.length < this.#limit;
        this.#idle.push(thread);
        thread.rest(isKept ? warmIdleMs : idleMs, () => this.#expire(thread));
      }
    }
  }

  #start(): Thread {
    const thread = new Thread(workerFile(), () => {
      this.#all.delete(thread);
      this.#forget(thread);
    });
    this.#all.add(thread);
    return thread;
  }

  /** The last that goes has the allocator give back what all of them left to it. */
  async #expire(thread: Thread): Promise<void> {
    this.#forget(thread);
    await thread.terminate();
    if (this.#all.size === 0) addon().trimMemory();
  }

  #forget(thread: Thread): void {
    const at = this.#idle.indexOf(thread);
    if (at >= 0) this.#idle.splice(at, 1);
  }
}

interface Current {
  hooks: ThreadHooks;
  resolve: (result: JobResult) => void;
  reject: (error: unknown) => void;
  /** Input under way, and who waits for room. */
  outstanding: number;
  wake: (() => void) | undefined;
  /** An error of this side, which takes precedence over what the aborted job says. */
  failure: { error: unknown } | undefined;
}

class Thread {
  readonly #worker: Worker;
  #current: Current | undefined;
  #timer: NodeJS.Timeout | undefined;
  /** How long its jobs have taken until now. */
  workedMs = 0;

  constructor(file: string, onExit: () => void) {
    /* Descriptors come from the addon and from the main thread too, which Node's bookkeeping takes for mistakes. */
    this.#worker = new Worker(file, { name: 'layer-worker', trackUnmanagedFds: false });
    this.#worker.on('message', (message: FromWorker) => this.#message(message));
    // It ends a little later: until then it must not get more work.
    this.#worker.on('error', (error) => {
      onExit();
      this.#died(new InternalError('a layer worker failed', error));
    });
    this.#worker.on('exit', () => {
      onExit();
      this.#died(new InternalError('a layer worker ended in the middle of its work'));
    });
  }

  async run(job: Job, hooks: ThreadHooks, signal: AbortSignal | undefined): Promise<JobResult> {
    clearTimeout(this.#timer);
    this.#worker.ref();
    let onAbort: (() => void) | undefined;
    const startedMs = performance.now();
    const ended = beginSpan('worker', `layer-worker: ${job.kind}`);
    try {
      return await new Promise<JobResult>((resolve, reject) => {
        const current: Current = {
          hooks,
          resolve,
          reject,
          outstanding: 0,
          wake: undefined,
          failure: undefined,
        };
        this.#current = current;
        this.#post({ kind: 'run', job });
        onAbort = () => this.#fail(current, signal?.reason);
        signal?.addEventListener('abort', onAbort, { once: true });
        if (signal?.aborted === true) onAbort();
        hooks
          .feed?.((items) => this.#send(current, items))
          .catch((error: unknown) => this.#fail(current, error));
      });
    } finally {
      if (onAbort !== undefined) signal?.removeEventListener('abort', onAbort);
      this.#current = undefined;
      this.workedMs += performance.now() - startedMs;
      ended();
    }
  }

  /** Calls `onExpired` unless there is new work within `ms`; meanwhile it keeps no process alive. */
  rest(ms: number, onExpired: () => Promise<void>): void {
    this.#worker.unref();
    this.#timer = setTimeout(() => void onExpired(), ms).unref();
  }

  async terminate(): Promise<void> {
    clearTimeout(this.#timer);
    await this.#worker.terminate();
  }

  #post(message: ToWorker): void {
    const items = message.kind === 'input' ? message.items : [];
    this.#worker.postMessage(
      message,
      items.flatMap((item) => itemBytes(item).flatMap(ownMemory)),
    );
  }

  /** Feeds and drains of a job may outlive it: they must not touch the next one. */
  #fail(current: Current, error: unknown): void {
    if (this.#current !== current) return;
    current.failure ??= { error };
    current.wake?.();
    this.#post({ kind: 'abort' });
  }

  #died(error: InternalError): void {
    const current = this.#current;
    if (current === undefined) return;
    const failure = current.failure ?? { error };
    current.failure = failure;
    current.wake?.();
    current.reject(failure.error);
  }

  async #send(current: Current, items: InputItem[]): Promise<void> {
    if (this.#current !== current || current.failure !== undefined) {
      closeSources(items);
      throw current.failure?.error ?? new InternalError('the layer was finished already');
    }
    current.outstanding += inputCost(items);
    this.#post({ kind: 'input', items });
    while (current.outstanding >= INPUT_WINDOW_BYTES) {
      await new Promise<void>((resolve) => {
        current.wake = resolve;
      });
      current.wake = undefined;
      throwFailure(current);
    }
  }

  #message(message: FromWorker): void {
    const current = this.#current;
    if (current === undefined) return;
    switch (message.kind) {
      case 'progress':
        current.hooks.onProgress?.(message.consumedBytes);
        return;
      case 'credit':
        current.outstanding -= message.bytes;
        if (current.outstanding < INPUT_WINDOW_BYTES) current.wake?.();
        return;
      case 'output':
        this.#output(current, message.chunk);
        return;
      case 'starved':
        this.#feedMore(current, message.consumedBytes);
        return;
      case 'done':
        if (current.failure === undefined) current.resolve(message.result);
        else current.reject(current.failure.error);
        return;
      case 'failed': {
        const failure = current.failure ?? { error: fromWireError(message.error) };
        current.failure = failure;
        current.wake?.();
        current.reject(failure.error);
      }
    }
  }

  #feedMore(current: Current, consumedBytes: number): void {
    current.hooks
      .onStarved?.(consumedBytes)
      .then((extent) => {
        if (this.#current === current) this.#post({ kind: 'grown', extent });
      })
      .catch((error: unknown) => this.#fail(current, error));
  }

  #output(current: Current, chunk: Uint8Array): void {
    const bytes = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength);
    current.hooks
      .onOutput?.(bytes)
      .then(() => {
        if (this.#current === current) this.#post({ kind: 'ack', bytes: bytes.length });
      })
      .catch((error: unknown) => this.#fail(current, error));
  }
}

function throwFailure(current: Current): void {
  if (current.failure !== undefined) throw current.failure.error;
}

/** Memory that nothing else is in goes over to the worker instead of being copied. */
function ownMemory({ buffer, byteLength }: ArrayBufferView): ArrayBuffer[] {
  return buffer instanceof ArrayBuffer && buffer.byteLength === byteLength ? [buffer] : [];
}
