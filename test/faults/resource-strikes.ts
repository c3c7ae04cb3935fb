/**
 * Strikes at what an operation needs of the machine, at its labelled steps: room on a disk, a disk that can be written,
 * descriptors, processes, memory, and a clock that goes on evenly. The daemon lives on, or is started again where it was
 * killed for its memory. An operation that fails must say what is missing.
 *
 * Both roots are small file systems of their own here (`mountRoots`), and the daemon is in cgroups of its own.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, statfsSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { errorMessage } from '../../src/base/errors.ts';
import { timeLimitMs } from '../run/time-limit.ts';
import type { FaultedDaemon } from './faulted-daemon.ts';
import { clockFile, type Point, pointName } from './order.ts';
import type { Strike } from './strikes.ts';

/** An operation may wait for what is missing; it gets it after this time. */
const MISSING_MS = timeLimitMs(5000);
const DEATH_MS = timeLimitMs(300);
const ROOM_MIB = 256;
const YEAR_MS = 365 * 86_400_000;
const DAY_MS = 86_400_000;

export interface Lack {
  readonly name: string;
  /** What an operation says that failed by it. */
  readonly says: RegExp;
  /** While it lasts, what containers write may be lost. */
  readonly losesLog?: true;
  /** It keeps what has failed from being taken back: the next start does that. */
  readonly needsStart?: true;
  /** The daemon may be killed for it, at once or a moment later. */
  readonly mayKill?: true;
  begin(daemon: FaultedDaemon): void;
  end(daemon: FaultedDaemon): void;
}

/** What the strikes need, before the daemon's first start. */
export function mountRoots(daemon: FaultedDaemon): void {
  for (const root of [daemon.dataRoot, daemon.execRoot]) {
    mkdirSync(root, { recursive: true });
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${ROOM_MIB}m,mode=711`, 'small', root]);
  }
  for (const folder of [PIDS, MEMORY]) {
    if (!existsSync(dirname(folder))) continue;
    mkdirSync(folder);
    // Where supervisors go from a cgroup of the daemon's, and which stays: not only since some strike.
    mkdirSync(join(dirname(folder), 'mydock-supervisors'));
  }
}

/** A file system in memory is as large as one says: here as large as what is in it. */
function full(name: string, rootOf: (daemon: FaultedDaemon) => string): Lack {
  return {
    name,
    says: /no space left on device|database or disk is full|disk .*is full/i,
    losesLog: true,
    needsStart: true,
    begin(daemon) {
      shrink(rootOf(daemon));
    },
    end: (daemon) => resize(rootOf(daemon), ROOM_MIB << 20),
  };
}

/** To what is in it, which grows meanwhile: a size that is too small is refused. */
function shrink(root: string, attempts = 20): void {
  const { blocks, bfree, bsize } = statfsSync(root);
  try {
    resize(root, (blocks - bfree) * bsize);
  } catch (error) {
    if (attempts === 0) throw error;
    shrink(root, attempts - 1);
  }
}

function resize(root: string, bytes: number): void {
  execFileSync('mount', ['-o', `remount,size=${bytes}`, root], { stdio: 'pipe' });
}

/** Files that are open stay as they are; whatever is opened or made cannot be written. */
const READ_ONLY: Lack = {
  name: 'read-only data root',
  says: /read-only file system|readonly database|is read-only/i,
  needsStart: true,
  begin({ dataRoot }) {
    execFileSync('mount', ['--bind', dataRoot, dataRoot]);
    execFileSync('mount', ['-o', 'remount,bind,ro', dataRoot]);
  },
  end: ({ dataRoot }) => execFileSync('umount', ['-l', dataRoot]),
};

/** `more` can be opened, and no others. */
function noDescriptors(more: number): Lack {
  return {
    name: more === 0 ? 'no descriptors' : `${more} descriptors`,
    says: /too many open files|EMFILE|unable to open database file|socket hang up|ECONNRESET/i,
    needsStart: true,
    begin: ({ pid }) => {
      const open = new Set(readdirSync(`/proc/${pid}/fd`).map(Number));
      let limit = 0;
      for (let left = more; open.has(limit) || left > 0; limit++) if (!open.has(limit)) left -= 1;
      setDescriptors(pid, limit);
    },
    end: ({ pid, running }) => {
      if (running) setDescriptors(pid, hardLimit(pid));
    },
  };
}

function hardLimit(pid: number): number {
  return Number(/^Max open files\s+\d+\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/limits`, 'utf8'))?.[1]);
}

/** The soft limit. */
function setDescriptors(pid: number, limit: number): void {
  execFileSync('prlimit', [`--pid=${pid}`, `--nofile=${limit}:`]);
}

const PIDS = '/sys/fs/cgroup/pids/daemon';
const MEMORY = '/sys/fs/cgroup/memory/daemon';

/** The daemon's own cgroups, where v1 has the controllers; containers have others. */
function enterCgroup(folder: string, pid: number): void {
  writeFileSync(join(folder, 'cgroup.procs'), String(pid));
}

const NO_PROCESSES: Lack = {
  name: 'no processes',
  says: /resource temporarily unavailable|EAGAIN|ERR_WORKER_INIT_FAILED/i,
  begin({ pid }) {
    enterCgroup(PIDS, pid);
    writeFileSync(join(PIDS, 'pids.max'), readFileSync(join(PIDS, 'pids.current')));
  },
  end: () => writeFileSync(join(PIDS, 'pids.max'), 'max'),
};

const NO_MEMORY: Lack = {
  name: 'no memory',
  mayKill: true,
  says: /cannot allocate memory|ENOMEM|out of memory/i,
  begin({ pid }) {
    enterCgroup(MEMORY, pid);
    // Its memory so far may be charged elsewhere; a few pages more are too many. A limit below the use is refused.
    const usedBytes = Number(readFileSync(join(MEMORY, 'memory.usage_in_bytes'), 'utf8'));
    writeFileSync(join(MEMORY, 'memory.limit_in_bytes'), String(usedBytes + (256 << 10)));
  },
  end: () => writeFileSync(join(MEMORY, 'memory.limit_in_bytes'), '-1'),
};

function clockJumps(name: string, offsetMs: number): Lack {
  return {
    name,
    says: /^$/,
    begin: ({ orderFile }) => writeFileSync(clockFile(orderFile), String(offsetMs)),
    end: ({ orderFile }) => writeFileSync(clockFile(orderFile), '0'),
  };
}

export const LACKS: readonly Lack[] = [
  full('full data root', ({ dataRoot }) => dataRoot),
  full('full exec root', ({ execRoot }) => execRoot),
  READ_ONLY,
  noDescriptors(0),
  noDescriptors(3),
  ...(existsSync('/sys/fs/cgroup/pids') ? [NO_PROCESSES] : []),
  ...(existsSync('/sys/fs/cgroup/memory') ? [NO_MEMORY] : []),
  clockJumps('clock a year ahead', YEAR_MS),
  clockJumps('clock a day behind', -DAY_MS),
];

/** It lasts from the point, a step's beginning, to the operation's end: before a step's end is after its beginning. */
export function lacking(lack: Lack): Strike<Point> {
  return {
    name: `${lack.name} at`,
    ...(lack.losesLog === undefined ? {} : { losesLog: lack.losesLog }),
    async targets(daemon, scenario) {
      const points = await daemon.record(() => scenario.operate(daemon, false));
      return points.filter(({ point }) => point.startsWith('begin '));
    },
    title: pointName,
    async strike(daemon, scenario, point) {
      daemon.order({ kind: 'hold', ...point });
      let failure: string | undefined;
      const operation = scenario.operate(daemon, false).catch((error: unknown) => {
        failure = errorMessage(error);
      });
      let begun = false;
      try {
        begun = await daemon.held(operation);
        if (begun) lack.begin(daemon);
        daemon.relax();
        const waiting = new AbortController();
        await Promise.race([operation, sleep(MISSING_MS, undefined, waiting).catch(() => undefined)]);
        waiting.abort();
      } finally {
        daemon.relax();
        if (begun) lack.end(daemon);
      }
      await operation;
      const text = failure as string | undefined;
      if (lack.needsStart === true && text !== undefined) await daemon.kill();
      if (lack.mayKill === true) await daemon.ended(DEATH_MS);
      // What was killed can tell nobody why.
      const isDead = lack.mayKill === true && !daemon.running;
      if (!daemon.running) await daemon.launch();
      const isTold = text === undefined || isDead || lack.says.test(text);
      return {
        struck: begun,
        acknowledged: text === undefined,
        wrong: isTold ? [] : [`it does not say what is missing: ${text}`],
      };
    },
  };
}
