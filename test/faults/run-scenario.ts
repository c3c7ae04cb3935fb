/**
 * One scenario under one kind of strike: once without a fault, to learn the points and to see that the scenario itself
 * leaves nothing, then once for each point.
 */
import { errorMessage } from '../../src/base/errors.ts';
import type { FaultedDaemon } from './faulted-daemon.ts';
import type { Judge } from './judge.ts';
import type { Scenario } from './scenario.ts';
import type { Strike } from './strikes.ts';

export interface ScenarioResult {
  strikes: number;
  /** Targets that were picked, of which `most` were struck at. */
  targets: number;
  /** A paragraph each. */
  failures: string[];
}

export interface RunOptions {
  /** Of the targets' titles, which to strike at; all where it is left out. */
  picked?: (title: string) => boolean;
  /** Strikes at so many of them at most, chosen evenly; default at all. */
  most?: number;
  onFailure?: (failure: string) => void;
}

/** How often a strike that did not come to pass is tried. */
const ATTEMPTS = 3;

/** `most` of them, from the first on at equal distances. */
export function evenly<T>(all: readonly T[], most: number): T[] {
  if (all.length <= most) return [...all];
  return all.filter(
    (_, index) => Math.floor((index * most) / all.length) !== Math.floor(((index - 1) * most) / all.length),
  );
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
  options: RunOptions = {},
): Promise<ScenarioResult> {
  const failures: string[] = [];
  const fail = (title: string, lines: readonly string[]): void => {
    if (lines.length === 0) return;
    const failure = `${scenario.name}: ${title}\n${lines.map((line) => `    ${line}`).join('\n')}`;
    failures.push(failure);
    options.onFailure?.(failure);
  };
  await scenario.prepare?.(daemon);
  const targets = await kind.targets(daemon, scenario);
  const unharmed = [
    ...(await complaint('after the operation', () => scenario.holds?.(daemon) ?? Promise.resolve())),
    ...(await complaint('clean-up', () => scenario.cleanUp(daemon))),
    ...(await judge.isAsBefore()),
  ];
  fail('without a fault', unharmed);
  if (unharmed.length > 0) {
    await judge.remember();
    return { strikes: 0, targets: 0, failures };
  }
  if (targets.length === 0 && kind.optional !== true) fail('without a fault', ['it passes no labelled step']);
  let strikes = 0;
  const picked = targets.filter((target) => options.picked?.(kind.title(target)) !== false);
  for (const target of evenly(picked, options.most ?? Number.POSITIVE_INFINITY)) {
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
  return { strikes, targets: picked.length, failures };
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
