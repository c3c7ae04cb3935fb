/**
 * The ways to strike. One decides at which points of a scenario it strikes, and does one of them: it lets the operation
 * run into the fault, and ends with a daemon that answers. What is asked afterwards is the judge's.
 */
import { timeLimitMs } from '../run/time-limit.ts';
import type { FaultedDaemon } from './faulted-daemon.ts';
import { type Point, pointName } from './order.ts';
import type { Scenario } from './scenario.ts';

export interface Outcome {
  /** The fault came to pass; a point may lie on a way that is not taken every time. */
  struck: boolean;
  /** The operation was acknowledged all the same: it must have happened. */
  acknowledged: boolean;
  /** What the strike itself has to say. */
  wrong?: readonly string[];
}

export interface Strike<Target = unknown> {
  readonly name: string;
  /** A scenario may have no points for it. */
  readonly optional?: true;
  /** What is struck takes its container's run along. */
  readonly endsRuns?: true;
  /** Lines of a container's log may be lost by it. */
  readonly losesLog?: true;
  targets(daemon: FaultedDaemon, scenario: Scenario): Promise<Target[]>;
  title(target: Target): string;
  strike(daemon: FaultedDaemon, scenario: Scenario, target: Target): Promise<Outcome>;
}

/** The point may lie behind the answer. */
const DEATH_LIMIT_MS = timeLimitMs(3000);

export async function acknowledges(operation: Promise<unknown>): Promise<boolean> {
  return await operation.then(
    () => true,
    () => false,
  );
}

/** SIGKILL of the daemon at every labelled step, before and after it, and a new daemon. */
export const daemonKilled: Strike<Point> = {
  name: 'daemon killed at',
  async targets(daemon, scenario) {
    return await daemon.record(() => scenario.operate(daemon, false));
  },
  title: pointName,
  async strike(daemon, scenario, point) {
    daemon.order({ kind: 'kill', ...point });
    const acknowledged = await acknowledges(scenario.operate(daemon, false));
    const struck = await daemon.ended(DEATH_LIMIT_MS);
    daemon.relax();
    if (struck) await daemon.launch();
    return { struck, acknowledged };
  },
};

export interface Harm {
  name: string;
  endsRuns?: true;
  /** Done while the daemon stands still at the point. */
  harm(daemon: FaultedDaemon): void | Promise<void>;
  /** Takes back what would hurt the judge too; the operation has come to its end, well or not. */
  heal?(daemon: FaultedDaemon): void | Promise<void>;
}

/** Something that happens to the machine at every labelled step of the daemon, which lives on. */
export function whileHeld({ name, endsRuns, harm, heal }: Harm): Strike<Point> {
  return {
    name,
    ...(endsRuns === undefined ? {} : { endsRuns }),
    targets: (daemon, scenario) => daemon.record(() => scenario.operate(daemon, false)),
    title: pointName,
    async strike(daemon, scenario, point) {
      daemon.order({ kind: 'hold', ...point });
      const operation = scenario.operate(daemon, false);
      const answered = acknowledges(operation);
      try {
        const struck = await daemon.held(answered);
        if (struck) await harm(daemon);
        daemon.relax();
        return { struck, acknowledged: await answered };
      } finally {
        daemon.relax();
        await heal?.(daemon);
      }
    },
  };
}
