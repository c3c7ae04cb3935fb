/**
 * `make test-faults [ONLY=substring,…] [POINTS=substring] [KINDS=kills|lacks]`: strikes at every labelled step of every
 * scenario whose name has one of the substrings, a few sandboxes at a time. What the machine lacks (no room, no
 * descriptors) it lacks at a few steps of each, at all where POINTS picks them (`begin ` has all). Prints what fails and a
 * line a scenario; the exit status is 1 where anything failed.
 */
import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { busyboxProgram } from '../fixtures/packages.ts';
import { prepareFixtures } from '../fixtures/prepare.ts';
import { SANDBOX, sandboxes } from '../run/discovery.ts';
import { DRIVERS, type Scenario } from './scenario.ts';
import { SCENARIOS } from './scenarios/all.ts';

const SANDBOX_NAME = `mydock-faults-${process.pid}-`;
/** Of one sandbox: its daemon does not grow old, and a few run at a time. */
const SCENARIOS_EACH = 5;
/** At how many points of a scenario the machine lacks something, where POINTS does not say which. */
const LACKS_EACH = 3;

async function runIn(command: readonly string[], interrupt: AbortSignal): Promise<boolean> {
  const [file = '', ...args] = command;
  const child = spawn(file, args, { stdio: ['ignore', 'inherit', 'inherit'] });
  const stop = (): void => {
    child.kill('SIGKILL');
  };
  interrupt.addEventListener('abort', stop);
  const code = await new Promise((resolve) => child.once('exit', resolve));
  interrupt.removeEventListener('abort', stop);
  return code === 0;
}

function ofDriver(driver: string, scenarios: readonly Scenario[]): string[][] {
  const isFirst = driver === DRIVERS[0];
  return parts(
    `--driver=${driver}`,
    scenarios.filter(({ layers }) => isFirst || layers === true),
  );
}

/** Words for `in-sandbox.ts`, for each of the sandboxes. */
function parts(flag: string, scenarios: readonly Scenario[]): string[][] {
  const found: string[][] = [];
  for (let at = 0; at < scenarios.length; at += SCENARIOS_EACH) {
    found.push([flag, ...scenarios.slice(at, at + SCENARIOS_EACH).map(({ name }) => name)]);
  }
  return found;
}

async function main(): Promise<boolean> {
  const [only = '', points = '', kinds = ''] = process.argv.slice(2);
  const wanted = only.split(',');
  const picked = SCENARIOS.filter(({ name }) => wanted.some((text) => name.includes(text)));
  if (picked.length === 0) throw new Error(`no scenario has "${only}" in its name`);
  await prepareFixtures();
  process.env['MYDOCK_TEST_BUSYBOX'] = await busyboxProgram();
  const scratch = mkdtempSync(join(tmpdir(), 'mydock-faults-'));
  const sandbox = sandboxes(SANDBOX_NAME, scratch);
  const lacks = `--lacks=${points === '' ? LACKS_EACH : Number.MAX_SAFE_INTEGER}`;
  const queue = [
    ...(kinds === 'lacks' ? [] : DRIVERS.flatMap((driver) => ofDriver(driver, picked))),
    ...(kinds === 'kills' ? [] : parts(lacks, picked)),
  ];
  const interrupt = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(name, () => interrupt.abort());
  let good = true;
  const worker = async (): Promise<void> => {
    for (let part = queue.shift(); part !== undefined; part = queue.shift()) {
      if (interrupt.signal.aborted) return;
      const script = join(import.meta.dirname, 'in-sandbox.ts');
      const flags = ['--disable-warning=ExperimentalWarning', script, `--points=${points}`];
      good = (await runIn(sandbox(process.execPath, ...flags, ...part), interrupt.signal)) && good;
    }
  };
  try {
    await Promise.all(Array.from({ length: Math.max(2, availableParallelism()) }, worker));
  } finally {
    spawnSync(SANDBOX, ['--sweep', SANDBOX_NAME], { stdio: 'inherit' });
    rmSync(scratch, { recursive: true, force: true, maxRetries: 3 });
  }
  return good && !interrupt.signal.aborted;
}

process.exitCode = (await main()) ? 0 : 1;
