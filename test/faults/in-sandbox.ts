/**
 * Runs scenarios in the sandbox that this process was started in: `in-sandbox.ts [--points=TEXT] NAME...`. Prints every
 * failure in full and a line a scenario; the exit status is 1 where anything failed.
 */
import { FaultedDaemon } from './faulted-daemon.ts';
import { Judge } from './judge.ts';
import { runScenario } from './run-scenario.ts';
import { SCENARIOS } from './scenarios/all.ts';
import { daemonKilled } from './strikes.ts';

async function main(): Promise<boolean> {
  const args = process.argv.slice(2);
  const points = args.find((arg) => arg.startsWith('--points='))?.slice('--points='.length) ?? '';
  const names = new Set(args.filter((arg) => !arg.startsWith('--')));
  const daemon = await FaultedDaemon.start();
  let failed = false;
  try {
    const judge = await Judge.begin(daemon);
    for (const scenario of SCENARIOS.filter(({ name }) => names.has(name))) {
      const begunAt = performance.now();
      const { strikes, failures } = await runScenario(daemon, judge, scenario, daemonKilled, {
        picked: (title) => title.includes(points),
        onFailure: (failure) => console.log(`FAILED ${failure}`),
      });
      failed ||= failures.length > 0;
      const seconds = ((performance.now() - begunAt) / 1000).toFixed(1);
      console.log(`${scenario.name}: ${strikes} strikes, ${failures.length} failed (${seconds} s)`);
    }
  } catch (error) {
    console.log(`daemon log:\n${daemon.log.slice(-6000)}`);
    throw error;
  } finally {
    await daemon.close();
  }
  return failed;
}

process.exitCode = (await main()) ? 1 : 0;
