/**
 * Runs scenarios in the sandbox that this process was started in: `in-sandbox.ts [--kinds=kills|lacks|lies] [--points=TEXT]
 * [--most=NUMBER] [--driver=NAME] NAME...`. Prints every failure in full and a line a scenario; the exit status is 1
 * where anything failed.
 */

import { join } from 'node:path';
import { ROOT } from '../run/discovery.ts';
import { FaultedDaemon } from './faulted-daemon.ts';
import { Judge } from './judge.ts';
import { toldLabels } from './labels.ts';
import { PATIENCE_VARIABLE, type Point } from './order.ts';
import { LIES, lying } from './registry-strikes.ts';
import { LACKS, lacking, mountRoots } from './resource-strikes.ts';
import { runScenario } from './run-scenario.ts';
import { RuntimeMarks } from './runtime-marks.ts';
import {
  daemonKilledMeanwhile,
  runtimeKilled,
  supervisorKilled,
  supervisorKilledMeanwhile,
} from './runtime-strikes.ts';
import { DRIVERS, type Scenario } from './scenario.ts';
import { SCENARIOS } from './scenarios/all.ts';
import { daemonKilled, type Strike } from './strikes.ts';

const LOG_CHARS = 20_000;
const COMPLAINTS = 4;
const COMPLAINT_CHARS = 300;

function strikesAt(scenario: Scenario, judge: Judge, marks: RuntimeMarks, kinds: string): Strike<Point>[] {
  if (kinds === 'lacks') return LACKS.map(lacking);
  if (kinds === 'lies') return LIES.map(lying);
  if (scenario.runtime !== true) return [daemonKilled];
  return [
    daemonKilled,
    runtimeKilled(marks),
    supervisorKilled(marks, judge.bystander),
    daemonKilledMeanwhile(marks),
    supervisorKilledMeanwhile(judge.bystander),
  ];
}

/** What the daemon has last complained of. */
function warnings(log: string): string {
  const complaints = log
    .slice(-LOG_CHARS)
    .split('\n')
    .filter((line) => !/^\{"level":(10|20|30),/.test(line) && line !== '');
  return complaints
    .slice(-COMPLAINTS)
    .map((line) => `    daemon: ${line.slice(0, COMPLAINT_CHARS)}`)
    .join('\n');
}

async function main(): Promise<boolean> {
  const args = process.argv.slice(2);
  const flag = (name: string, otherwise: string): string =>
    args.find((arg) => arg.startsWith(`--${name}=`))?.slice(name.length + 3) ?? otherwise;
  const points = flag('points', '');
  const kinds = flag('kinds', 'kills');
  const most = Number(flag('most', 'Infinity'));
  const driver = flag('driver', DRIVERS[0]);
  const names = new Set(args.filter((arg) => !arg.startsWith('--')));
  const marks = new RuntimeMarks();
  const daemon = await FaultedDaemon.start({
    args: ['--storage-driver', driver, ...(kinds === 'lies' ? ['--max-download-attempts', '2'] : [])],
    ...(kinds === 'lies' ? { env: { [PATIENCE_VARIABLE]: '1000' } } : {}),
    runtime: join(ROOT, 'build/faults/mydock-runtime'),
    ...(kinds === 'lacks' ? { beforeStart: mountRoots } : {}),
  });
  const suffix = driver === DRIVERS[0] ? '' : ` (${driver})`;
  let failed = false;
  try {
    const judge = await Judge.begin(daemon);
    for (const scenario of SCENARIOS.filter(({ name }) => names.has(name))) {
      const all = strikesAt(scenario, judge, marks, kinds);
      let known: readonly Point[] | undefined;
      for (const [index, kind] of all.entries()) {
        const begunAt = performance.now();
        const { strikes, targets, found, failures } = await runScenario(daemon, judge, scenario, kind, {
          picked: (title) => `${kind.name} ${title}`.includes(points),
          most,
          ...(kinds === 'kills' ? {} : { shift: index / all.length }),
          ...(known === undefined ? {} : { known }),
          onFailure: (failure) => console.log(`FAILED ${failure}${suffix}\n${warnings(daemon.log)}`),
        });
        if (kind === daemonKilled) console.log(toldLabels(found));
        if (kinds !== 'kills' && found.length > 0) known = found;
        failed ||= failures.length > 0;
        if (strikes === 0 && failures.length === 0) continue;
        const seconds = ((performance.now() - begunAt) / 1000).toFixed(1);
        const what = `${scenario.name}${suffix}: ${kind.name.replace(/ at$/, '')}`;
        console.log(`${what}: ${strikes} of ${targets} strikes, ${failures.length} failed (${seconds} s)`);
      }
    }
  } catch (error) {
    console.log(`daemon log:\n${daemon.log.slice(-6000)}`);
    throw error;
  } finally {
    marks.close();
    await daemon.close();
  }
  return failed;
}

process.exitCode = (await main()) ? 1 : 0;
