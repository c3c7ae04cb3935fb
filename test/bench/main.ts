/**
 * `make bench`: times mydock, and Docker and Podman where they are installed, in one run on one machine, engines
 * taking turns, and prints medians with ratios. `--out FILE` writes the table there as well; further arguments pick
 * jobs by key (see jobs.ts). Runs in the tests' sandbox, with a registry beside it.
 */
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism, release, tmpdir, totalmem } from 'node:os';
import { join, resolve } from 'node:path';
import { busyboxImage, debianImage, hasDebianImage } from '../fixtures/catalog.ts';
import { prepareFixtures } from '../fixtures/prepare.ts';
import { startRegistry } from '../fixtures/registry.ts';
import { buildJobs } from './build-jobs.ts';
import { drive, type Engine, engines } from './engines.ts';
import { type Job, jobs } from './jobs.ts';
import { largeImage } from './large-image.ts';

const SANDBOX = resolve(import.meta.dirname, '../run/sandbox.sh');

/** A measurement that takes longer than this is told of. */
const SLOW_MS = 5000;

type Results = Map<Job, Map<Engine, number>>;

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const [low = Number.NaN, high = Number.NaN] = [sorted[middle - 1], sorted[middle]];
  return sorted.length % 2 === 1 ? high : (low + high) / 2;
}

async function measureJob(job: Job, running: readonly Engine[]): Promise<Map<Engine, number>> {
  const values = new Map<Engine, number[]>();
  // The first round warms caches and is not counted where there are several.
  for (let round = job.rounds > 1 ? -1 : 0; round < job.rounds; round++) {
    for (const engine of running) {
      // Rounds of slow engines take minutes: whoever watches sees that they go on.
      const started = performance.now();
      const value = await job.measure(engine);
      if (process.stderr.isTTY || performance.now() - started > SLOW_MS) {
        console.error(
          `${job.key}, round ${round}, ${engine.name}: ${value?.toPrecision(3) ?? 'not measured'}`,
        );
      }
      if (value === undefined || round < 0) continue;
      values.set(engine, [...(values.get(engine) ?? []), value]);
    }
  }
  return new Map([...values].map(([engine, all]) => [engine, median(all)]));
}

const shown = (value: number, unit: string): string =>
  `${unit === 'ms' ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2)} ${unit}`;

function table(results: Results, running: readonly Engine[]): string {
  const [own, ...others] = running;
  const columns = [
    'job',
    ...running.map((engine) => `${engine.name} ${engine.version}`),
    ...others.map((engine) => `mydock : ${engine.name}`),
  ];
  const rows = [...results].map(([job, values]) => {
    const cells = running.map((engine) => {
      const value = values.get(engine);
      return value === undefined ? '–' : shown(value, job.unit);
    });
    const ratios = others.map((engine) => {
      const [mine, theirs] = [own === undefined ? undefined : values.get(own), values.get(engine)];
      return mine === undefined || theirs === undefined ? '–' : `1 : ${(theirs / mine).toFixed(1)}`;
    });
    return [job.title, ...cells, ...ratios];
  });
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;
  return [line(columns), line(columns.map(() => '---')), ...rows.map(line)].join('\n');
}

/** The table with what leads to it; sections that the file has behind the table stay. */
function documentText(tableText: string, old: string): string {
  const at = old.search(/^## /m);
  const sections = at < 0 ? '' : `\n${old.slice(at)}`;
  const machine = `${availableParallelism()} processors, ${Math.round(totalmem() / 2 ** 30)} GiB, Linux ${release()}`;
  return `# Benchmarks

Medians of \`make bench\`, all engines in one run on one machine, taking turns (${machine}). Absolute figures move from
machine to machine; the ratios are what to look at. What is measured is in \`test/bench/jobs.ts\`; times include the
command line client.

${tableText}
${sections}`;
}

async function inside(out: string | undefined, keys: readonly string[]): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'bench-'));
  const registry = await startRegistry();
  const running: Engine[] = [];
  const results: Results = new Map();
  try {
    const references = {
      busybox: await registry.push('busybox', 'latest', await busyboxImage()),
      debian: hasDebianImage() ? await registry.push('debian', 'bookworm', await debianImage()) : undefined,
      large: await registry.push('large', 'latest', await largeImage()),
    };
    for (const engine of engines(folder)) {
      await engine.start();
      running.push(engine);
    }
    const all = [...jobs(references), ...buildJobs(references.busybox, join(folder, 'contexts'))];
    for (const job of all.filter(({ key }) => keys.length === 0 || keys.includes(key))) {
      if (job.key !== 'rest') {
        for (const engine of running) drive(engine, 'pull', '-q', ...engine.pullFlags, references.busybox);
      }
      const values = await measureJob(job, running);
      results.set(job, values);
      const parts = [...values].map(([engine, value]) => `${engine.name} ${shown(value, job.unit)}`);
      console.log(`${job.title}: ${parts.join(', ')}`);
    }
  } finally {
    for (const engine of running) await engine.stop();
    await registry.stop();
    spawnSync('umount', ['-lR', folder], { stdio: 'ignore' });
    rmSync(folder, { recursive: true, force: true });
  }
  const text = table(results, running);
  console.log(`\n${text}`);
  if (out === undefined) return;
  writeFileSync(out, documentText(text, existsSync(out) ? readFileSync(out, 'utf8') : ''));
}

/** Runs this program again in the sandbox; ends with it when interrupted, so that the caller can clean up. */
async function inSandbox(args: readonly string[]): Promise<number> {
  const child = spawn(SANDBOX, args, { stdio: 'inherit' });
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(name, () => child.kill('SIGKILL'));
  return await new Promise((done) => child.once('exit', (code) => done(code ?? 1)));
}

async function main(): Promise<void> {
  const words = process.argv.slice(2);
  const at = words.indexOf('--out');
  const out = at < 0 ? undefined : words.splice(at, 2)[1];
  if (process.env['MYDOCK_TEST_SANDBOX'] === '1') return await inside(out, words);
  if (process.getuid?.() !== 0) throw new Error('the benchmarks run containers, which needs root');
  await prepareFixtures();
  await largeImage();
  const folder = mkdtempSync(join(tmpdir(), 'mydock-bench-'));
  const name = `mydock-bench-${process.pid}`;
  try {
    const args = [name, folder, process.execPath, ...process.argv.slice(1)];
    process.exitCode = await inSandbox(args);
  } finally {
    spawnSync(SANDBOX, ['--sweep', name], { stdio: 'inherit' });
    rmSync(folder, { recursive: true, force: true });
  }
}

await main();
