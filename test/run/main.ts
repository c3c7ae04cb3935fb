/**
 * `make test`: unit tests (src/) and tests of the native programs (test/native), one process a folder, and integration
 * tests (test/integration/, test/conformance/, one process and one sandbox a file), a few at a time. Arguments are
 * substrings that pick files. Prints a line a file, every failure in full, every skip with its reason, and ends with
 * one line of counts; the exit status is 1 where anything failed.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { busyboxProgram } from '../fixtures/packages.ts';
import { prepareFixtures } from '../fixtures/prepare.ts';
import {
  integrationTests,
  longestFirst,
  nativeJobs,
  ROOT,
  SANDBOX,
  sandboxedJob,
  sandboxes,
  UNIT_TIMEOUT_MS,
  unitJobs,
} from './discovery.ts';
import { Job, SKIP_STATUS } from './job.ts';
import { count, runAll, totals } from './report.ts';
import type { TestRecord } from './reporter.ts';

/** Many jobs wait for their kernel or their clocks half of the time: so many more than there are processors are run at once. */
const WAITING = 2;
/** Where processes find their TypeScript stripped and compiled; also written in sandboxes, by the bundles too. */
const COMPILE_CACHE = join(ROOT, 'dist/.compile-cache');
const SANDBOX_NAME = `mydock-test-${process.pid}-`;

function allJobs(picked: (file: string) => boolean, scratch: string): Job[] {
  const sandbox = process.getuid?.() === 0 ? sandboxes(SANDBOX_NAME, scratch) : undefined;
  const integration =
    sandbox === undefined
      ? [new Job('test/integration', ['sh', '-c', `echo needs root; exit ${SKIP_STATUS}`], UNIT_TIMEOUT_MS)]
      : integrationTests()
          .filter(picked)
          .map((file) => sandboxedJob(file, sandbox));
  return longestFirst([...unitJobs(picked, sandbox), ...nativeJobs(picked), ...integration]);
}

async function main(): Promise<void> {
  const filters = process.argv.slice(2);
  const picked = (file: string): boolean =>
    filters.length === 0 || filters.some((text) => file.includes(text));
  process.env['NODE_COMPILE_CACHE'] = COMPILE_CACHE;
  const scratch = mkdtempSync(join(tmpdir(), 'mydock-test-'));
  let records: readonly TestRecord[] = [];
  // Jobs run in process groups of their own, which ctrl-c does not reach.
  const interrupt = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(name, () => interrupt.abort());
  try {
    const jobs = allJobs(picked, scratch);
    if (jobs.some((job) => job.name.startsWith('test/'))) {
      await prepareFixtures();
      process.env['MYDOCK_TEST_BUSYBOX'] = await busyboxProgram();
    }
    records = await runAll(jobs, availableParallelism() + WAITING, interrupt.signal);
  } finally {
    if (process.getuid?.() === 0) spawnSync(SANDBOX, ['--sweep', SANDBOX_NAME], { stdio: 'inherit' });
    rmSync(scratch, { recursive: true, force: true, maxRetries: 3 });
  }
  if (interrupt.signal.aborted) console.log('interrupted: the counts are not whole');
  console.log(totals(records));
  const failed = count(records, 'failed');
  process.exitCode = failed > 0 || records.length === 0 || interrupt.signal.aborted ? 1 : 0;
}

await main();
