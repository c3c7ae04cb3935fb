/**
 * How costs grow with the work: curves over a number of files, layers, ports, running containers, bytes. Few points and
 * few rounds each, so that all of them together take about seven minutes; an engine that a point takes long is not asked for the
 * next one.
 */
import { join } from 'node:path';
import { makeImage, makeLayer } from '../fixtures/image.ts';
import type { Registry } from '../fixtures/registry.ts';
import { makeTar } from '../fixtures/tar.ts';
import { buildJobs } from './build-jobs.ts';
import { drive, type Engine } from './engines.ts';
import { largeImageOf } from './large-image.ts';
import { execMs, keepRunning, removeAll } from './running.ts';
import { timedMs } from './timed.ts';

export interface CurveJob {
  readonly key: string;
  readonly title: string;
  readonly unit: 'ms' | 's';
  measure(engine: Engine, x: number): Promise<number | undefined>;
}

/** Curves over the same points: what is made for a point serves all of them. */
export interface Growth {
  readonly xLabel: string;
  readonly points: readonly number[];
  /** At most, for a point (turns.ts). */
  readonly rounds: number;
  /** All of it, for all engines, on the machine of docs/benchmarks.md. */
  readonly expectedSec: number;
  readonly curves: readonly CurveJob[];
  /** Before the first round of a point; not timed. */
  prepare?(engine: Engine, x: number): Promise<void>;
  /** Behind the last point. */
  finish?(engine: Engine): void;
}

export function keysOf({ curves }: Growth): string[] {
  return curves.map(({ key }) => key);
}

const FIRST_PORT = 21_000;
const COPIED_FILE_BYTES = 4096;
const LINES_PER_MB = 12_500;
/** Of the large image; its layers are of one size. */
const LAYER_MB = 294;

/** `folder` is on a disk, with room for the contexts of builds. */
export function growths(registry: Registry, busybox: string, folder: string): Growth[] {
  return [
    byRunning(busybox),
    byLayers(registry),
    byPorts(busybox),
    byOutput(busybox),
    bySize(registry),
    byFiles(busybox, folder),
  ];
}

function byRunning(busybox: string): Growth {
  return {
    xLabel: 'running containers',
    points: [0, 50, 100, 150],
    rounds: 3,
    expectedSec: 130,
    prepare: (engine, x) => keepRunning(engine, busybox, x),
    finish: removeAll,
    curves: [
      {
        key: 'run-by-running',
        title: 'run --rm busybox true, bridge, beside running containers',
        unit: 'ms',
        measure: (engine) => timedMs(engine, ['run', '--rm', busybox, 'true']),
      },
      {
        key: 'ps-by-running',
        title: 'ps',
        unit: 'ms',
        measure: (engine) => timedMs(engine, ['ps']),
      },
      {
        key: 'exec-by-running',
        title: 'exec beside running containers',
        unit: 'ms',
        measure: (engine) => execMs(engine, busybox),
      },
    ],
  };
}

/** Docker takes no more than 127 layers. */
function byLayers(registry: Registry): Growth {
  const reference = (x: number): string => `${registry.host}/layers:${x}`;
  const pushed = new Set<number>();
  return {
    xLabel: 'layers',
    points: [1, 60, 120],
    rounds: 5,
    expectedSec: 50,
    prepare: async (engine, x) => {
      if (!pushed.has(x)) await registry.push('layers', String(x), await layeredImage(x));
      pushed.add(x);
      drive(engine, 'pull', '-q', ...engine.pullFlags, reference(x));
    },
    curves: [
      {
        key: 'start-by-layers',
        title: 'run --rm --network none, by layers of the image',
        unit: 'ms',
        measure: (engine, x) => timedMs(engine, ['run', '--rm', '--network', 'none', reference(x), 'true']),
      },
    ],
  };
}

/** Busybox under layers of one small file each. */
async function layeredImage(layers: number): Promise<Parameters<Registry['push']>[2]> {
  const { busyboxLayer } = await import('../fixtures/catalog.ts');
  const small = Array.from({ length: layers - 1 }, (_, index) =>
    makeLayer(makeTar([{ path: `layer-${index}`, data: Buffer.from(String(index)) }]), 'gzip'),
  );
  const config = { Cmd: ['true'], Env: ['PATH=/bin:/usr/bin:/sbin:/usr/sbin'] };
  return makeImage({ layers: [await busyboxLayer(), ...small], config });
}

function byPorts(busybox: string): Growth {
  const flags = (x: number): string[] => {
    const range = `${FIRST_PORT}-${FIRST_PORT + x - 1}`;
    return x === 0 ? [] : ['-p', `127.0.0.1:${range}:${range}`];
  };
  return {
    xLabel: 'published ports',
    points: [0, 50, 100, 200],
    rounds: 3,
    expectedSec: 60,
    finish: removeAll,
    curves: [
      {
        key: 'run-by-ports',
        title: 'run --rm with published ports',
        unit: 's',
        measure: async (engine, x) =>
          (await timedMs(engine, ['run', '--rm', ...flags(x), busybox, 'true'])) / 1000,
      },
    ],
  };
}

function byOutput(busybox: string): Growth {
  const script = (megabytes: number): string =>
    `yes ${'a line of output '.repeat(5).trim().slice(0, 79)} | head -n ${LINES_PER_MB} > /lines; for i in $(seq ${megabytes}); do cat /lines; done`;
  return {
    xLabel: 'MB',
    points: [1, 50, 100, 200],
    rounds: 3,
    expectedSec: 30,
    curves: [
      {
        key: 'stdout-by-bytes',
        title: 'stdout through run --rm',
        unit: 's',
        measure: async (engine, x) =>
          (await timedMs(engine, ['run', '--rm', busybox, 'sh', '-c', script(x)])) / 1000,
      },
    ],
  };
}

function bySize(registry: Registry): Growth {
  const pushed = new Set<number>();
  const reference = (x: number): string => `${registry.host}/sized:${x}`;
  return {
    xLabel: 'MB unpacked, in layers of 294 MB and 16,080 entries',
    points: [1, 2, 3].map((layers) => layers * LAYER_MB),
    rounds: 3,
    expectedSec: 90,
    prepare: async (_, x) => {
      if (!pushed.has(x)) await registry.push('sized', String(x), await largeImageOf(x / LAYER_MB));
      pushed.add(x);
    },
    curves: [
      {
        key: 'pull-by-size',
        title: 'pull',
        unit: 's',
        measure: async (engine, x) => {
          const elapsedMs = await timedMs(engine, ['pull', '-q', ...engine.pullFlags, reference(x)]);
          drive(engine, 'rmi', '-f', reference(x));
          return elapsedMs / 1000;
        },
      },
    ],
  };
}

function byFiles(busybox: string, folder: string): Growth {
  const jobs = new Map<number, ReturnType<typeof buildJobs>[number]>();
  const job = (files: number): ReturnType<typeof buildJobs>[number] | undefined => {
    const sizes = { files, meanFileBytes: COPIED_FILE_BYTES, runSteps: 1 };
    const made =
      jobs.get(files) ??
      buildJobs(busybox, join(folder, `files-${files}`), sizes).find(({ key }) => key === 'build-copy');
    if (made !== undefined) jobs.set(files, made);
    return made;
  };
  return {
    xLabel: 'files of 4 KB',
    points: [1000, 5000, 10_000],
    rounds: 3,
    expectedSec: 50,
    curves: [
      {
        key: 'copy-by-files',
        title: 'build that COPYs files, nothing cached',
        unit: 's',
        measure: async (engine, x) => await job(x)?.measure(engine),
      },
    ],
  };
}
