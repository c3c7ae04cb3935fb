/**
 * Gives memory back to the machine once the daemon has worked and works no more. V8 collects when it allocates, so that
 * the garbage of the last work stays until the next; and the allocator of C keeps what threads that have ended gave
 * back to it. Both would be the daemon's for hours: a hundred megabytes after a large pull.
 */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { log } from '../base/log.ts';
import { addon } from '../native/addon.ts';

const LOOK_MS = 5000;
/** Processor time between two looks that is still idleness. */
const IDLE_MS = 50;
/** Processor time since the last release that is worth another one, which takes some 30 ms itself. */
const WORKED_MS = 300;
/** So many idle looks in a row: threads that have worked little have ended by then. */
const IDLE_LOOKS = 2;

/** What the daemon has used since its start, and how to release; replaced in tests. */
export interface MemoryReleaseParts {
  cpuMs(): number;
  release(): void;
}

/** One decision at a time, from processor times: whether it is idle now and has worked since the last release. */
export class IdleWatch {
  readonly #parts: MemoryReleaseParts;
  #lastLookMs: number;
  #releasedAtMs = 0;
  #idleLooks = 0;

  constructor(parts: MemoryReleaseParts) {
    this.#parts = parts;
    this.#lastLookMs = parts.cpuMs();
  }

  look(): void {
    const nowMs = this.#parts.cpuMs();
    this.#idleLooks = nowMs - this.#lastLookMs < IDLE_MS ? this.#idleLooks + 1 : 0;
    this.#lastLookMs = nowMs;
    if (this.#idleLooks < IDLE_LOOKS || nowMs - this.#releasedAtMs < WORKED_MS) return;
    this.#parts.release();
    this.#releasedAtMs = this.#parts.cpuMs();
    this.#lastLookMs = this.#releasedAtMs;
  }
}

/** Begins to look, for as long as the process lives; keeps no process alive. */
export function releaseMemoryWhenIdle(): void {
  // Transfers go through buffers outside of V8's heap. By itself V8 marks the whole heap for every few ten megabytes of
  // them, twenty times in the pull of a large image, and a tenth of its processor time.
  setFlagsFromString('--external-memory-accounted-in-global-limit');
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  const watch = new IdleWatch({
    cpuMs: () => {
      const { user, system } = process.cpuUsage();
      return (user + system) / 1000;
    },
    release: () => {
      const before = process.memoryUsage.rss();
      collect();
      addon().trimMemory();
      log.debug({ beforeBytes: before, afterBytes: process.memoryUsage.rss() }, 'memory was given back');
    },
  });
  setInterval(() => watch.look(), LOOK_MS).unref();
}
