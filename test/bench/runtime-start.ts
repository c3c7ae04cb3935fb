/**
 * `node test/bench/runtime-start.ts`: what starting a container costs the OCI runtimes alone, without engines around
 * them: mydock-runtime beside crun and runc, on one bundle (busybox; all namespaces but user and time, the usual mounts, Docker's seccomp
 * profile, control groups), runtimes taking turns. Prints a section for docs/benchmarks.md. Runs in the tests' sandbox.
 */
import { spawn, spawnSync } from 'node:child_process';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { availableParallelism, release, tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { DEFAULT_SECCOMP_PROFILE } from '../../src/oci/seccomp-default.ts';
import { resolveSeccomp } from '../../src/oci/seccomp-profile.ts';
import { busyboxProgram } from '../fixtures/packages.ts';

const SANDBOX = resolve(import.meta.dirname, '../run/sandbox.sh');
const OWN = resolve(import.meta.dirname, '../../dist/mydock-runtime');

const ROUNDS = 25;
/** Containers a round: the shell that starts them is not to count. */
const REPEATS = 10;

interface Runtime {
  readonly name: string;
  readonly path: string;
}

/** $1 the runtime, $2 its --root, $3 the bundle, $4 how often. */
const JOBS: readonly (readonly [title: string, script: string])[] = [
  ['run', 'while [ $4 -gt $i ]; do "$1" --root "$2" run --bundle "$3" c || exit 1; i=$((i + 1)); done'],
  [
    'create, start, delete',
    'while [ $4 -gt $i ]; do "$1" --root "$2" create --bundle "$3" c && "$1" --root "$2" start c && ' +
      '"$1" --root "$2" delete --force c || exit 1; i=$((i + 1)); done',
  ],
  [
    'exec',
    '"$1" --root "$2" run --detach --bundle "$3-long" c && while [ $4 -gt $i ]; do "$1" --root "$2" exec c true || exit 1; i=$((i + 1)); ' +
      'done; "$1" --root "$2" delete --force c',
  ],
];

function runtimes(): Runtime[] {
  const found = [{ name: 'mydock-runtime', path: OWN }];
  for (const name of ['crun', 'runc']) {
    const path = spawnSync('sh', ['-c', `command -v ${name}`], { encoding: 'utf8' }).stdout.trim();
    if (path !== '') found.push({ name, path });
  }
  return found;
}

function version(runtime: Runtime): string {
  const text = spawnSync(runtime.path, ['--version'], { encoding: 'utf8' }).stdout;
  return /version (\S+)/.exec(text)?.[1] ?? '';
}

async function makeBundle(folder: string, args: readonly string[]): Promise<void> {
  mkdirSync(join(folder, 'rootfs/bin'), { recursive: true });
  copyFileSync(await busyboxProgram(), join(folder, 'rootfs/bin/busybox'));
  for (const name of ['true', 'sleep']) symlinkSync('busybox', join(folder, 'rootfs/bin', name));
  const spec = spawnSync(OWN, ['spec', '--bundle', folder], { encoding: 'utf8' });
  if (spec.status !== 0) throw new Error(spec.stderr);
  const path = join(folder, 'config.json');
  const config = JSON.parse(readFileSync(path, 'utf8')) as {
    ociVersion: string;
    process: { terminal: boolean; args: readonly string[] };
    linux: Record<string, unknown>;
  };
  config.ociVersion = '1.0.2';
  config.process.terminal = false;
  config.process.args = args;
  config.linux['cgroupsPath'] = '/bench/c';
  const architecture = process.arch === 'arm64' ? 'arm64' : 'amd64';
  config.linux['seccomp'] = resolveSeccomp(DEFAULT_SECCOMP_PROFILE, {
    architecture,
    capabilities: [],
    kernelRelease: release(),
  });
  writeFileSync(path, JSON.stringify(config));
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[sorted.length >> 1] ?? Number.NaN;
}

function measureMs(runtime: Runtime, script: string, bundle: string): number {
  const root = `/run/bench-${runtime.name}`;
  const startedAt = performance.now();
  const ended = spawnSync('sh', ['-c', `i=0; ${script}`, 'sh', runtime.path, root, bundle, String(REPEATS)], {
    stdio: ['ignore', 'ignore', 'pipe'],
    timeout: 120_000,
    encoding: 'utf8',
  });
  const elapsedMs = performance.now() - startedAt;
  if (ended.status !== 0)
    throw new Error(`${runtime.name}: ${script}: ${ended.status ?? ended.signal}: ${ended.stderr}`);
  return elapsedMs / REPEATS;
}

async function inside(): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'runtimes-'));
  const bundle = join(folder, 'bundle');
  await makeBundle(bundle, ['true']);
  await makeBundle(`${bundle}-long`, ['sleep', '1000']);
  const all = runtimes();
  // crun refuses hosts whose v2 hierarchy has controllers beside v1's: without it the host is one of v1 for all.
  if (existsSync('/sys/fs/cgroup/unified')) spawnSync('umount', ['-l', '/sys/fs/cgroup/unified']);
  const cell = (values: readonly string[]): string => `| ${values.join(' | ')} |`;
  const rows = JOBS.map(([title, script]) => {
    const times = all.map((): number[] => []);
    for (let round = -1; round < ROUNDS; round++) {
      for (const [index, runtime] of all.entries()) {
        const elapsedMs = measureMs(runtime, script, bundle);
        if (round >= 0) times[index]?.push(elapsedMs);
      }
    }
    const medians = times.map(median);
    const ratios = medians.slice(1).map((value) => `1 : ${(value / (medians[0] ?? Number.NaN)).toFixed(1)}`);
    return cell([title, ...medians.map((value) => `${value.toFixed(1)} ms`), ...ratios]);
  });
  const others = all.slice(1).map(({ name }) => `mydock-runtime : ${name}`);
  const head = ['', ...all.map((runtime) => `${runtime.name} ${version(runtime)}`), ...others];
  console.log(`## Starting a container: the runtimes alone

Medians of ${ROUNDS} rounds of ${REPEATS} containers each, runtimes taking turns (\`node test/bench/runtime-start.ts\`; ${availableParallelism()} processors,
Linux ${release()}). One bundle for all: busybox, its own pid, network, ipc, uts, mount and cgroup namespaces, the usual
mounts, Docker's seccomp profile, control groups.

${cell(head)}
${cell(head.map(() => '---'))}
${rows.join('\n')}`);
  rmSync(folder, { recursive: true, force: true });
}

async function main(): Promise<void> {
  if (process.env['MYDOCK_TEST_SANDBOX'] === '1') return await inside();
  if (process.getuid?.() !== 0) throw new Error('the benchmarks run containers, which needs root');
  if (!existsSync(OWN)) throw new Error(`${OWN} is missing: make build`);
  await busyboxProgram();
  const folder = mkdtempSync(join(tmpdir(), 'mydock-bench-'));
  const name = `mydock-bench-${process.pid}`;
  try {
    const child = spawn(SANDBOX, [name, folder, process.execPath, ...process.argv.slice(1)], {
      stdio: 'inherit',
    });
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
      process.on(signal, () => child.kill('SIGKILL'));
    process.exitCode = await new Promise((done) => child.once('exit', (code) => done(code ?? 1)));
  } finally {
    spawnSync(SANDBOX, ['--sweep', name], { stdio: 'inherit' });
    rmSync(folder, { recursive: true, force: true });
  }
}

await main();
