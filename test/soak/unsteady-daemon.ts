/**
 * A daemon that is killed and started again while clients ask it for things, or makes room for another one. A call that
 * ends while the daemon is killed has no answer, whatever came: it may have been done or not. Those that meet a takeover
 * are answered like all others, but for builds, commits and archives, which it may cancel (docs/operations.md).
 */
import assert from 'node:assert/strict';
import { type Answer, type Exchange, exchange } from '../conformance/exchange.ts';
import type { Daemon } from '../integration/harness.ts';
import { timeLimitMs } from '../run/time-limit.ts';

/** On a machine whose processors many others want, too. */
const ANSWER_MAX_MS = timeLimitMs(120_000);

/** Thrown by calls that the daemon's death has cut off, or long ones that a takeover has cancelled. */
export class LostError extends Error {}

/** For catches of calls whose loss is no difference. */
export function onlyLost(error: unknown): void {
  if (!(error instanceof LostError)) throw error;
}

export class UnsteadyDaemon {
  readonly daemon: Daemon;
  calls = 0;
  kills = 0;
  takeovers = 0;
  /** When the daemon was killed, in milliseconds of `Date.now`. */
  readonly killedAtMs: number[] = [];
  /** When one daemon began to take over from another. */
  readonly takenAtMs: number[] = [];
  #up: Promise<void> = Promise.resolve();

  constructor(daemon: Daemon) {
    this.daemon = daemon;
  }

  /** Ends the daemon as a crash does, and starts it again. */
  async kill(): Promise<void> {
    this.kills += 1;
    this.killedAtMs.push(Date.now());
    this.#up = this.#again();
    await this.#up;
  }

  #takeoverEnds = 0;

  /** Another number after each kill, and after each begin and end of a takeover. */
  get changes(): number {
    return this.kills + this.takeovers + this.#takeoverEnds;
  }

  get isTakenOver(): boolean {
    return this.takeovers > this.#takeoverEnds;
  }

  /** Lets another daemon take over. */
  async takeOver(): Promise<void> {
    this.takeovers += 1;
    this.takenAtMs.push(Date.now());
    await this.daemon.takeOver();
    this.#takeoverEnds += 1;
  }

  async #again(): Promise<void> {
    await this.daemon.stop('SIGKILL');
    await this.daemon.launch();
  }

  /** Resolves once the daemon runs. */
  async up(): Promise<void> {
    await this.#up;
  }

  /** Throws Lost where the daemon was killed meanwhile. */
  async call(wanted: Exchange): Promise<Answer> {
    await this.up();
    const kills = this.kills;
    this.calls += 1;
    try {
      const answer = await exchange(this.daemon.socket, { timeoutMs: ANSWER_MAX_MS, ...wanted });
      if (this.kills === kills) return answer;
    } catch (error) {
      if (this.kills === kills) {
        throw new Error(
          `${wanted.method} ${wanted.path} at ${Date.now()}, killed at ${this.killedAtMs.at(-1)}, taken over at ${this.takenAtMs.at(-1)} (${this.isTakenOver})`,
          { cause: error },
        );
      }
    }
    throw new LostError(`${wanted.method} ${wanted.path}`);
  }

  /** What `ask` does, Lost where it fails and there was a takeover meanwhile. */
  async long<T>(ask: () => Promise<T>): Promise<T> {
    await this.up();
    const wasTakenOver = this.isTakenOver;
    const { takeovers } = this;
    try {
      return await ask();
    } catch (error) {
      if (!wasTakenOver && this.takeovers === takeovers) throw error;
      throw new LostError(String(error));
    }
  }

  /** Asks until there is an answer: for what changes nothing. */
  async read(statuses: number | readonly number[], path: string, method = 'GET'): Promise<Answer> {
    for (;;) {
      try {
        return await this.expect(statuses, method, path);
      } catch (error) {
        onlyLost(error);
      }
    }
  }

  /** A call that must have one of these statuses. */
  async expect(
    statuses: number | readonly number[],
    method: string,
    path: string,
    body?: unknown,
  ): Promise<Answer> {
    const answer = await this.call({ method, path, ...(body === undefined ? {} : { body }) });
    const allowed = typeof statuses === 'number' ? [statuses] : statuses;
    assert.ok(
      allowed.includes(answer.status),
      `${method} ${path}: ${answer.status} instead of ${allowed.join(' or ')}: ${answer.text.slice(0, 500)}`,
    );
    return answer;
  }
}
