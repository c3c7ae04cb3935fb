/**
 * `make bench`: times mydock, and Docker and Podman where they are installed, in one run on one machine, engines
 * taking turns, and prints medians with ratios. Runs in the tests' sandbox, with a registry beside it.
 *
 *   main.ts [--growth | --all] [--resume] [--quick] [--minutes N] [--out FILE] [KEY…]
 *
 * Rows are in jobs.ts and build-jobs.ts, with `--growth` curves in growth.ts instead, with `--all` both. Keys pick some of them. What is
 * measured is kept in build/bench: with keys or `--resume` it is added to, and `--resume` measures only what is missing or has
 * failed. `--quick` goes through all of it with one round each, to see that it works, and keeps that apart. What has not begun after
 * so many minutes is left out. `--out` writes the document from all that is kept.
 */
import { spawn, spawnSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, renameSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { errorMessage } from '../../src/base/errors.ts';
import { fetchBuildkitPeer } from '../fixtures/buildkit-peer.ts';
import { busyboxImage, debianImage, hasDebianImage } from '../fixtures/catalog.ts';
import { prepareFixtures } from '../fixtures/prepare.ts';
import { startRegistry } from '../fixtures/registry.ts';
import { closeAgents } from './api-cycle.ts';
import { buildJobs, FULL_SIZES, QUICK_SIZES } from './build-jobs.ts';
import { drive, type Engine, engines, OWN } from './engines.ts';
import { type Growth, growths, keysOf } from './growth.ts';
import { type Job, jobs, titlesOf } from './jobs.ts';
import { largeImage } from './large-image.ts';
import { measureGrowth, measureRow } from './measure.ts';
import { Progress } from './progress.ts';
import { tableText, writeDocument } from './report.ts';
import { Results } from './results.ts';

const SANDBOX = resolve(import.meta.dirname, '../run/sandbox.sh');

const LIMIT_MIN = 35;
/** A part that has begun in time may end behind it. */
const GRACE_MIN = 15;

const RESULTS = resolve(import.meta.dirname, '../../build/bench');
/** In the sandbox, where nothing else of the disk can be written. */
const INNER_RESULTS = 'results.json';
const KEEP_MS = 3000;

interface Options {
  readonly rows: boolean;
  readonly curves: boolean;
  readonly resume: boolean;
  readonly quick: boolean;
  readonly limitMin: number;
  readonly out: string | undefined;
  readonly keys: readonly string[];
}

/** The exit status of a run that is over, with something missing: what there is can be written down. */
const INCOMPLETE = 3;

async function inside(options: Options): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'bench-'));
  const registry = await startRegistry();
  const running: Engine[] = [];
  const results = new Results(join(tmpdir(), INNER_RESULTS));
  try {
    const references = {
      busybox: await registry.push('busybox', 'latest', await busyboxImage()),
      debian: hasDebianImage() ? await registry.push('debian', 'bookworm', await debianImage()) : undefined,
      large: await registry.push('large', 'latest', await largeImage()),
    };
    forgetImages();
    for (const engine of engines(folder)) {
      if (await starts(engine)) running.push(engine);
      else process.exitCode = INCOMPLETE;
    }
    results.setEngines(running);
    const contexts = join(folder, 'contexts');
    const sizes = options.quick ? QUICK_SIZES : FULL_SIZES;
    const allJobs = [...jobs(references), ...buildJobs(references.busybox, contexts, sizes)];
    const allGrowths = growths(registry, references.busybox, contexts);
    results.setOrder(allJobs.flatMap(titlesOf), allGrowths.flatMap(keysOf));
    const wanted = picked(allJobs, allGrowths, options, results);
    const progress = new Progress([...wanted.jobs, ...wanted.growths], options.limitMin * 60);
    const bench = { running, results, progress, isQuick: options.quick };
    // Before anything was pulled.
    for (const job of wanted.jobs.filter(({ key }) => key === 'rest')) await measureRow(job, bench);
    for (const engine of running) drive(engine, 'pull', '-q', ...engine.pullFlags, references.busybox);
    for (const job of wanted.jobs.filter(({ key }) => key !== 'rest')) await measureRow(job, bench);
    for (const growth of wanted.growths) await measureGrowth(growth, bench);
    if (!tellMissing(wanted, results)) process.exitCode = INCOMPLETE;
  } finally {
    closeAgents();
    for (const engine of running) await engine.stop().catch((error: unknown) => console.error(error));
    await registry.stop();
    spawnSync('umount', ['-lR', folder], { stdio: 'ignore' });
    rmSync(folder, { recursive: true, force: true });
  }
  console.log(`\n${tableText(results)}`);
}

/** What was made for the registry is gone from memory: each command would wait until its pages are marked for the fork. */
function forgetImages(): void {
  setFlagsFromString('--expose-gc');
  (runInNewContext('gc') as () => void)();
}

/** Others may be missing, and are then told of; without mydock there is nothing to measure. */
async function starts(engine: Engine): Promise<boolean> {
  try {
    await engine.start();
    return true;
  } catch (error) {
    if (engine.name === OWN) throw error;
    console.error(error instanceof Error ? error.message : error);
    return false;
  }
}

interface Wanted {
  readonly jobs: readonly Job[];
  readonly growths: readonly Growth[];
}

function picked(
  allJobs: readonly Job[],
  allGrowths: readonly Growth[],
  { keys, rows, curves, resume }: Options,
  results: Results,
): Wanted {
  const known = new Set([...allJobs.map(({ key }) => key), ...allGrowths.flatMap(keysOf)]);
  const unknown = keys.filter((key) => !known.has(key));
  if (unknown.length > 0)
    throw new Error(`nothing is called ${unknown.join(', ')}; there are: ${[...known].join(' ')}`);
  const isPicked = (key: string): boolean => keys.length === 0 || keys.includes(key);
  return {
    jobs: allJobs
      .filter(({ key }) => isPicked(key) && (rows || keys.length > 0))
      .filter((job) => !resume || !titlesOf(job).every((title) => results.hasRow(title))),
    growths: allGrowths
      .filter((growth) => keysOf(growth).some(isPicked) && (curves || keys.length > 0))
      .filter((growth) => !resume || !keysOf(growth).every((key) => results.hasCurve(key))),
  };
}

/** Says what was not measured although it was wanted; whether all of mydock is there. */
function tellMissing({ jobs: wantedJobs, growths: wantedGrowths }: Wanted, results: Results): boolean {
  const parts = [
    ...wantedJobs.flatMap(titlesOf).map((name) => ({ name, part: results.row(name) })),
    ...wantedGrowths.flatMap(keysOf).map((name) => ({ name, part: results.curve(name) })),
  ];
  const missing = parts.filter(({ part }) => part === undefined);
  if (missing.length > 0) {
    console.error(`not measured, as the time was over: ${missing.map(({ name }) => name).join('; ')}`);
  }
  for (const { name, part } of parts) {
    for (const [engine, failure] of Object.entries(part?.failures ?? {}))
      console.error(`failed: ${name}: ${engine}: ${failure}`);
  }
  return missing.length === 0 && parts.every(({ part }) => part?.failures[OWN] === undefined);
}

/**
 * Runs this program again in the sandbox; ends with it when interrupted, so that the caller can clean up, and when it does not
 * come to an end. `keep` is called now and then: what was measured so far outlives whatever happens to this program.
 */
async function inSandbox(args: readonly string[], limitMin: number, keep: () => void): Promise<number> {
  const child = spawn(SANDBOX, args, { stdio: 'inherit' });
  const end = (): boolean => child.kill('SIGKILL');
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(name, end);
  const keeper = setInterval(keep, KEEP_MS);
  const limit = setTimeout(
    () => {
      console.error(`the benchmarks did not end ${GRACE_MIN} minutes behind their time`);
      end();
    },
    (limitMin + GRACE_MIN) * 60_000,
  );
  try {
    return await new Promise((done) => child.once('exit', (code) => done(code ?? 1)));
  } finally {
    clearInterval(keeper);
    clearTimeout(limit);
  }
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
  const limitMin = Number(value('--minutes') ?? LIMIT_MIN);
  if (!(limitMin > 0)) throw new Error('--minutes takes a number above 0');
  const [growth, all, resume, quick] = [flag('--growth'), flag('--all'), flag('--resume'), flag('--quick')];
  const unknown = words.find((word) => word.startsWith('-'));
  if (unknown !== undefined) throw new Error(`unknown flag: ${unknown}`);
  return { rows: !growth || all, curves: growth || all, resume, quick, limitMin, out, keys: words };
}

async function main(): Promise<void> {
  const options = readOptions(process.argv.slice(2));
  if (process.env['MYDOCK_TEST_SANDBOX'] === '1') return await inside(options);
  if (process.getuid?.() !== 0) throw new Error('the benchmarks run containers, which needs root');
  await prepareFixtures();
  await fetchBuildkitPeer().catch((error: unknown) => {
    console.error(`no newer Docker Engine than the installed one: ${errorMessage(error)}`);
  });
  await largeImage();
  const folder = mkdtempSync(join(tmpdir(), 'mydock-bench-'));
  const innerResults = join(folder, INNER_RESULTS);
  const kept = join(RESULTS, options.quick ? 'quick.json' : 'results.json');
  const isFresh = options.keys.length === 0 && !options.resume;
  if (!isFresh && existsSync(kept)) copyFileSync(kept, innerResults);
  mkdirSync(RESULTS, { recursive: true });
  const keep = (): void => {
    if (!existsSync(innerResults)) return;
    copyFileSync(innerResults, `${kept}.new`);
    renameSync(`${kept}.new`, kept);
  };
  const name = `mydock-bench-${process.pid}`;
  try {
    const args = [name, folder, process.execPath, ...process.argv.slice(1)];
    process.exitCode = await inSandbox(args, options.limitMin, keep);
  } finally {
    spawnSync(SANDBOX, ['--sweep', name], { stdio: 'inherit' });
    keep();
    rmSync(folder, { recursive: true, force: true });
  }
  const isOver = process.exitCode === 0 || process.exitCode === INCOMPLETE;
  if (options.out !== undefined && isOver) writeDocument(options.out, new Results(kept));
  if (process.exitCode !== 0) console.error('what is missing can be measured with --resume (BENCH_RESUME=1)');
}

await main();
