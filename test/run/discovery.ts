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
  return ['src', 'test/bench', 'test/fixtures', 'test/native', 'test/fuzz'].flatMap((folder) =>
    filesBelow(folder, '.test.ts'),
  );
}

export function integrationTests(): string[] {
  return ['test/integration', 'test/conformance', 'test/soak'].flatMap((folder) =>
    filesBelow(folder, '.test.ts'),
  );
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

/** Jobs that take minutes where others take seconds: what begins last is waited for alone. */
const LONGEST = [
  'src/image/layers/erofs',
  'test/integration/container/runtimes.test.ts',
  'src/network/firewall',
  'test/integration/api/hostile-parameters.test.ts',
  'src/image/layers',
  'test/native',
  'src/network',
  'test/integration/image/push.test.ts',
  'test/integration/security/engine-build.test.ts',
  'test/integration/api/load.test.ts',
  'test/soak/soak.test.ts',
  'test/integration/container/userns.test.ts',
  'test/integration/build/buildkit-table.test.ts',
  'test/integration/daemon/upgrade-long.test.ts',
  'test/integration/image/interruptions.test.ts',
  'test/integration/image/hostile.test.ts',
  'src/image/pull',
  'src/image/push',
];

/** The longest jobs first, the others in their order. */
export function longestFirst(jobs: readonly Job[]): Job[] {
  const rank = ({ name }: Job): number => (LONGEST.includes(name) ? LONGEST.indexOf(name) : LONGEST.length);
  return jobs.toSorted((one, other) => rank(one) - rank(other));
}

/** Folders whose unit tests unpack what is hostile, and mount it. */
const UNPACKING = /^src\/(image\/layers|volume|container\/archive)(\/|$)/;

/**
 * One process for each folder: isolation by file would cost 80 ms each. Those that unpack what is hostile are run in a
 * sandbox where `sandbox` gives one, on a disk of its own.
 */
export function unitJobs(
  picked: (file: string) => boolean,
  sandbox: ((...command: string[]) => string[]) | undefined,
): Job[] {
  const folders = new Map<string, string[]>();
  for (const file of unitTests().filter(picked)) {
    const folder = dirname(file);
    folders.set(folder, [...(folders.get(folder) ?? []), file]);
  }
  return [...folders].map(([folder, files]) => {
    const command = nodeTest(files);
    const isSandboxed = sandbox !== undefined && UNPACKING.test(folder);
    const isolated = isSandboxed ? ['env', 'MYDOCK_TEST_DISK=1', ...sandbox(...command)] : command;
    return new Job(folder, isolated, UNIT_TIMEOUT_MS, files);
  });
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

/** A test in a sandbox that `sandbox` gives. */
export function sandboxedJob(file: string, sandbox: (...command: string[]) => string[]): Job {
  return new Job(file, sandbox(...nodeTest([file])), INTEGRATION_TIMEOUT_MS, [file]);
}

/**
 * Gives commands that run another in a sandbox of its own each: their cgroups' names are `cgroup` and a number, their
 * files lie in folders below `scratch`.
 */
export function sandboxes(cgroup: string, scratch: string): (...command: string[]) => string[] {
  let count = 0;
  return (...command) => {
    const folder = join(scratch, String(count));
    mkdirSync(folder);
    return [SANDBOX, `${cgroup}${count++}`, folder, ...command];
  };
}

/** A test in a machine of its own, which needs no sandbox around it. */
export function bareJob(file: string): Job {
  return new Job(file, ['env', 'MYDOCK_TEST_SANDBOX=1', ...nodeTest([file])], INTEGRATION_TIMEOUT_MS, [file]);
}
