/**
 * `make bench`: times mydock, and Docker and Podman where they are installed, in one run on one machine, engines
 * taking turns, and prints medians with ratios. Runs in the tests' sandbox, with a registry beside it.
 *
 *   main.ts [--growth | --all] [--resume] [--out FILE] [KEY…]
 *
 * Rows are in jobs.ts and build-jobs.ts, with `--growth` curves in growth.ts instead, with `--all` both. Keys pick some of them. What is
 * measured is kept in a file: with keys or `--resume` it is added to, and `--resume` measures only what is missing.
 * `--out` writes the document from all that the file has.
 */
import { spawn, spawnSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { busyboxImage, debianImage, hasDebianImage } from '../fixtures/catalog.ts';
import { prepareFixtures } from '../fixtures/prepare.ts';
import { startRegistry } from '../fixtures/registry.ts';
import { closeAgents } from './api-cycle.ts';
import { buildJobs } from './build-jobs.ts';
import { drive, type Engine, engines } from './engines.ts';
import { type Growth, growths } from './growth.ts';
import { type Job, jobs } from './jobs.ts';
import { largeImage } from './large-image.ts';
import { shown, tableText, writeDocument } from './report.ts';
import { median, Results, type Values } from './results.ts';

const SANDBOX = resolve(import.meta.dirname, '../run/sandbox.sh');

/** A measurement that takes longer than this is told of. */
const SLOW_MS = 5000;

const RESULTS = resolve(import.meta.dirname, '../../build/bench/results.json');
/** In the sandbox, where nothing else of the disk can be written. */
const INNER_RESULTS = 'results.json';

interface Options {
  readonly rows: boolean;
  readonly curves: boolean;
  readonly resume: boolean;
  readonly out: string | undefined;
  readonly keys: readonly string[];
}

/** Takes turns among the engines; the rounds from `first` to 0 warm caches and do not count. */
async function takeTurns(
  name: string,
  running: readonly Engine[],
  rounds: { first: number; count: number },
  measure: (engine: Engine) => Promise<number | undefined>,
): Promise<Values> {
  const values = new Map<string, number[]>();
  for (let round = rounds.first; round < rounds.count; round++) {
    for (const engine of running) {
      // Rounds of slow engines take minutes: whoever watches sees that they go on.
      const started = performance.now();
      const value = await measure(engine);
      if (process.stderr.isTTY || performance.now() - started > SLOW_MS) {
        console.error(`${name}, round ${round}, ${engine.name}: ${value?.toPrecision(3) ?? 'not measured'}`);
      }
      if (value === undefined || round < 0) continue;
      values.set(engine.name, [...(values.get(engine.name) ?? []), value]);
    }
  }
  return Object.fromEntries([...values].map(([engine, all]) => [engine, median(all)]));
}

async function measureJob(job: Job, running: readonly Engine[]): Promise<Values> {
  try {
    for (const engine of running) await job.prepare?.(engine);
    // The first round is not counted where there are several.
    const rounds = { first: job.rounds > 1 ? -1 : 0, count: job.rounds };
    return await takeTurns(job.key, running, rounds, (engine) => job.measure(engine));
  } finally {
    for (const engine of running) job.finish?.(engine);
  }
}

async function measureRows(all: readonly Job[], running: readonly Engine[], results: Results): Promise<void> {
  for (const job of all) {
    const values = await measureJob(job, running);
    results.addRow({ key: job.key, title: job.title, unit: job.unit, rounds: job.rounds, values });
    const parts = Object.entries(values).map(([engine, value]) => `${engine} ${shown(value, job.unit)}`);
    console.log(`${job.title}: ${parts.join(', ')}`);
  }
}

async function measureGrowth(growth: Growth, running: readonly Engine[], results: Results): Promise<void> {
  const { xLabel, rounds } = growth;
  const points = new Map<string, { x: number; values: Values }[]>();
  try {
    for (const x of growth.points) {
      for (const engine of running) await growth.prepare?.(engine, x);
      for (const { key, unit, measure } of growth.curves) {
        const name = `${key} at ${x}`;
        const values = await takeTurns(name, running, { first: 0, count: rounds }, (engine) =>
          measure(engine, x),
        );
        points.set(key, [...(points.get(key) ?? []), { x, values }]);
        const parts = Object.entries(values).map(([engine, value]) => `${engine} ${shown(value, unit)}`);
        console.log(`${name} ${xLabel}: ${parts.join(', ')}`);
      }
    }
  } finally {
    for (const engine of running) growth.finish?.(engine);
  }
  for (const { key, title, unit } of growth.curves) {
    results.addCurve({ key, title, unit, xLabel, rounds, points: points.get(key) ?? [] });
  }
}

async function inside(options: Options): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'bench-'));
  const registry = await startRegistry();
  const running: Engine[] = [];
  const { keys, resume } = options;
  const results = new Results(join(tmpdir(), INNER_RESULTS));
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
    results.setEngines(running);
    const contexts = join(folder, 'contexts');
    const allJobs = [...jobs(references), ...buildJobs(references.busybox, contexts)];
    const allGrowths = growths(registry, references.busybox, contexts);
    results.setOrder(
      allJobs.map(({ title }) => title),
      allGrowths.flatMap((growth) => growth.curves.map(({ key }) => key)),
    );
    const isPicked = (key: string): boolean => keys.length === 0 || keys.includes(key);
    const wantedJobs = allJobs
      .filter(({ key }) => isPicked(key) && (options.rows || keys.length > 0))
      .filter(({ title }) => !resume || results.row(title) === undefined);
    const wantedGrowths = allGrowths
      .filter(
        (growth) => growth.curves.some(({ key }) => isPicked(key)) && (options.curves || keys.length > 0),
      )
      .filter((growth) => !resume || growth.curves.some(({ key }) => results.curve(key) === undefined));
    // Before anything was pulled.
    await measureRows(
      wantedJobs.filter(({ key }) => key === 'rest'),
      running,
      results,
    );
    for (const engine of running) drive(engine, 'pull', '-q', ...engine.pullFlags, references.busybox);
    await measureRows(
      wantedJobs.filter(({ key }) => key !== 'rest'),
      running,
      results,
    );
    for (const growth of wantedGrowths) await measureGrowth(growth, running, results);
  } finally {
    closeAgents();
    for (const engine of running) await engine.stop();
    await registry.stop();
    spawnSync('umount', ['-lR', folder], { stdio: 'ignore' });
    rmSync(folder, { recursive: true, force: true });
  }
  console.log(`\n${tableText(results)}`);
}

/** Runs this program again in the sandbox; ends with it when interrupted, so that the caller can clean up. */
async function inSandbox(args: readonly string[]): Promise<number> {
  const child = spawn(SANDBOX, args, { stdio: 'inherit' });
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(name, () => child.kill('SIGKILL'));
  return await new Promise((done) => child.once('exit', (code) => done(code ?? 1)));
}

function readOptions(words: string[]): Options {
  const value = (name: string): string | undefined => {
    const at = words.indexOf(name);
    return at < 0 ? undefined : words.splice(at, 2)[1];
  };
  const flag = (name: string): boolean => {
    const at = words.indexOf(name);
    if (at >= 0) words.splice(at, 1);
    return at >= 0;
  };
  const out = value('--out');
  const [growth, all, resume] = [flag('--growth'), flag('--all'), flag('--resume')];
  const unknown = words.find((word) => word.startsWith('-'));
  if (unknown !== undefined) throw new Error(`unknown flag: ${unknown}`);
  return { rows: !growth || all, curves: growth || all, resume, out, keys: words };
}

async function main(): Promise<void> {
  const options = readOptions(process.argv.slice(2));
  if (process.env['MYDOCK_TEST_SANDBOX'] === '1') return await inside(options);
  if (process.getuid?.() !== 0) throw new Error('the benchmarks run containers, which needs root');
  await prepareFixtures();
  await largeImage();
  const folder = mkdtempSync(join(tmpdir(), 'mydock-bench-'));
  const innerResults = join(folder, INNER_RESULTS);
  const isFresh = options.keys.length === 0 && !options.resume;
  if (!isFresh && existsSync(RESULTS)) copyFileSync(RESULTS, innerResults);
  const name = `mydock-bench-${process.pid}`;
  try {
    const args = [name, folder, process.execPath, ...process.argv.slice(1)];
    process.exitCode = await inSandbox(args);
  } finally {
    spawnSync(SANDBOX, ['--sweep', name], { stdio: 'inherit' });
    // Also of a run that was interrupted: the next one goes on with it.
    if (existsSync(innerResults)) {
      mkdirSync(dirname(RESULTS), { recursive: true });
      copyFileSync(innerResults, RESULTS);
    }
    rmSync(folder, { recursive: true, force: true });
  }
  if (options.out !== undefined && process.exitCode === 0) writeDocument(options.out, new Results(RESULTS));
}

await main();
