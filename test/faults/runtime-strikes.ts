/**
 * Strikes at the marks of the runtime (native/common/fault_mark.h): its process dies there; its supervisor, or the
 * daemon, dies while it stands there.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { timeLimitMs } from '../run/time-limit.ts';
import type { FaultedDaemon } from './faulted-daemon.ts';
import { type Point, pointName } from './order.ts';
import type { RuntimeMarks } from './runtime-marks.ts';
import type { Scenario } from './scenario.ts';
import { acknowledges, type Outcome, type Strike, whileHeld } from './strikes.ts';

/** The mark may lie behind the answer. */
const REACH_LIMIT_MS = timeLimitMs(3000);
const QUIET_MS = 100;

async function isReached(marks: RuntimeMarks, operation: Promise<unknown>): Promise<boolean> {
  let answeredAt = Number.POSITIVE_INFINITY;
  const answer = (): void => {
    answeredAt = performance.now();
  };
  operation.then(answer, answer);
  while (!marks.struck) {
    if (performance.now() > answeredAt + REACH_LIMIT_MS) return false;
    await sleep(2);
  }
  return true;
}

async function comeToRest(marks: RuntimeMarks): Promise<void> {
  for (let before = -1; before !== marks.passed.length; ) {
    before = marks.passed.length;
    await sleep(QUIET_MS);
  }
}

async function passes(marks: RuntimeMarks, daemon: FaultedDaemon, scenario: Scenario): Promise<Point[]> {
  try {
    // What a start before it has told may have marks behind that.
    marks.record();
    await comeToRest(marks);
    marks.record();
    await scenario.operate(daemon, false);
    await comeToRest(marks);
    return marks.passed;
  } finally {
    marks.relax();
  }
}

/** Supervisors of containers but the bystander's. */
function supervisors(bystander: string): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .filter((name) => {
      try {
        const command = readFileSync(`/proc/${name}/cmdline`, 'utf8').split('\0');
        return command[1] === 'supervise' && !command.some((word) => word.includes(bystander));
      } catch {
        // It has gone meanwhile.
        return false;
      }
    })
    .map(Number);
}

/** Whoever reaches the mark dies there: the supervisor, or a process that it launches. */
export function runtimeKilled(marks: RuntimeMarks): Strike<Point> {
  return {
    name: 'runtime killed at',
    endsRuns: true,
    targets: (daemon, scenario) => passes(marks, daemon, scenario),
    title: pointName,
    async strike(daemon, scenario, point): Promise<Outcome> {
      marks.die(point);
      const operation = scenario.operate(daemon, false);
      const answered = acknowledges(operation);
      const struck = await isReached(marks, operation);
      const acknowledged = await answered;
      marks.relax();
      return { struck, acknowledged };
    },
  };
}

/** The supervisor dies while a process that it launches stands at the mark. */
export function supervisorKilled(marks: RuntimeMarks, bystander: string): Strike<Point> {
  return {
    name: 'supervisor killed at',
    endsRuns: true,
    optional: true,
    async targets(daemon, scenario) {
      const all = await passes(marks, daemon, scenario);
      return all.filter(({ point }) => /^(init|exec)\//.test(point));
    },
    title: pointName,
    async strike(daemon, scenario, point): Promise<Outcome> {
      marks.hold(point);
      const operation = scenario.operate(daemon, false);
      const answered = acknowledges(operation);
      const struck = await isReached(marks, operation);
      if (struck) for (const pid of supervisors(bystander)) process.kill(pid, 'SIGKILL');
      marks.relax();
      return { struck, acknowledged: await answered };
    },
  };
}

/** The supervisor dies while the daemon stands at a step. */
export function supervisorKilledMeanwhile(bystander: string): Strike<Point> {
  return whileHeld({
    name: 'supervisor killed while the daemon is at',
    endsRuns: true,
    harm() {
      for (const pid of supervisors(bystander)) process.kill(pid, 'SIGKILL');
    },
  });
}

/** The daemon dies while the runtime stands at the mark, and a new one begins before it goes on. */
export function daemonKilledMeanwhile(marks: RuntimeMarks): Strike<Point> {
  return {
    name: 'daemon killed while the runtime is at',
    targets: (daemon, scenario) => passes(marks, daemon, scenario),
    title: pointName,
    async strike(daemon, scenario, point): Promise<Outcome> {
      marks.hold(point);
      const operation = scenario.operate(daemon, false);
      const answered = acknowledges(operation);
      const struck = await isReached(marks, operation);
      if (struck) await daemon.kill();
      marks.relax();
      if (struck) await daemon.launch();
      return { struck, acknowledged: await answered };
    },
  };
}
