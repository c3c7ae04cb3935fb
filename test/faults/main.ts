/**
 * `make test-faults [ONLY=substring,…] [POINTS=substring] [KINDS=kills|lacks|lies] [ALL=1]`: strikes at labelled steps of every
 * scenario whose name has one of the substrings, a few sandboxes at a time: evenly at some of an operation's steps, so
 * that it all ends in a quarter of an hour; at all with ALL, and at all that POINTS picks. Prints what fails, a line a
 * scenario, and at how many of how many points it has struck; the exit status is 1 where anything failed.
 */
import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { busyboxProgram } from '../fixtures/packages.ts';
import { prepareFixtures } from '../fixtures/prepare.ts';
import { SANDBOX, sandboxes } from '../run/discovery.ts';
import { heardLabels, neverPassed } from './labels.ts';
import { DRIVERS, type Scenario } from './scenario.ts';
import { SCENARIOS } from './scenarios/all.ts';

const SANDBOX_NAME = `mydock-faults-${process.pid}-`;
/** Of one sandbox: its daemon does not grow old, and a few run at a time. */
const SCENARIOS_EACH = 5;
/** At how many points of a scenario each kind strikes. */
const KILLS_EACH = 10;
const LACKS_EACH = 1;
const LIES_EACH = 1;

/** Adds up what the sandboxes say. */
const sum = { strikes: 0, targets: 0 };

const passed = new Set<string>();

function print(line: string): void {
  const labels = heardLabels(line);
  if (labels !== undefined) {
    for (const label of labels) passed.add(label);
    return;
  }
  console.log(line);
  const [, strikes, targets] = /: (\d+) of (\d+) strikes, /.exec(line) ?? [];
  sum.strikes += Number(strikes ?? 0);
  sum.targets += Number(targets ?? 0);
}

async function runIn(command: readonly string[], interrupt: AbortSignal): Promise<boolean> {
  const [file = '', ...args] = command;
  const child = spawn(file, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  createInterface({ input: child.stdout }).on('line', print);
  const stop = (): void => {
    child.kill('SIGKILL');
  };
  interrupt.addEventListener('abort', stop);
  const code = await new Promise((resolve) => child.once('close', resolve));
  interrupt.removeEventListener('abort', stop);
  return code === 0;
}

function ofDriver(driver: string, scenarios: readonly Scenario[], most: readonly string[]): string[][] {
  const isFirst = driver === DRIVERS[0];
  return parts(
    [`--driver=${driver}`, '--kinds=kills', ...most],
    scenarios.filter(({ layers }) => isFirst || layers === true),
  );
}

/** Words for `in-sandbox.ts`, for each of the sandboxes. */
function parts(flags: readonly string[], scenarios: readonly Scenario[]): string[][] {
  const found: string[][] = [];
  for (let at = 0; at < scenarios.length; at += SCENARIOS_EACH) {
    found.push([...flags, ...scenarios.slice(at, at + SCENARIOS_EACH).map(({ name }) => name)]);
  }
  return found;
}

async function main(): Promise<boolean> {
  const [only = '', points = '', kinds = '', all = ''] = process.argv.slice(2);
  const wanted = only.split(',');
  const picked = SCENARIOS.filter(({ name }) => wanted.some((text) => name.includes(text)));
  if (picked.length === 0) throw new Error(`no scenario has "${only}" in its name`);
  await prepareFixtures();
  process.env['MYDOCK_TEST_BUSYBOX'] = await busyboxProgram();
  const scratch = mkdtempSync(join(tmpdir(), 'mydock-faults-'));
  const sandbox = sandboxes(SANDBOX_NAME, scratch);
  const most = (each: number): string[] => (points === '' && all === '' ? [`--most=${each}`] : []);
  const wants = (kind: string): boolean => kinds === '' || kinds === kind;
  const speaking = picked.filter(({ registry }) => registry === true);
  const queue = [
    ...(wants('kills') ? DRIVERS.flatMap((driver) => ofDriver(driver, picked, most(KILLS_EACH))) : []),
    ...(wants('lacks') ? parts(['--kinds=lacks', ...most(LACKS_EACH)], picked) : []),
    ...(wants('lies') ? parts(['--kinds=lies', ...most(LIES_EACH)], speaking) : []),
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
  if (picked.length === SCENARIOS.length && wants('kills')) {
    const missing = neverPassed(passed);
    if (missing.length > 0) console.log(`no scenario passes ${missing.join(', ')}`);
  }
  console.log(`${sum.strikes} of ${sum.targets} strikes`);
  return good && !interrupt.signal.aborted;
}

process.exitCode = (await main()) ? 0 : 1;
