/**
 * The progress of one build, kept until its client asks for it and passed on as it reads. Clients open the stream
 * beside the build, some a moment later; what waits for one that does not read is bounded: output of steps is dropped
 * first, never what says that they began or ended.
 */
import type { BuildStatus } from '../../api/build-status.ts';

const WAITING_LOGS_MAX_BYTES = 16 << 20;
/** Amounts of downloads come often, and each says all that the one before it did. */
const WAITING_AMOUNTS_MAX = 10_000;

export class StatusLog {
  #waiting: BuildStatus[] = [];
  #logBytes = 0;
  #amounts = 0;
  #ended = false;
  #taken = false;
  readonly #readers = new Set<() => void>();

  readonly add = (status: BuildStatus): void => {
    if (this.#ended) return;
    const bytes = (status.logs ?? []).reduce((sum, { data }) => sum + data.length, 0);
    const amounts = status.statuses?.length ?? 0;
    const done = status.statuses?.every(({ completed }) => completed !== undefined) ?? true;
    const tooMuch =
      (bytes > 0 && this.#logBytes + bytes > WAITING_LOGS_MAX_BYTES) ||
      (amounts > 0 && !done && this.#amounts + amounts > WAITING_AMOUNTS_MAX);
    if (tooMuch) return;
    this.#logBytes += bytes;
    this.#amounts += amounts;
    this.#waiting.push(status);
    this.#wake();
  };

  end(): void {
    this.#ended = true;
    this.#wake();
  }

  #wake(): void {
    for (const wake of [...this.#readers]) wake();
  }

  /** All of it, in order, until the build ends. Of several readers each gets what no other has read. */
  async *read(signal: AbortSignal): AsyncGenerator<BuildStatus> {
    this.#taken = true;
    let wake = (): void => undefined;
    const woken = (): void => wake();
    this.#readers.add(woken);
    signal.addEventListener('abort', woken);
    try {
      for (;;) {
        const batch = this.#waiting;
        this.#waiting = [];
        this.#logBytes = 0;
        this.#amounts = 0;
        yield* merged(batch);
        if (signal.aborted) return;
        if (this.#waiting.length > 0) continue;
        if (this.#ended) return;
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
    } finally {
      this.#readers.delete(woken);
      signal.removeEventListener('abort', woken);
    }
  }

  /** Whether anybody has asked for it. */
  get taken(): boolean {
    return this.#taken;
  }
}

const MERGED_MAX = 200;

/** Fewer, larger messages: each costs the client a redraw. */
function* merged(batch: readonly BuildStatus[]): Generator<BuildStatus> {
  for (let at = 0; at < batch.length; at += MERGED_MAX) {
    const part = batch.slice(at, at + MERGED_MAX);
    yield {
      vertexes: part.flatMap(({ vertexes }) => vertexes ?? []),
      statuses: part.flatMap(({ statuses }) => statuses ?? []),
      logs: part.flatMap(({ logs }) => logs ?? []),
      warnings: part.flatMap(({ warnings }) => warnings ?? []),
    };
  }
}
