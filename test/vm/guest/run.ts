/**
 * Runs tests inside the virtual machine: the picked native programs and tests in sandboxes, then, one at a time, those
 * that talk to the machine's systemd. What to pick stands in the file that project-image.ts wrote. Prints each test as
 * it ends, so that a hang shows where, and the same report as `make test`.
 */
import { mkdtempSync, readFileSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { busyboxProgram } from '../../fixtures/packages.ts';
import {
  bareJob,
  filesBelow,
  integrationTests,
  nativeJobs,
  ROOT,
  sandboxedJob,
  sandboxes,
  unitJobs,
} from '../../run/discovery.ts';
import { count, runAll, totals } from '../../run/report.ts';
import { isOutside, isPicked } from '../selection.ts';

const substrings = JSON.parse(readFileSync(join(ROOT, 'build/vm-cache/picked.json'), 'utf8')) as string[];
const cgroup = process.env['MYDOCK_TEST_CGROUP'] ?? '';
const picked = (file: string): boolean => isPicked(file, substrings);

process.env['MYDOCK_TEST_BUSYBOX'] = await busyboxProgram();
const scratch = mkdtempSync(join(tmpdir(), 'mydock-test-'));
const sandbox = sandboxes(join(cgroup, 'test-'), scratch);
const sandboxed = [
  ...unitJobs(picked, sandbox),
  ...nativeJobs(picked),
  ...integrationTests()
    .filter((file) => picked(file) && !isOutside(file))
    .map((file) => sandboxedJob(file, sandbox)),
];
const outside = [...integrationTests(), ...filesBelow('test/vm', '.test.ts')]
  .filter((file) => picked(file) && isOutside(file))
  .map((file) => bareJob(file));
const startedAt = performance.now();
for (const job of [...sandboxed, ...outside]) {
  job.onProgress = (text) => {
    const seconds = ((performance.now() - startedAt) / 1000).toFixed(0);
    console.log(`  [${seconds} s] ${job.name.replace(/^.*\//, '')}: ${text}`);
  };
}

const { signal } = new AbortController();
const records = [
  ...(await runAll(sandboxed, availableParallelism(), signal)),
  ...(await runAll(outside, 1, signal)),
];
console.log(totals(records));
process.exitCode = count(records, 'failed') > 0 || records.length === 0 ? 1 : 0;
