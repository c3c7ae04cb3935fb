/**
 * The requests that are being answered, and how they end when this daemon does: those that come to an end by
 * themselves are waited for, those that would not (events, followed logs, waits) are ended.
 */
import { setTimeout as sleep } from 'node:timers/promises';

/** Streams without an end of their own, and sessions. */
const ENDLESS =
  /^(?:\/v[0-9.]+)?(?:\/events|\/session|\/grpc|\/containers\/[^/]+\/(?:wait|logs|stats|attach\/ws))$/;
const POLL_MS = 5;

interface UnderWay {
  readonly endless: boolean;
  readonly controller: AbortController;
}

export class RequestsUnderWay {
  readonly #requests = new Set<UnderWay>();

  /** To be called with the request's path when it begins; what it gives when it has been answered. */
  begin(path: string, controller: AbortController): () => void {
    const request = { endless: ENDLESS.test(path), controller };
    this.#requests.add(request);
    return () => this.#requests.delete(request);
  }

  get size(): number {
    return this.#requests.size;
  }

  /** Waits for those of now that end by themselves; false where some have not after `timeoutMs`. */
  async settle(timeoutMs: number): Promise<boolean> {
    const waiting = [...this.#requests].filter(({ endless }) => !endless);
    const deadline = performance.now() + timeoutMs;
    while (waiting.some((request) => this.#requests.has(request))) {
      if (performance.now() > deadline) return false;
      await sleep(POLL_MS);
    }
    return true;
  }

  /** Ends all of them, and gives their handlers `timeoutMs` to say so to the client. */
  async end(reason: Error, timeoutMs: number): Promise<void> {
    for (const { controller } of this.#requests) controller.abort(reason);
    const deadline = performance.now() + timeoutMs;
    while (this.#requests.size > 0 && performance.now() < deadline) await sleep(POLL_MS);
  }
}
