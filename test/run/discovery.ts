/**
 * Which test files there are, and the command that runs each kind: unit tests a folder at a time in one process,
 * native programs as they were built, integration tests one process and one sandbox a file.
 */
import { existsSync, mkdirSync, readdirSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { Job } from './job.ts';
import { timeLimitMs } from './time-limit.ts';

export const ROOT = resolve(import.meta.dirname, '../..');
export const SANDBOX = join(import.meta.dirname, 'sandbox.sh');
export const UNIT_TIMEOUT_MS = timeLimitMs(1_800_000);
const INTEGRATION_TIMEOUT_MS = timeLimitMs(900_000);

export function filesBelow(folder: string, suffix: string): string[] {
  if (!existsSync(join(ROOT, folder))) return [];
  return readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith(suffix))
    .map((name) => `${folder}/${name}`)
    .sort();
}

export function unitTests(): string[] {
  return ['src', 'test/fixtures', 'test/native'].flatMap((folder) => filesBelow(folder, '.test.ts'));
}

export function integrationTests(): string[] {
  return ['test/integration', 'test/conformance'].flatMap((folder) => filesBelow(folder, '.test.ts'));
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
export function unitJobs(picked: (file: string) => boolean): Job[] {
  const folders = new Map<string, string[]>();
  for (const file of unitTests().filter(picked)) {
    const folder = dirname(file);
    folders.set(folder, [...(folders.get(folder) ?? []), file]);
  }
  return [...folders].map(([folder, files]) => new Job(folder, nodeTest(files), UNIT_TIMEOUT_MS, files));
}

/** Programs of the sanitizers, made by `make native-tests`. */
export function nativeJobs(picked: (file: string) => boolean): Job[] {
  return filesBelow('test/native', '.c')
    .filter((file) => dirname(file) === 'test/native' && picked(file))
    .map((file) => {
      const program = join(ROOT, 'build/native-tests', file.slice('test/native/'.length, -'.c'.length));
      return new Job(file, [program], UNIT_TIMEOUT_MS);
    });
}

/** A test in a sandbox whose cgroups are `cgroup` and whose files are below `folder`, which is made. */
export function sandboxedJob(file: string, cgroup: string, folder: string): Job {
  mkdirSync(folder);
  return new Job(file, [SANDBOX, cgroup, folder, ...nodeTest([file])], INTEGRATION_TIMEOUT_MS, [file]);
}

/** A test in a machine of its own, which needs no sandbox around it. */
export function bareJob(file: string): Job {
  return new Job(file, ['env', 'MYDOCK_TEST_SANDBOX=1', ...nodeTest([file])], INTEGRATION_TIMEOUT_MS, [file]);
}
