/**
 * The requests that are being answered, and how they end when this daemon does: those that come to an end by
 * themselves are waited for, those that would not (events, followed logs, waits) are ended.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { errorMessage } from '../../base/errors.ts';
import { log } from '../../base/log.ts';
import type { ApiResponse } from '../response.ts';
import { waitKey } from './pending-waits.ts';

/** Streams without an end of their own, and sessions. */
const ENDLESS =
  /^(?:\/v[0-9.]+)?(?:\/events|\/session|\/grpc|\/containers\/[^/]+\/(?:wait|logs|stats|attach\/ws))$/;
const POLL_MS = 5;

interface UnderWay {
  readonly endless: boolean;
  readonly controller: AbortController;
  readonly answer: ApiResponse;
}

export class RequestsUnderWay {
  readonly #requests = new Set<UnderWay>();

  /** To be called with the request's path when it begins; what it gives when it has been answered. */
  begin(path: string, controller: AbortController, answer: ApiResponse): () => void {
    const request = { endless: ENDLESS.test(path), controller, answer };
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

  /** Takes the connections of waits away from this process, for another one to answer: descriptors by `waitKey`. */
  passWaits(): Map<string, number> {
    const passed = new Map<string, number>();
    for (const { answer } of this.#requests) {
      try {
        const one = answer.pass();
        if (one !== undefined) passed.set(waitKey(one.pending, one.chunked, passed.size), one.fd);
      } catch (error) {
        // The client gets the end of its connection instead of an answer.
        log.warn({ error: errorMessage(error) }, 'a wait cannot be handed over');
      }
    }
    return passed;
  }

  /** Ends all of them, and gives their handlers `timeoutMs` to say so to the client. */
  async end(reason: Error, timeoutMs: number): Promise<void> {
    for (const { controller } of this.#requests) controller.abort(reason);
    const deadline = performance.now() + timeoutMs;
    while (this.#requests.size > 0 && performance.now() < deadline) await sleep(POLL_MS);
  }
}
