/**
 * One scenario under one kind of strike: once without a fault, to learn the points and to see that the scenario itself
 * leaves nothing, then once for each point.
 */
import { errorMessage } from '../../src/base/errors.ts';
import type { FaultedDaemon } from './faulted-daemon.ts';
import type { Judge } from './judge.ts';
import type { Scenario } from './scenario.ts';
import type { Strike } from './strikes.ts';

export interface ScenarioResult<Target> {
  strikes: number;
  /** Targets that were picked, of which `most` were struck at. */
  targets: number;
  /** All of them; none where the scenario leaves something without a fault. */
  found: readonly Target[];
  /** A paragraph each. */
  failures: string[];
}

export interface RunOptions<Target> {
  /** Of the targets' titles, which to strike at; all where it is left out. */
  picked?: (title: string) => boolean;
  /** Strikes at so many of them at most, chosen evenly; default at all. */
  most?: number;
  /** Of kinds that strike at few points, which of them this one takes: from 0 to below 1. */
  shift?: number;
  /** What another kind with the same targets has found by running the scenario without a fault. */
  known?: readonly Target[];
  onFailure?: (failure: string) => void;
}

/** How often a strike that did not come to pass is tried. */
const ATTEMPTS = 3;

/** `most` of them at equal distances; `shift`, from 0 to below 1, is where in the first distance the first one lies. */
export function evenly<T>(all: readonly T[], most: number, shift = 0): T[] {
  if (all.length <= most) return [...all];
  const distance = all.length / most;
  const chosen = new Set(Array.from({ length: most }, (_, index) => Math.floor((index + shift) * distance)));
  return all.filter((_, index) => chosen.has(index));
}

async function complaint(what: string, ask: (() => Promise<void>) | undefined): Promise<string[]> {
  try {
    await ask?.();
    return [];
  } catch (error) {
    return [`${what}: ${errorMessage(error)}`];
  }
}

export async function runScenario<Target>(
  daemon: FaultedDaemon,
  judge: Judge,
  scenario: Scenario,
  kind: Strike<Target>,
  options: RunOptions<Target> = {},
): Promise<ScenarioResult<Target>> {
  const failures: string[] = [];
  const fail = (title: string, lines: readonly string[]): void => {
    if (lines.length === 0) return;
    const failure = `${scenario.name}: ${title}\n${lines.map((line) => `    ${line}`).join('\n')}`;
    failures.push(failure);
    options.onFailure?.(failure);
  };
  const found = options.known ?? (await unharmed(daemon, judge, scenario, kind, fail));
  if (found === undefined) {
    await judge.remember();
    return { strikes: 0, targets: 0, found: [], failures };
  }
  if (found.length === 0 && kind.optional !== true) fail('without a fault', ['it passes no labelled step']);
  let strikes = 0;
  const picked = found.filter((target) => options.picked?.(kind.title(target)) !== false);
  for (const target of evenly(picked, options.most ?? Number.POSITIVE_INFINITY, options.shift)) {
    const title = kind.title(target);
    strikes += 1;
    let wrong = ['was never reached'];
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      const { struck, lines } = await strikeOnce(daemon, judge, scenario, kind, target);
      wrong = struck ? lines : [...lines, 'was never reached'];
      if (struck || lines.length > 0) break;
    }
    fail(`${kind.name} ${title}`, wrong);
    // What was left would be found again after every strike to come.
    if (wrong.some((line) => line.startsWith('left: '))) await judge.remember();
  }
  return { strikes, targets: picked.length, found, failures };
}

/** The targets; undefined where the scenario fails, or leaves something, without a fault. */
async function unharmed<Target>(
  daemon: FaultedDaemon,
  judge: Judge,
  scenario: Scenario,
  kind: Strike<Target>,
  fail: (title: string, lines: readonly string[]) => void,
): Promise<Target[] | undefined> {
  await scenario.prepare?.(daemon);
  const targets = await kind.targets(daemon, scenario);
  const wrong = [
    ...(await complaint('after the operation', () => scenario.holds?.(daemon) ?? Promise.resolve())),
    ...(await complaint('clean-up', () => scenario.cleanUp(daemon))),
    ...(await judge.isAsBefore()),
  ];
  fail('without a fault', wrong);
  return wrong.length === 0 ? targets : undefined;
}

async function strikeOnce<Target>(
  daemon: FaultedDaemon,
  judge: Judge,
  scenario: Scenario,
  kind: Strike<Target>,
  target: Target,
): Promise<{ struck: boolean; lines: string[] }> {
  await scenario.prepare?.(daemon);
  const { struck, acknowledged, wrong = [] } = await kind.strike(daemon, scenario, target);
  const mustHold = acknowledged && !(kind.endsRuns === true && scenario.runs === true);
  const keeps = (): Promise<void> => scenario.keeps?.(daemon) ?? Promise.resolve();
  const holds = (): Promise<void> => scenario.holds?.(daemon) ?? Promise.resolve();
  const again = async (): Promise<void> => {
    await scenario.operate(daemon, true);
  };
  const lines = [
    ...wrong,
    ...(await judge.lives(kind.losesLog)),
    ...(await complaint('what was there before', keeps)),
    ...(mustHold ? await complaint('what was acknowledged', holds) : []),
    ...(await complaint('the operation again', again)),
    ...(await complaint('after the operation again', holds)),
    ...(await complaint('clean-up', () => scenario.cleanUp(daemon))),
    ...(await judge.isAsBefore()),
  ];
  return { struck, lines };
}
