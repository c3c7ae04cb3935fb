/**
 * A question to several name servers: the first one is asked, the next one as soon as one fails or takes too long,
 * and whichever answers first counts. Clients give up after five seconds (resolv.conf(5)), so the second server gets
 * its turn well before. One that kept silent while another one answered is asked last for a while.
 */

import { errorMessage } from '../../base/errors.ts';
import { log } from '../../base/log.ts';
import type { Query } from './message.ts';
import type { Attempt, Upstream } from './upstream.ts';
import { askOverTcp, askOverUdp } from './upstream.ts';
import { isFailure, isTruncated } from './upstream-answer.ts';

const PATIENCE_MS = 1_200;
const DEADLINE_MS = 8_000;
const TCP_TIMEOUT_MS = 4_000;
/** How long a server that kept silent comes last. */
const SILENT_MS = 10_000;
/** Datagrams get lost: a server that says nothing is asked again. */
const ROUNDS = 2;

interface Winner {
  upstream: Upstream;
  answer: Buffer;
}

export class Forwarder {
  /** Until when a server comes last. */
  readonly #silentUntilMs = new Map<string, number>();

  /**
   * The answer with the client's ID, else as it came; a failure where every server fails, undefined where none says
   * anything or the client is gone (`signal`). One that came truncated is asked for again over TCP where the client can
   * take more than the least.
   */
  async ask(
    query: Query,
    upstreams: readonly Upstream[],
    limitBytes: number,
    signal: AbortSignal,
  ): Promise<Buffer | undefined> {
    const noteSilence = (address: string) => this.#noteSilence(address);
    const winner = await new Race(query, this.#order(upstreams), noteSilence).run(signal);
    if (winner === undefined || !isTruncated(winner.answer) || limitBytes <= 512) return winner?.answer;
    const whole = await askForWhole(winner.upstream, query, signal);
    return whole !== undefined && whole.length <= limitBytes ? whole : winner.answer;
  }

  #order(upstreams: readonly Upstream[]): Upstream[] {
    const now = performance.now();
    for (const [address, until] of this.#silentUntilMs) {
      if (until < now) this.#silentUntilMs.delete(address);
    }
    const silent = ({ address }: Upstream) => this.#silentUntilMs.has(address);
    return [...upstreams.filter((each) => !silent(each)), ...upstreams.filter(silent)];
  }

  #noteSilence(address: string): void {
    this.#silentUntilMs.set(address, performance.now() + SILENT_MS);
  }
}

async function askForWhole(
  upstream: Upstream,
  query: Query,
  signal: AbortSignal,
): Promise<Buffer | undefined> {
  let attempt: Attempt | undefined;
  const { promise: end, resolve: giveUp } = Promise.withResolvers<undefined>();
  const timer = setTimeout(giveUp, TCP_TIMEOUT_MS, undefined);
  const abort = () => giveUp(undefined);
  signal.addEventListener('abort', abort);
  try {
    attempt = askOverTcp(upstream, query);
    return await Promise.race([attempt.answer, end]);
  } catch (error) {
    log.debug({ reason: errorMessage(error) }, 'dns: no answer over TCP; the truncated one has to do');
    return undefined;
  } finally {
    clearTimeout(timer);
    signal.removeEventListener('abort', abort);
    attempt?.cancel();
  }
}

/** One question on its way to several servers. */
class Race {
  readonly #query: Query;
  readonly #plan: Upstream[];
  readonly #noteSilence: (address: string) => void;
  readonly #open = new Map<Attempt, Upstream>();
  readonly #failed = new Set<Upstream>();
  #refusal: Winner | undefined;
  #patience: NodeJS.Timeout | undefined;
  #finish: (winner: Winner | undefined) => void = () => undefined;

  constructor(query: Query, upstreams: readonly Upstream[], noteSilence: (address: string) => void) {
    this.#query = query;
    this.#plan = Array.from({ length: ROUNDS }, () => upstreams).flat();
    this.#noteSilence = noteSilence;
  }

  async run(signal: AbortSignal): Promise<Winner | undefined> {
    let deadline: NodeJS.Timeout | undefined;
    const abort = () => this.#finish(undefined);
    signal.addEventListener('abort', abort);
    try {
      return await new Promise<Winner | undefined>((resolve) => {
        this.#finish = resolve;
        deadline = setTimeout(() => resolve(this.#refusal), DEADLINE_MS);
        this.#next();
      });
    } finally {
      clearTimeout(deadline);
      clearTimeout(this.#patience);
      signal.removeEventListener('abort', abort);
      for (const attempt of this.#open.keys()) attempt.cancel();
    }
  }

  #next(): void {
    clearTimeout(this.#patience);
    let upstream = this.#plan.shift();
    while (upstream !== undefined && this.#failed.has(upstream)) upstream = this.#plan.shift();
    if (upstream !== undefined) {
      this.#patience = setTimeout(() => this.#next(), PATIENCE_MS);
      this.#start(upstream);
    } else if (this.#open.size === 0) {
      this.#finish(this.#refusal);
    } else {
      // The last ones have their time too; a failure is then better than nothing, which clients wait for much longer.
      this.#patience = setTimeout(() => {
        if (this.#refusal !== undefined) this.#finish(this.#refusal);
      }, PATIENCE_MS);
    }
  }

  #start(upstream: Upstream): void {
    let attempt: Attempt;
    try {
      attempt = askOverUdp(upstream, this.#query);
    } catch (error) {
      this.#fail(upstream, error);
      return;
    }
    this.#open.set(attempt, upstream);
    attempt.answer.then(
      (answer) => {
        this.#open.delete(attempt);
        if (!isFailure(answer)) {
          this.#win({ upstream, answer });
          return;
        }
        this.#refusal ??= { upstream, answer };
        this.#fail(upstream, undefined);
      },
      (error: unknown) => {
        this.#open.delete(attempt);
        attempt.cancel();
        this.#fail(upstream, error);
      },
    );
  }

  #win(winner: Winner): void {
    for (const silent of this.#open.values()) {
      if (silent !== winner.upstream) this.#noteSilence(silent.address);
    }
    this.#finish(winner);
  }

  #fail(upstream: Upstream, error: unknown): void {
    if (error !== undefined) log.debug({ reason: errorMessage(error) }, 'dns: asking the next name server');
    this.#failed.add(upstream);
    this.#next();
  }
}
