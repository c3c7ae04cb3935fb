/**
 * Entry point of a layer worker thread: takes jobs from the main thread one at a time (worker-protocol.ts) and does
 * them with layer-jobs.ts. Bundled as layer-worker.cjs beside the daemon; run from this file in development.
 */
import { parentPort } from 'node:worker_threads';
import type { FileExtent } from './growing-file.ts';
import { runJob } from './layer-jobs.ts';
import {
  closeSources,
  type FromWorker,
  type InputItem,
  inputCost,
  type Job,
  OUTPUT_WINDOW_BYTES,
  type ToWorker,
  toWireError,
} from './worker-protocol.ts';

/** A message costs as much as many small items. */
const CREDIT_BYTES = 64 * 1024;

const port = parentPort;
if (port === null) throw new Error('layer-worker runs as a worker thread only');

function post(message: FromWorker, transfer: ArrayBuffer[] = []): void {
  port?.postMessage(message, transfer);
}

/** One job's streams and its abort switch. */
class RunningJob {
  readonly controller = new AbortController();
  readonly #items: InputItem[] = [];
  #unacknowledged = 0;
  /** Input that was used and not yet credited. */
  #usedBytes = 0;
  #wake: (() => void) | undefined;
  #closed = false;
  #extent: FileExtent | undefined;

  async run(job: Job): Promise<void> {
    try {
      const result = await runJob(job, {
        signal: this.controller.signal,
        progress: (consumedBytes) => post({ kind: 'progress', consumedBytes }),
        input: () => this.#input(),
        output: (chunk) => this.#output(chunk),
        grown: (consumedBytes) => this.#grown(consumedBytes),
      });
      this.close();
      post({ kind: 'done', result });
    } catch (error) {
      this.close();
      post({ kind: 'failed', error: toWireError(error) });
    }
  }

  abort(): void {
    this.controller.abort();
    this.#wake?.();
  }

  receive(items: InputItem[]): void {
    this.#items.push(...items);
    if (this.#closed) this.close();
    this.#wake?.();
  }

  grow(extent: FileExtent): void {
    this.#extent = extent;
    this.#wake?.();
  }

  acknowledge(bytes: number): void {
    this.#unacknowledged -= bytes;
    this.#wake?.();
  }

  /** Descriptors that were handed over are closed here where no one came to read them. */
  close(): void {
    this.#closed = true;
    closeSources(this.#items.splice(0));
  }

  async #wait(): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#wake = resolve;
    });
    this.#wake = undefined;
    this.controller.signal.throwIfAborted();
  }

  async *#input(): AsyncGenerator<InputItem, void, undefined> {
    for (;;) {
      this.controller.signal.throwIfAborted();
      const item = this.#items.shift();
      if (item === undefined) {
        this.#giveCredit();
        await this.#wait();
        continue;
      }
      if (item.type === 'finish') return;
      yield item;
      this.#usedBytes += inputCost([item]);
      if (this.#usedBytes >= CREDIT_BYTES) this.#giveCredit();
    }
  }

  #giveCredit(): void {
    if (this.#usedBytes > 0) post({ kind: 'credit', bytes: this.#usedBytes });
    this.#usedBytes = 0;
  }

  async #grown(consumedBytes: number): Promise<FileExtent> {
    this.#extent = undefined;
    post({ kind: 'starved', consumedBytes });
    for (;;) {
      await this.#wait();
      if (this.#extent !== undefined) return this.#extent;
    }
  }

  async #output(chunk: Buffer): Promise<void> {
    while (this.#unacknowledged >= OUTPUT_WINDOW_BYTES) await this.#wait();
    this.#unacknowledged += chunk.length;
    post({ kind: 'output', chunk });
  }
}

let running: RunningJob | undefined;

port.on('message', (message: ToWorker) => {
  if (message.kind === 'run') {
    running = new RunningJob();
    void running.run(message.job);
  } else if (message.kind === 'abort') running?.abort();
  else if (message.kind === 'input') running?.receive(message.items);
  else if (message.kind === 'grown') running?.grow(message.extent);
  else running?.acknowledge(message.bytes);
});
