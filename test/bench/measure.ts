/**
 * One row of the table, or curves over the same points, measured among all engines and added to the results. An engine
 * that fails is left out of the rest of that part and noted with what it said; the run goes on.
 */
import type { Engine } from './engines.ts';
import { type CurveJob, type Growth, keysOf } from './growth.ts';
import { type Job, titlesOf } from './jobs.ts';
import type { Progress } from './progress.ts';
import { shown } from './report.ts';
import { type Failures, median, type Results, type Row, type Values } from './results.ts';
import { removeAll } from './running.ts';
import { type FirstRound, pointRounds, type RoundPlan, rowRounds, takeTurns } from './turns.ts';

export interface Bench {
  readonly running: readonly Engine[];
  readonly results: Results;
  readonly progress: Progress;
  /** One round each, two points of a curve. */
  readonly isQuick: boolean;
}

/** A round that takes longer than this is told of. */
const SLOW_SEC = 5;
const ONE_ROUND: RoundPlan = { count: 1, isFirstCounted: true };

/** Not measured where the time is over. */
export async function measureRow(job: Job, bench: Bench): Promise<void> {
  const { running, results, progress, isQuick } = bench;
  if (progress.isOver) return;
  console.error(progress.begin(job.key));
  const startedAtSec = performance.now() / 1000;
  const failures: Failures = {};
  const prepared = await without(failures, running, async (engine) => await job.prepare?.(engine));
  const measured = await takeTurns(prepared, {
    name: job.key,
    unit: job.unit,
    plan: (first: FirstRound) => (isQuick ? ONE_ROUND : rowRounds(job.rounds, first)),
    measure: async (engine) => await job.measure(engine),
    recover,
    watch: watcher(job.key),
  });
  await without({}, running, (engine) => Promise.resolve(job.finish?.(engine)));
  const row: Row = {
    key: job.key,
    title: job.title,
    unit: job.unit,
    values: measured.values,
    rounds: measured.rounds,
    failures: { ...failures, ...measured.failures },
  };
  const others = job.othersFrom === undefined ? undefined : results.row(job.othersFrom);
  results.addRow(
    others === undefined
      ? row
      : {
          ...row,
          values: { ...others.values, ...row.values },
          rounds: { ...others.rounds, ...row.rounds },
        },
  );
  if (job.also !== undefined) results.addRow(rowBeside(job, job.also, row, running));
  for (const title of titlesOf(job)) tell(title, results.row(title)?.values ?? {}, unitOf(job, title));
  tellFailures(job.key, row.failures);
  progress.end(job, startedAtSec);
}

function rowBeside(job: Job, also: NonNullable<Job['also']>, row: Row, running: readonly Engine[]): Row {
  const taken = running
    .filter(({ name }) => row.values[name] !== undefined)
    .map((engine) => [engine.name, also.take(engine)] as const)
    .filter(([, values]) => values.length > 0);
  return {
    key: job.key,
    title: also.title,
    unit: also.unit,
    values: Object.fromEntries(taken.map(([name, values]) => [name, median(values)])),
    rounds: Object.fromEntries(taken.map(([name, values]) => [name, values.length])),
    failures: row.failures,
  };
}

/** All curves of it; not measured where the time is over. */
export async function measureGrowth(growth: Growth, bench: Bench): Promise<void> {
  const { running, results, progress, isQuick } = bench;
  if (progress.isOver) return;
  console.error(progress.begin(keysOf(growth).join(', ')));
  const startedAtSec = performance.now() / 1000;
  const curves = growth.curves.map((job) => ({
    job,
    /** Who is measured at the next point. */
    open: running,
    points: [] as { x: number; values: Values }[],
    failures: {} as Failures,
  }));
  for (const x of isQuick ? growth.points.slice(0, 2) : growth.points) {
    const failures: Failures = {};
    const wanted = running.filter((engine) => curves.some(({ open }) => open.includes(engine)));
    if (wanted.length === 0) break;
    const prepared = await without(failures, wanted, async (engine) => await growth.prepare?.(engine, x));
    for (const curve of curves) {
      const able = curve.open.filter((engine) => prepared.includes(engine));
      for (const engine of curve.open) {
        const failure = failures[engine.name];
        if (failure !== undefined) curve.failures[engine.name] = failure;
      }
      const measured = await measurePoint(curve.job, growth, x, able, isQuick);
      Object.assign(curve.failures, measured.failures);
      curve.points.push({ x, values: measured.values });
      curve.open = able.filter(({ name }) => !measured.exhausted.includes(name));
      tell(`${curve.job.key} at ${x} ${growth.xLabel}`, measured.values, curve.job.unit);
    }
  }
  await without({}, running, (engine) => Promise.resolve(growth.finish?.(engine)));
  for (const { job, points, failures } of curves) {
    const { key, title, unit } = job;
    results.addCurve({ key, title, unit, xLabel: growth.xLabel, rounds: growth.rounds, points, failures });
    tellFailures(key, failures);
  }
  progress.end(growth, startedAtSec);
}

async function measurePoint(
  job: CurveJob,
  { rounds }: Growth,
  x: number,
  able: readonly Engine[],
  isQuick: boolean,
): ReturnType<typeof takeTurns> {
  return await takeTurns(able, {
    name: job.key,
    unit: job.unit,
    plan: (first: FirstRound) => (isQuick ? ONE_ROUND : pointRounds(rounds, first)),
    measure: async (engine) => await job.measure(engine, x),
    recover,
    watch: watcher(`${job.key} at ${x}`),
  });
}

/** Those for whom it went well; of the others, what they said. */
async function without(
  failures: Failures,
  running: readonly Engine[],
  work: (engine: Engine) => Promise<void>,
): Promise<Engine[]> {
  const able: Engine[] = [];
  for (const engine of running) {
    try {
      await work(engine);
      able.push(engine);
    } catch (error) {
      failures[engine.name] = error instanceof Error ? error.message : String(error);
      await recover(engine).catch(() => undefined);
    }
  }
  return able;
}

async function recover(engine: Engine): Promise<void> {
  await engine.revive();
  removeAll(engine);
}

/** Rounds of slow engines take minutes: whoever watches sees that they go on. */
function watcher(name: string) {
  return (engine: Engine, round: number, value: number | undefined, wholeSec: number): void => {
    if (!process.stderr.isTTY && wholeSec <= SLOW_SEC) return;
    const text = value?.toPrecision(3) ?? 'not measured';
    console.error(`${name}, round ${round}, ${engine.name}: ${text} (${wholeSec.toFixed(1)} s in all)`);
  };
}

function unitOf({ title, unit, also }: Job, wanted: string): string {
  return wanted === title ? unit : (also?.unit ?? unit);
}

function tell(title: string, values: Values, unit: string): void {
  const parts = Object.entries(values).map(([engine, value]) => `${engine} ${shown(value, unit)}`);
  console.log(`${title}: ${parts.join(', ')}`);
}

function tellFailures(name: string, failures: Failures): void {
  for (const [engine, failure] of Object.entries(failures))
    console.error(`${name}: ${engine} FAILED: ${failure}`);
}
