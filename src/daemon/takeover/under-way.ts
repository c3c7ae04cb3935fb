/**
 * The requests that are being answered, and how they end when this daemon does: those that come to an end by
 * themselves are waited for, those that would not (events, followed logs, waits) are ended.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { errorMessage } from '../../base/errors.ts';
import { log } from '../../base/log.ts';
import type { ApiResponse } from '../response.ts';
import type { HandedStream, StreamRequest } from './continued-streams.ts';
import { waitKey } from './pending-waits.ts';

/** Streams without an end of their own, and sessions. */
const ENDLESS =
  /^(?:\/v[0-9.]+)?(?:\/events|\/session|\/grpc|\/containers\/[^/]+\/(?:wait|logs|stats|attach\/ws))$/;
/** What may take long by its nature. All else is over in a moment; on a machine that is very busy, in some. */
const LONG =
  /^(?:\/v[0-9.]+)?\/(?:build|commit|images\/(?:create|load|get)|images\/.+\/(?:push|get)|containers\/[^/]+\/export|volumes\/[^/]+\/.+)$/;
const POLL_MS = 5;

interface UnderWay {
  /** For messages: method and path. */
  readonly title: string;
  readonly endless: boolean;
  readonly long: boolean;
  readonly controller: AbortController;
  readonly answer: ApiResponse;
  /** To ask it again, in another daemon. */
  readonly asked: StreamRequest;
  /** Ends the connection of a client that has not sent all of its request: the handler waits for that. */
  readonly cut: () => void;
}

export class RequestsUnderWay {
  readonly #requests = new Set<UnderWay>();

  /** To be called when a request begins; what it gives when it has been answered. */
  begin(
    name: { method: string; path: string },
    parts: Omit<UnderWay, 'title' | 'endless' | 'long'>,
  ): () => void {
    const { method, path } = name;
    const kind = { endless: ENDLESS.test(path), long: LONG.test(path) };
    const request = { title: `${method} ${path}`, ...kind, ...parts };
    this.#requests.add(request);
    return () => this.#requests.delete(request);
  }

  /** Whether there are any that end by themselves. */
  get busy(): boolean {
    return this.#withEnd().length > 0;
  }

  /** Waits for those of now that end by themselves; false where some have not after `timeoutMs`. */
  async settle(timeoutMs: number): Promise<boolean> {
    return (await this.#left(this.#withEnd(), timeoutMs)).length === 0;
  }

  /** The same for those that do not take long by their nature. */
  async settleShort(timeoutMs: number): Promise<boolean> {
    const short = this.#withEnd().filter(({ long }) => !long);
    return (await this.#left(short, timeoutMs)).length === 0;
  }

  /** Ends those of now that would end by themselves; gives the titles of those that have not after `timeoutMs`. */
  async giveUp(reason: Error, timeoutMs: number): Promise<string[]> {
    const given = this.#withEnd();
    for (const { controller, cut } of given) {
      controller.abort(reason);
      cut();
    }
    return (await this.#left(given, timeoutMs)).map(({ title }) => title);
  }

  #withEnd(): UnderWay[] {
    return [...this.#requests].filter(({ endless }) => !endless);
  }

  async #left(waiting: readonly UnderWay[], timeoutMs: number): Promise<UnderWay[]> {
    const deadline = performance.now() + timeoutMs;
    for (;;) {
      const left = waiting.filter((request) => this.#requests.has(request));
      if (left.length === 0 || performance.now() > deadline) return left;
      await sleep(POLL_MS);
    }
  }

  /** Takes the connections of waits away from this process, for another one to answer: descriptors by `waitKey`. */
  passWaits(): Map<string, number> {
    const passed = new Map<string, number>();
    for (const { answer } of this.#requests) {
      try {
        const one = answer.pass();
        if (one !== undefined) passed.set(waitKey(one.pending, one.chunked, String(passed.size)), one.fd);
      } catch (error) {
        // The client gets the end of its connection instead of an answer.
        log.warn({ error: errorMessage(error) }, 'a wait cannot be handed over');
      }
    }
    return passed;
  }

  /** The same of streams, for another one to go on with: descriptors by JSON of `HandedStream`. */
  passStreams(): Map<string, number> {
    const passed = new Map<string, number>();
    for (const { answer, asked } of this.#requests) {
      try {
        const one = answer.passStream();
        if (one === undefined) continue;
        const { fd, state, chunked } = one;
        const handed: HandedStream = { ...asked, chunked, state, serial: passed.size };
        passed.set(JSON.stringify(handed), fd);
      } catch (error) {
        log.warn({ error: errorMessage(error) }, 'a stream cannot be handed over');
      }
    }
    return passed;
  }

  /**
   * Ends all of them, and gives the handlers of streams `farewellMs` to say so to their clients, those that change
   * something `timeoutMs`. Gives the titles of the latter that have not ended.
   */
  async end(reason: Error, farewellMs: number, timeoutMs: number): Promise<string[]> {
    for (const { controller } of this.#requests) controller.abort(reason);
    await this.#left([...this.#requests], farewellMs);
    for (const { cut } of this.#requests) cut();
    return (await this.#left(this.#withEnd(), timeoutMs)).map(({ title }) => title);
  }
}
