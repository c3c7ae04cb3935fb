/**
 * `make test`: unit tests (src/) and tests of the native programs (test/native), one process a folder, and integration
 * tests (test/integration/, test/conformance/, one process and one sandbox a file), a few at a time. Arguments are
 * substrings that pick files. Prints a line a file, every failure in full, every skip with its reason, and ends with
 * one line of counts; the exit status is 1 where anything failed.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { dirname, join, relative, resolve } from 'node:path';
import { busyboxProgram } from '../fixtures/packages.ts';
import { prepareFixtures } from '../fixtures/prepare.ts';
import { Job, SKIP_STATUS } from './job.ts';
import type { TestRecord } from './reporter.ts';

const ROOT = resolve(import.meta.dirname, '../..');
const UNIT_TIMEOUT_MS = 180_000;
const INTEGRATION_TIMEOUT_MS = 240_000;
const SANDBOX = join(import.meta.dirname, 'sandbox.sh');
const SANDBOX_NAME = `mydock-test-${process.pid}-`;

function filesBelow(folder: string, suffix: string): string[] {
  if (!existsSync(join(ROOT, folder))) return [];
  return readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith(suffix))
    .map((name) => `${folder}/${name}`)
    .sort();
}

function nodeTest(files: readonly string[]): string[] {
  return [
    process.execPath,
    '--disable-warning=ExperimentalWarning',
    '--test',
    '--test-isolation=none',
    `--test-reporter=${join(import.meta.dirname, 'reporter.ts')}`,
    '--test-reporter-destination=stdout',
    ...files,
  ];
}

/** One process for each folder: isolation by file would cost 80 ms each. */
function unitJobs(picked: (file: string) => boolean): Job[] {
  const folders = new Map<string, string[]>();
  const tests = ['src', 'test/fixtures', 'test/native'].flatMap((folder) => filesBelow(folder, '.test.ts'));
  for (const file of tests.filter(picked)) {
    const folder = dirname(file);
    folders.set(folder, [...(folders.get(folder) ?? []), file]);
  }
  return [...folders].map(([folder, files]) => new Job(folder, nodeTest(files), UNIT_TIMEOUT_MS, files));
}

/** Programs of the sanitizers, made by `make native-tests`. */
function nativeJobs(picked: (file: string) => boolean): Job[] {
  return filesBelow('test/native', '.c')
    .filter(picked)
    .map((file) => {
      const program = join(ROOT, 'build/native-tests', file.slice('test/native/'.length, -'.c'.length));
      return new Job(file, [program], UNIT_TIMEOUT_MS);
    });
}

function integrationJobs(picked: (file: string) => boolean, scratch: string): Job[] {
  if (process.getuid?.() !== 0) {
    return [
      new Job('test/integration', ['sh', '-c', `echo needs root; exit ${SKIP_STATUS}`], UNIT_TIMEOUT_MS),
    ];
  }
  return ['test/integration', 'test/conformance']
    .flatMap((folder) => filesBelow(folder, '.test.ts'))
    .filter(picked)
    .map((file, index) => {
      const folder = join(scratch, String(index));
      mkdirSync(folder);
      const command = [SANDBOX, `${SANDBOX_NAME}${index}`, folder, ...nodeTest([file])];
      return new Job(file, command, INTEGRATION_TIMEOUT_MS, [file]);
    });
}

/** Runs jobs `width` at a time; `done` sees each in the order of finishing. */
async function runAll(
  jobs: readonly Job[],
  width: number,
  interrupted: AbortSignal,
  done: (job: Job) => void,
): Promise<void> {
  const queue = [...jobs];
  const worker = async (): Promise<void> => {
    for (let job = queue.shift(); job !== undefined && !interrupted.aborted; job = queue.shift()) {
      await job.run(ROOT, interrupted);
      done(job);
    }
  };
  await Promise.all(Array.from({ length: width }, worker));
}

const count = (records: readonly TestRecord[], outcome: TestRecord['outcome']): number =>
  records.filter((record) => record.outcome === outcome).length;

function printJob(job: Job): void {
  const failed = count(job.records, 'failed');
  const skipped = count(job.records, 'skipped');
  const counts = [
    `${count(job.records, 'passed')} passed`,
    ...(failed > 0 ? [`${failed} failed`] : []),
    ...(skipped > 0 ? [`${skipped} skipped`] : []),
  ].join(', ');
  console.log(
    `${failed > 0 ? 'FAIL' : 'ok  '} ${job.name}: ${counts} (${(job.durationMs / 1000).toFixed(1)} s)`,
  );
  for (const record of job.records) {
    const where = record.file === '' ? '' : ` (${relative(ROOT, record.file)})`;
    if (record.outcome === 'skipped') console.log(`       skipped: ${record.name}: ${record.detail}`);
    if (record.outcome !== 'failed') continue;
    console.log(`  failed: ${record.name}${where}\n${record.detail.replace(/^/gm, '    ')}`);
  }
  if (failed > 0 && job.output.trim() !== '') {
    console.log(`  output:\n${job.output.trim().split('\n').slice(-40).join('\n').replace(/^/gm, '    | ')}`);
  }
}

async function main(): Promise<void> {
  const filters = process.argv.slice(2);
  const picked = (file: string): boolean =>
    filters.length === 0 || filters.some((text) => file.includes(text));
  const scratch = mkdtempSync(join(tmpdir(), 'mydock-test-'));
  const records: TestRecord[] = [];
  // Jobs run in process groups of their own, which ctrl-c does not reach.
  const interrupt = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(name, () => interrupt.abort());
  try {
    const jobs = [...unitJobs(picked), ...nativeJobs(picked), ...integrationJobs(picked, scratch)];
    if (jobs.some((job) => job.name.startsWith('test/'))) {
      await prepareFixtures();
      process.env['MYDOCK_TEST_BUSYBOX'] = await busyboxProgram();
    }
    await runAll(jobs, Math.max(2, availableParallelism()), interrupt.signal, (job) => {
      printJob(job);
      records.push(...job.records);
    });
  } finally {
    if (process.getuid?.() === 0) spawnSync(SANDBOX, ['--sweep', SANDBOX_NAME], { stdio: 'inherit' });
    rmSync(scratch, { recursive: true, force: true, maxRetries: 3 });
  }
  if (interrupt.signal.aborted) console.log('interrupted: the counts are not whole');
  const failed = count(records, 'failed');
  console.log(`${count(records, 'passed')} passed, ${failed} failed, ${count(records, 'skipped')} skipped`);
  process.exitCode = failed > 0 || records.length === 0 || interrupt.signal.aborted ? 1 : 0;
}

await main();
