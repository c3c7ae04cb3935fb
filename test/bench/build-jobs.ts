/**
 * What is measured of builds. A round begins from nothing: what an engine kept of the last one is pruned, unmeasured. The
 * rows of Docker are its BuildKit's; its classic builder has rows of its own, where the others do what they always do.
 */
import { execFileSync } from 'node:child_process';
import { randomFillSync } from 'node:crypto';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { drive, type Engine } from './engines.ts';
import type { Job } from './jobs.ts';
import { timedMs } from './timed.ts';

export interface BuildSizes {
  files: number;
  meanFileBytes: number;
  runSteps: number;
}

/** As the figures of the design have it: 61,000 files, 1.4 GB. */
export const FULL_SIZES: BuildSizes = { files: 61_000, meanFileBytes: 23_000, runSteps: 10 };

/** To see that it works. */
export const QUICK_SIZES: BuildSizes = { files: 2000, meanFileBytes: 4000, runSteps: 2 };

const FILES_PER_FOLDER = 100;
const POOL_BYTES = 8 << 20;
const IMAGE = 'bench-build';
const ROUNDS = 10;

/** `folder` is on a disk with room for the context; it is made when the first job needs it. */
export function buildJobs(base: string, folder: string, sizes: BuildSizes = FULL_SIZES): Job[] {
  const { files, meanFileBytes, runSteps } = sizes;
  const copied = (): string => copyContext(join(folder, 'copy'), base, sizes);
  const steps = (): string => runContext(join(folder, 'run'), base, runSteps);
  const gigabytes = ((files * meanFileBytes) / 1e9).toPrecision(2);
  const copyTitle = `build that COPYs ${gigabytes} GB in ${files} files`;
  const runTitle = `build of ${runSteps} RUN steps, nothing cached`;
  const whole = (key: string, title: string, expectedSec: number, context: () => string): Job => ({
    key,
    title,
    unit: 's',
    rounds: ROUNDS,
    expectedSec,
    measure: (engine) => fromNothing(engine, context(), 'buildkit'),
  });
  const classic = (key: string, title: string, expectedSec: number, context: () => string): Job => ({
    ...whole(key, `${title} (Docker: classic builder)`, expectedSec, context),
    othersFrom: title,
    measure: (engine) => fromNothing(engine, context(), 'classic'),
  });
  return [
    whole('build-copy', copyTitle, 290, copied),
    // Behind the job whose last build is in every engine's cache.
    {
      key: 'build-change',
      title: `COPY of a context of ${files} files of which one has changed`,
      unit: 's',
      rounds: ROUNDS,
      expectedSec: 230,
      measure: async (engine) => {
        const context = copied();
        const change = (): void => writeFileSync(join(context, 'files/0/0'), String(process.hrtime.bigint()));
        const elapsedMs = await again(engine, context, change);
        return elapsedMs === undefined ? undefined : elapsedMs / 1000;
      },
    },
    classic('build-copy-classic', copyTitle, 110, copied),
    whole('build-run', runTitle, 60, steps),
    {
      key: 'build-cached',
      title: `the same, everything cached`,
      unit: 'ms',
      rounds: 15,
      expectedSec: 15,
      measure: (engine) => again(engine, steps(), () => {}),
    },
    classic('build-run-classic', runTitle, 25, steps),
  ];
}

type Variant = 'buildkit' | 'classic';

function withBuilder(engine: Engine, variant: Variant): Engine {
  const DOCKER_BUILDKIT = variant === 'buildkit' ? '1' : '0';
  return Object.create(engine, { env: { value: { ...engine.env, DOCKER_BUILDKIT } } }) as Engine;
}

/** What the last round left is gone before the clock starts; what this one leaves stays, for `again`. */
async function fromNothing(engine: Engine, context: string, variant: Variant): Promise<number | undefined> {
  if (variant === 'buildkit' ? !engine.hasBuildkit : !engine.hasClassicBuilder) return undefined;
  forget(engine);
  const elapsedMs = await timedMs(withBuilder(engine, variant), [
    ...['build', '-q', '--no-cache', '-t', IMAGE, context],
  ]);
  if (variant === 'buildkit') prepared.set(engine, context);
  return elapsedMs / 1000;
}

/** Contexts that an engine has built, and not forgotten. */
const prepared = new Map<Engine, string>();

async function again(engine: Engine, context: string, change: () => void): Promise<number | undefined> {
  if (!engine.hasBuildkit) return undefined;
  const builder = withBuilder(engine, 'buildkit');
  const args = ['build', '-q', '-t', IMAGE, context];
  if (prepared.get(engine) !== context) {
    forget(engine);
    await timedMs(builder, args);
    prepared.set(engine, context);
  }
  change();
  return await timedMs(builder, args);
}

/** Nothing of earlier builds is kept after this, nor on its way to the disk. */
export function forget(engine: Engine): void {
  prepared.delete(engine);
  try {
    drive(engine, 'rmi', '-f', IMAGE);
  } catch {
    // There is none yet.
  }
  drive(engine, ...engine.pruneBuilds);
  execFileSync('sync');
}

function dockerfile(path: string, lines: readonly string[]): void {
  writeFileSync(join(path, 'Dockerfile'), `${lines.join('\n')}\n`);
}

function runContext(path: string, base: string, steps: number): string {
  mkdirSync(path, { recursive: true });
  const lines = Array.from({ length: steps }, (_, i) => `RUN echo ${i} > /step-${i}`);
  dockerfile(path, [`FROM ${base}`, ...lines]);
  return path;
}

function copyContext(path: string, base: string, { files, meanFileBytes }: BuildSizes): string {
  if (existsSync(join(path, 'Dockerfile'))) return path;
  const pool = randomFillSync(Buffer.alloc(POOL_BYTES));
  for (let i = 0; i < files; i++) {
    const folder = join(path, 'files', String(Math.floor(i / FILES_PER_FOLDER)));
    if (i % FILES_PER_FOLDER === 0) mkdirSync(folder, { recursive: true });
    // Sizes from nothing to twice the mean, at places that no two files share.
    const size = Math.min(POOL_BYTES >> 1, Math.floor(((i * 7919) % files) * ((2 * meanFileBytes) / files)));
    const at = (i * 4099) % (POOL_BYTES - size);
    writeFileSync(join(folder, String(i % FILES_PER_FOLDER)), pool.subarray(at, at + size));
  }
  dockerfile(path, [`FROM ${base}`, 'COPY files /files']);
  return path;
}
