/**
 * Engines taking turns at one measurement: how many rounds each gets, which follows from how long its first one takes, what counts of
 * them, and what becomes of an engine that fails (it is left out of the rest of this measurement, the others go on).
 */
import { type Failures, median, type Rounds, type Values } from './results.ts';

/** A round that is measured as less than this is quick: medians come from many. */
const QUICK_SEC = 3;
/** A first round of this length, with what is not timed of it, is no mere warm-up: it counts. */
const LONG_SEC = 15;
const VERY_LONG_SEC = 40;
/** An engine that has spent this on one measurement ends with what it has. */
const LIMIT_SEC = 300;
/** A curve ends for an engine behind a point whose timed part took as long as this. */
const LAST_POINT_SEC = 12;

export interface FirstRound {
  /** Of what is timed; of all of it where no time is measured. */
  readonly measuredSec: number;
  /** With what is not timed. */
  readonly wholeSec: number;
}

export interface RoundPlan {
  readonly count: number;
  readonly isFirstCounted: boolean;
}

/** For a row of the table; `most` of 1 is a measurement that rounds do not make better. */
export function rowRounds(most: number, { measuredSec, wholeSec }: FirstRound): RoundPlan {
  if (most === 1) return { count: 1, isFirstCounted: true };
  if (measuredSec < QUICK_SEC && wholeSec < LONG_SEC) return { count: most, isFirstCounted: false };
  if (wholeSec < LONG_SEC) return { count: Math.min(most, 3), isFirstCounted: false };
  return { count: Math.min(most, wholeSec < VERY_LONG_SEC ? 3 : 2), isFirstCounted: true };
}

/** For a point of a curve: what is seen in a plot needs no second round where one takes seconds. */
export function pointRounds(most: number, { measuredSec }: FirstRound): RoundPlan {
  return { count: measuredSec < QUICK_SEC ? most : 1, isFirstCounted: true };
}

export interface Measurement<E extends { readonly name: string }> {
  readonly name: string;
  readonly unit: string;
  readonly plan: (first: FirstRound) => RoundPlan;
  /** Undefined: nothing to measure for this engine. */
  measure(engine: E): Promise<number | undefined>;
  /** Brings an engine that has failed back to where others are not disturbed; its own failures are ignored. */
  recover(engine: E): Promise<void>;
  /** Told of every round, with how long it took. */
  watch?(engine: E, round: number, value: number | undefined, wholeSec: number): void;
  /** Seconds since some moment; for tests. */
  now?(): number;
}

export interface Measured {
  readonly values: Values;
  readonly rounds: Rounds;
  readonly failures: Failures;
  /** Names of those whose rounds are too long for a further point of a curve. */
  readonly exhausted: readonly string[];
}

interface Turn<E> {
  readonly engine: E;
  readonly values: number[];
  round: number;
  /** What is left to do; unknown before the first round. */
  left: number | undefined;
  spentSec: number;
  longestSec: number;
  failure?: string;
}

export async function takeTurns<E extends { readonly name: string }>(
  running: readonly E[],
  measurement: Measurement<E>,
): Promise<Measured> {
  const turns: Turn<E>[] = running.map((engine) => ({
    engine,
    values: [],
    round: 0,
    left: undefined,
    spentSec: 0,
    longestSec: 0,
  }));
  for (let open = turns; open.length > 0; open = open.filter(({ left }) => left !== 0)) {
    for (const turn of open) await takeTurn(turn, measurement);
  }
  const having = turns.filter(({ values, failure }) => values.length > 0 && failure === undefined);
  return {
    values: Object.fromEntries(having.map(({ engine, values }) => [engine.name, median(values)])),
    rounds: Object.fromEntries(having.map(({ engine, values }) => [engine.name, values.length])),
    failures: Object.fromEntries(
      turns.flatMap(({ engine, failure }) => (failure === undefined ? [] : [[engine.name, failure]])),
    ),
    exhausted: turns
      .filter(({ failure, longestSec }) => failure !== undefined || longestSec > LAST_POINT_SEC)
      .map(({ engine }) => engine.name),
  };
}

async function takeTurn<E extends { readonly name: string }>(
  turn: Turn<E>,
  { unit, plan, measure, recover, watch, now = () => performance.now() / 1000 }: Measurement<E>,
): Promise<void> {
  const { engine } = turn;
  const startedAt = now();
  let value: number | undefined;
  try {
    value = await measure(engine);
  } catch (error) {
    turn.failure = error instanceof Error ? error.message : String(error);
    turn.left = 0;
    await recover(engine).catch(() => undefined);
    return;
  }
  const wholeSec = now() - startedAt;
  watch?.(engine, turn.round, value, wholeSec);
  turn.round += 1;
  turn.spentSec += wholeSec;
  if (value === undefined) {
    turn.left = 0;
    return;
  }
  const measuredSec = secondsOf(value, unit) ?? wholeSec;
  turn.longestSec = Math.max(turn.longestSec, measuredSec);
  const planned = turn.left === undefined ? plan({ measuredSec, wholeSec }) : undefined;
  turn.left = planned?.count ?? turn.left ?? 0;
  if (planned?.isFirstCounted !== false) {
    turn.values.push(value);
    turn.left -= 1;
  }
  if (turn.values.length > 0 && turn.spentSec > LIMIT_SEC) turn.left = 0;
}

function secondsOf(value: number, unit: string): number | undefined {
  return unit === 's' ? value : unit === 'ms' ? value / 1000 : undefined;
}
