/**
 * A limit on bytes a second, shared by all who take from it, in the order in which they ask. Up to a second's worth that
 * was not used is saved up, so that short pauses cost nothing.
 */
import { pause } from './registry/retry.ts';

export interface Clock {
  nowMs(): number;
  /** Rejects with the signal's reason. */
  pause(ms: number, signal: AbortSignal): Promise<void>;
}

const MONOTONIC: Clock = { nowMs: () => performance.now(), pause };

export class RateLimit {
  readonly #bytesPerSecond: number;
  readonly #clock: Clock;
  /** When all that was taken so far has been paid for. */
  #paidMs: number;

  constructor(bytesPerSecond: number, clock: Clock = MONOTONIC) {
    this.#bytesPerSecond = bytesPerSecond;
    this.#clock = clock;
    this.#paidMs = clock.nowMs();
  }

  /** Resolves when this many bytes may pass. Rejects with the signal's reason; what was asked for then counts as used. */
  async take(sizeBytes: number, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    const nowMs = this.#clock.nowMs();
    // The first byte passes once what went before is paid for.
    const startMs = Math.max(this.#paidMs, nowMs - 1000);
    this.#paidMs = startMs + (sizeBytes * 1000) / this.#bytesPerSecond;
    const waitMs = this.#paidMs - nowMs;
    if (waitMs > 0) await this.#clock.pause(waitMs, signal);
  }
}
