/**
 * Runs a transfer in a thread of its own, so that the daemon answers others meanwhile, however large the tree is. Few
 * run at a time; the others wait in order.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { InternalError, UnavailableError } from '../../base/errors.ts';
import { beginSpan } from '../../base/spans.ts';
import { fromWireError } from '../../image/layers/work/worker-protocol.ts';
import { Semaphore } from '../../image/semaphore.ts';
import { libraryDirectory } from '../../native/addon.ts';
import { type FromTransfer, type ToTransfer, type TransferJob, WINDOW_BYTES } from './transfer-protocol.ts';

const AT_ONCE = 4;
/** Names and links of a hostile archive are kept until its end; those of honest ones need a fraction. */
const MAX_HEAP_MB = 1024;

export interface TransferHooks {
  /** What `unpack` reads. Its errors end the job and are thrown. */
  input?: AsyncIterable<Buffer>;
  /** Takes what `pack` writes; resolves when it wants more. Its errors end the job and are thrown. */
  onOutput?: (chunk: Buffer) => Promise<void>;
}

const places = new Semaphore(AT_ONCE);

/** Bundled: transfer-worker.cjs beside the addon. From the sources: the TypeScript file, which Node strips itself. */
function workerFile(): string {
  const source = join(import.meta.dirname, 'transfer-worker.ts');
  return existsSync(source) ? source : join(libraryDirectory(), 'transfer-worker.cjs');
}

/**
 * Does a job. When it rejects (with the job's error, a hook's, or the signal's reason), the thread has let go of
 * everything. Removals need no place and no signal.
 */
export async function runTransfer(
  job: TransferJob,
  hooks: TransferHooks = {},
  signal: AbortSignal = new AbortController().signal,
): Promise<void> {
  if (job.kind === 'remove' && !existsSync(job.path)) return;
  signal.throwIfAborted();
  const waits = job.kind !== 'remove' && job.kind !== 'move';
  if (waits) await places.acquire(signal);
  try {
    await new TransferThread(job, hooks).run(signal);
  } finally {
    if (waits) places.release();
  }
}

class TransferThread {
  readonly #worker: Worker;
  readonly #hooks: TransferHooks;
  #failure: { error: unknown } | undefined;
  #done = false;
  #outstanding = 0;
  #written: Promise<void> = Promise.resolve();
  #wake: (() => void) | undefined;

  readonly #ended: () => void;

  constructor(job: TransferJob, hooks: TransferHooks) {
    this.#ended = beginSpan('worker', `transfer-worker: ${job.kind}`);
    this.#hooks = hooks;
    this.#worker = new Worker(workerFile(), {
      name: `volume-${job.kind}`,
      workerData: job,
      // Descriptors come from the addon, which Node's bookkeeping takes for mistakes.
      trackUnmanagedFds: false,
      resourceLimits: { maxOldGenerationSizeMb: MAX_HEAP_MB },
    });
  }

  async run(signal: AbortSignal): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const onAbort = (): void => this.#fail(signal.reason);
    this.#worker.on('message', (message: FromTransfer) => this.#message(message));
    this.#worker.on('error', (error: Error & { code?: string }) => {
      this.#failure ??= {
        error:
          error.code === 'ERR_WORKER_OUT_OF_MEMORY'
            ? new UnavailableError('the tree or archive is too large to be worked on: memory ran out')
            : new InternalError('a transfer failed', error),
      };
    });
    this.#worker.once('exit', () => resolve());
    signal.addEventListener('abort', onAbort, { once: true });
    if (signal.aborted) onAbort();
    this.#feed().catch((error: unknown) => this.#fail(error));
    try {
      await promise;
    } finally {
      this.#ended();
      signal.removeEventListener('abort', onAbort);
      this.#done ||= this.#failure !== undefined;
      this.#wake?.();
    }
    if (this.#failure !== undefined) throw this.#failure.error;
    if (!this.#done) throw new InternalError('a transfer ended in the middle of its work');
  }

  #post(message: ToTransfer, transfer: ArrayBuffer[] = []): void {
    this.#worker.postMessage(message, transfer);
  }

  #fail(error: unknown): void {
    this.#failure ??= { error };
    this.#wake?.();
    this.#post({ kind: 'abort' });
  }

  #message(message: FromTransfer): void {
    switch (message.kind) {
      case 'credit':
        this.#outstanding -= message.bytes;
        this.#wake?.();
        return;
      case 'output':
        this.#output(message.chunk);
        return;
      case 'done':
        this.#done = true;
        return;
      case 'failed':
        this.#failure ??= { error: fromWireError(message.error) };
    }
  }

  /** One chunk after the other: whoever takes them waits for room with each. */
  #output(chunk: Uint8Array): void {
    const bytes = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength);
    this.#written = this.#written
      .then(async () => {
        if (this.#failure !== undefined) return;
        await this.#hooks.onOutput?.(bytes);
        this.#post({ kind: 'ack', bytes: bytes.length });
      })
      .catch((error: unknown) => this.#fail(error));
  }

  /** Ends early, and gives the stream up, where the job has ended. */
  async #feed(): Promise<void> {
    if (this.#hooks.input === undefined) return;
    for await (const chunk of this.#hooks.input) {
      while (this.#outstanding >= WINDOW_BYTES && this.#failure === undefined && !this.#done) {
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
        this.#wake = undefined;
      }
      if (this.#failure !== undefined || this.#done) return;
      // A copy: a clone of the view would carry all of the buffer that it looks into.
      const own = new Uint8Array(chunk);
      this.#outstanding += own.length;
      this.#post({ kind: 'input', chunk: own }, [own.buffer]);
    }
    this.#post({ kind: 'inputEnd' });
  }
}
