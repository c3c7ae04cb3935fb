/**
 * What is measured. A job runs once for an engine and returns a number in its unit; main.ts repeats and interleaves
 * them. Smaller is better everywhere.
 */
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { apiCycleMs } from './api-cycle.ts';
import { dockerProgram, drive, type Engine } from './engines.ts';
import { memoryOf } from './memory.ts';
import { execMs, keepRunning, removeAll, stopMs } from './running.ts';
import { timedMs } from './timed.ts';

export interface Job {
  readonly key: string;
  readonly title: string;
  readonly unit: 'ms' | 's' | 'MB';
  /** At most, where a round is quick (turns.ts); 1 for what rounds do not make better. */
  readonly rounds: number;
  /** All of it, for all engines, on the machine of docs/benchmarks.md. */
  readonly expectedSec: number;
  /** Title of the row that has the values of engines which measure nothing here, because they would do the same as there. */
  readonly othersFrom?: string;
  /** What the rounds measure besides: a row of its own. */
  readonly also?: { readonly title: string; readonly unit: 'ms'; take(engine: Engine): number[] };
  /** Before the first round, and behind the last one; not timed. */
  prepare?(engine: Engine): Promise<void>;
  finish?(engine: Engine): void;
  /** Undefined: the engine has nothing to measure here. */
  measure(engine: Engine): Promise<number | undefined>;
}

/** Of all rows that come of it. */
export function titlesOf({ title, also }: Job): string[] {
  return also === undefined ? [title] : [title, also.title];
}

export interface References {
  readonly busybox: string;
  readonly debian: string | undefined;
  readonly large: string;
}

/** What its start has left behind is gone by then, of every engine. */
const REST_MS = 20_000;
const ROUNDS = 10;
const PARALLEL = 40;
const MEMORY_CONTAINERS = 10;
const LISTED_CONTAINERS = 100;
const STDOUT_PIECE_BYTES = 10_000_000;
const STDOUT_PIECES = 100;

async function pull(engine: Engine, reference: string): Promise<number> {
  // What the engine before has written is on the disk by now, and not in this one's way.
  execFileSync('sync');
  const elapsedMs = await timedMs(engine, ['pull', '-q', ...engine.pullFlags, reference]);
  const removedMs = await timedMs(engine, ['rmi', '-f', reference]);
  const key = removalKey(engine, reference);
  removalsMs.set(key, [...(removalsMs.get(key) ?? []), removedMs]);
  return elapsedMs / 1000;
}

/** How long the images that were pulled took to go; taken once. */
const removalsMs = new Map<string, number[]>();

const removalKey = (engine: Engine, reference: string): string => `${engine.name} ${reference}`;

function takeRemovals(engine: Engine, reference: string): number[] {
  const taken = removalsMs.get(removalKey(engine, reference)) ?? [];
  removalsMs.delete(removalKey(engine, reference));
  return taken;
}

/** When all engines have rested since they were started. */
let restedAtMs: number | undefined;

async function restMemory(engine: Engine): Promise<number | undefined> {
  restedAtMs ??= performance.now() + REST_MS;
  await sleep(Math.max(0, restedAtMs - performance.now()));
  const bytes = memoryOf(engine.daemonNames, 'resident');
  return bytes === undefined ? undefined : bytes / 1e6;
}

/** Reads every file of an image in a new container, nothing of it being in memory. */
async function firstRead(engine: Engine, image: string): Promise<number> {
  drive(engine, 'pull', '-q', ...engine.pullFlags, image);
  execFileSync('sync');
  writeFileSync('/proc/sys/vm/drop_caches', '3');
  const script = 'find / -xdev -type f -exec cat {} + | wc -c';
  return await timedMs(engine, ['run', '--rm', '--network', 'none', image, 'sh', '-c', script]);
}

async function parallelRuns(engine: Engine, image: string): Promise<number> {
  const startedAt = performance.now();
  await Promise.all(
    Array.from({ length: PARALLEL }, () => timedMs(engine, ['run', '-d', image, 'sleep', '1000'])),
  );
  const elapsedMs = performance.now() - startedAt;
  removeAll(engine);
  return elapsedMs / 1000;
}

async function helperMemory(engine: Engine, image: string): Promise<number | undefined> {
  for (let i = 0; i < MEMORY_CONTAINERS; i++) {
    drive(engine, 'run', '-d', '-p', `127.0.0.1:${19_000 + i}:80`, image, 'sleep', '1000');
  }
  await sleep(500);
  const bytes = memoryOf(engine.helperNames, 'private');
  removeAll(engine);
  return bytes === undefined ? undefined : bytes / MEMORY_CONTAINERS / 1e6;
}

export function jobs({ busybox, debian, large }: References): Job[] {
  const run = (key: string, title: string, ...flags: string[]): Job => ({
    key,
    title,
    unit: 'ms',
    rounds: 15,
    expectedSec: 12,
    measure: (engine) => timedMs(engine, ['run', '--rm', ...flags, busybox, 'true']),
  });
  // The lines are made once and then read from memory, so that the engine is what takes the time.
  const lines = [
    `yes ${'a line of output '.repeat(5)}| head -c ${STDOUT_PIECE_BYTES} > /lines`,
    `for i in $(seq ${STDOUT_PIECES}); do cat /lines; done`,
  ].join('; ');
  return [
    {
      key: 'rest',
      title: 'daemon at rest, resident memory',
      unit: 'MB',
      rounds: 1,
      expectedSec: 21,
      measure: restMemory,
    },
    run('run', '`run --rm busybox true`, bridge'),
    run('run-none', '`run --rm --network none busybox true`', '--network', 'none'),
    {
      key: 'docker-cli',
      title: '`docker run --rm busybox true`: the same client for both daemons',
      unit: 'ms',
      rounds: 15,
      expectedSec: 7,
      measure: async ({ name, env, socket }) => {
        const docker = dockerProgram();
        if (socket === undefined || docker === undefined) return undefined;
        return await timedMs({ name, env, command: [docker] }, ['run', '--rm', busybox, 'true']);
      },
    },
    {
      key: 'api-cycle',
      title: 'create, start, wait and remove through the API',
      unit: 'ms',
      rounds: 25,
      expectedSec: 8,
      measure: (engine) => apiCycleMs(engine, busybox),
    },
    {
      key: 'exec',
      title: '`exec` of `true`',
      unit: 'ms',
      rounds: 15,
      expectedSec: 8,
      measure: (engine) => execMs(engine, busybox),
      finish: removeAll,
    },
    {
      key: 'stop',
      title: '`stop` of a container that obeys at once',
      unit: 'ms',
      rounds: ROUNDS,
      expectedSec: 35,
      measure: (engine) => stopMs(engine, busybox),
    },
    {
      key: 'ps',
      title: `\`ps\` with ${LISTED_CONTAINERS} running`,
      unit: 'ms',
      rounds: 15,
      expectedSec: 60,
      prepare: (engine) => keepRunning(engine, busybox, LISTED_CONTAINERS),
      measure: (engine) => timedMs(engine, ['ps']),
      finish: removeAll,
    },
    {
      key: 'parallel',
      title: `${PARALLEL} \`run -d\` in parallel`,
      unit: 's',
      rounds: ROUNDS,
      expectedSec: 110,
      measure: (engine) => parallelRuns(engine, busybox),
    },
    {
      key: 'stdout',
      title: '1 GB of stdout through `run`',
      unit: 's',
      rounds: ROUNDS,
      expectedSec: 130,
      measure: async (engine) => (await timedMs(engine, ['run', '--rm', busybox, 'sh', '-c', lines])) / 1000,
    },
    {
      key: 'memory',
      title: 'private memory per running container (one published port), without its own processes',
      unit: 'MB',
      rounds: 1,
      expectedSec: 20,
      measure: (engine) => helperMemory(engine, busybox),
    },
    ...(debian === undefined
      ? []
      : [
          {
            key: 'pull-debian',
            title: 'pull of a Debian base',
            unit: 's',
            rounds: ROUNDS,
            expectedSec: 80,
            measure: (engine: Engine) => pull(engine, debian),
          } as const,
          {
            key: 'read',
            title: 'first read of all files of a Debian base, cold',
            unit: 'ms',
            rounds: ROUNDS,
            expectedSec: 60,
            measure: (engine: Engine) => firstRead(engine, debian),
          } as const,
        ]),
    {
      key: 'pull-large',
      title: 'pull of 5 layers, 1.47 GB, 80,400 entries',
      unit: 's',
      rounds: ROUNDS,
      expectedSec: 190,
      also: { title: 'removal of that image', unit: 'ms', take: (engine) => takeRemovals(engine, large) },
      measure: (engine) => pull(engine, large),
    },
  ];
}
