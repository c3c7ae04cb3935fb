/**
 * Runs scenarios in the sandbox that this process was started in: `in-sandbox.ts [--points=TEXT] [--driver=NAME]
 * [--lacks=NUMBER] NAME...`. With `--lacks` nothing is killed: at so many points of each scenario the machine lacks
 * something. Prints every failure in full and a line a scenario; the exit status is 1 where anything failed.
 */

import { join } from 'node:path';
import { ROOT } from '../run/discovery.ts';
import { FaultedDaemon } from './faulted-daemon.ts';
import { Judge } from './judge.ts';
import type { Point } from './order.ts';
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

function strikesAt(scenario: Scenario, judge: Judge, marks: RuntimeMarks, lacks: number): Strike<Point>[] {
  if (lacks > 0) return LACKS.map((lack) => lacking(lack, lacks));
  if (scenario.runtime !== true) return [daemonKilled];
  return [
    daemonKilled,
    runtimeKilled(marks),
    supervisorKilled(marks, judge.bystander),
    daemonKilledMeanwhile(marks),
    supervisorKilledMeanwhile(judge.bystander),
  ];
}

async function main(): Promise<boolean> {
  const args = process.argv.slice(2);
  const points = args.find((arg) => arg.startsWith('--points='))?.slice('--points='.length) ?? '';
  const lacks = Number(args.find((arg) => arg.startsWith('--lacks='))?.slice('--lacks='.length) ?? 0);
  const driver = args.find((arg) => arg.startsWith('--driver='))?.slice('--driver='.length) ?? DRIVERS[0];
  const names = new Set(args.filter((arg) => !arg.startsWith('--')));
  const marks = new RuntimeMarks();
  const daemon = await FaultedDaemon.start({
    args: ['--storage-driver', driver],
    runtime: join(ROOT, 'build/faults/mydock-runtime'),
    ...(lacks > 0 ? { beforeStart: mountRoots } : {}),
  });
  const suffix = driver === DRIVERS[0] ? '' : ` (${driver})`;
  let failed = false;
  try {
    const judge = await Judge.begin(daemon);
    for (const scenario of SCENARIOS.filter(({ name }) => names.has(name))) {
      for (const kind of strikesAt(scenario, judge, marks, lacks)) {
        const begunAt = performance.now();
        const { strikes, failures } = await runScenario(daemon, judge, scenario, kind, {
          picked: (title) => `${kind.name} ${title}`.includes(points),
          onFailure: (failure) => console.log(`FAILED ${failure}${suffix}`),
        });
        failed ||= failures.length > 0;
        if (strikes === 0 && failures.length === 0) continue;
        const seconds = ((performance.now() - begunAt) / 1000).toFixed(1);
        const what = `${scenario.name}${suffix}: ${kind.name.replace(/ at$/, '')}`;
        console.log(`${what}: ${strikes} strikes, ${failures.length} failed (${seconds} s)`);
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
