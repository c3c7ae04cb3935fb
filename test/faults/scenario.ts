/**
 * What is struck: one operation, with what there is before it and how it is told that it happened. A scenario leaves
 * nothing behind its `cleanUp`; names of its own objects begin with `x`, the bystander's do not.
 */
import type { FaultedDaemon } from './faulted-daemon.ts';

/** Storage drivers; the first has all scenarios. */
export const DRIVERS = ['erofs', 'overlay'] as const;

export interface Scenario {
  readonly name: string;
  /** The runtime takes part: it is struck as well. */
  readonly runtime?: true;
  /** It leads to a run, which strikes at the runtime end, acknowledged or not. */
  readonly runs?: true;
  /** It makes, reads or removes layers: it is struck with each storage driver. */
  readonly layers?: true;
  /** It speaks with a registry, which may lie. */
  readonly registry?: true;
  /** What there is before, all of it acknowledged. */
  prepare?(daemon: FaultedDaemon): Promise<void>;
  /**
   * Resolves when the operation is acknowledged. With `again` the first try was struck, and may have happened: what
   * says so ("name in use", "not modified") is success.
   */
  operate(daemon: FaultedDaemon, again: boolean): Promise<unknown>;
  /** What was there before still is, whether the operation has happened or not. Throws where it is not. */
  keeps?(daemon: FaultedDaemon): Promise<void>;
  /** The operation has happened. Throws where it has not. */
  holds?(daemon: FaultedDaemon): Promise<void>;
  cleanUp(daemon: FaultedDaemon): Promise<void>;
}

export function require(condition: boolean, what: string): void {
  if (!condition) throw new Error(what);
}
