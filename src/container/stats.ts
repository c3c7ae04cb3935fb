/**
 * What a container uses right now, sample by sample (Engine API, "Get container stats based on resource usage"). Each
 * reader samples for itself, so nothing runs while nobody looks.
 */
import { readFileSync } from 'node:fs';
import { totalmem } from 'node:os';
import { setTimeout } from 'node:timers/promises';
import type { ContainerStats, CpuStats, InterfaceStats } from '../api/stats.ts';
import { errnoCode } from '../base/errors.ts';
import { blockUsage, NO_BLKIO_STATS } from './cgroup/block-usage.ts';
import { bundleCgroupsPath, ContainerCgroup } from './cgroup/hierarchy.ts';
import { cpuUsage, memoryUsage, NO_CPU_STATS, pidsUsage } from './cgroup/usage.ts';
import type { Container } from './container.ts';
import type { EngineContext } from './engine-context.ts';
import { networkKind } from './network-mode.ts';
import { containerPaths } from './paths.ts';
import { isLive, NEVER } from './state.ts';

const INTERVAL_MS = 1000;
const TICK_NS = 10_000_000;

export interface StatsOptions {
  /** One sample a second until the client goes away; else one. */
  stream: boolean;
  /** The one sample at once, without the one before it that CPU shares are reckoned from. */
  oneShot: boolean;
  /** The last sample of a stream that goes on. */
  before?: ContainerStats | undefined;
}

/** Ends when the container is removed. A container that does not run gives samples of zeros. */
export async function* containerStats(
  engine: EngineContext,
  container: Container,
  options: StatsOptions,
  signal: AbortSignal,
): AsyncGenerator<ContainerStats> {
  let { before } = options;
  const groups = new GroupOfRun(engine, container);
  if (!options.stream && !options.oneShot && container.running) {
    before = sample(container, groups, undefined);
    await pause(signal);
  } else if (before !== undefined) await pause(signal);
  while (!signal.aborted && engine.containers.find(container.id) === container) {
    const current = sample(container, groups, before);
    yield current;
    if (!options.stream) return;
    before = current.read === NEVER ? undefined : current;
    await pause(signal);
  }
}

/** The cgroups of a container's run, which one reader asks for again and again: found once for each run. */
class GroupOfRun {
  readonly #container: Container;
  readonly #bundle: string;
  #startedAt = '';
  #cgroup: ContainerCgroup | undefined;

  constructor({ settings }: EngineContext, container: Container) {
    this.#container = container;
    this.#bundle = containerPaths(settings.dataRoot, settings.execRoot, container.id).bundle;
  }

  /** Undefined where it does not run. */
  find(): ContainerCgroup | undefined {
    const { state } = this.#container.record;
    if (!isLive(state)) return undefined;
    if (this.#cgroup === undefined || this.#startedAt !== state.startedAt) {
      const path = bundleCgroupsPath(this.#bundle);
      this.#cgroup = path === undefined ? undefined : new ContainerCgroup(path);
      this.#startedAt = state.startedAt;
    }
    return this.#cgroup;
  }
}

async function pause(signal: AbortSignal): Promise<void> {
  await setTimeout(INTERVAL_MS, undefined, { signal }).catch(() => undefined);
}

function sample(
  container: Container,
  groups: GroupOfRun,
  before: ContainerStats | undefined,
): ContainerStats {
  const { state, name } = container.record;
  const none: ContainerStats = {
    read: NEVER,
    preread: NEVER,
    pids_stats: {},
    blkio_stats: NO_BLKIO_STATS,
    num_procs: 0,
    storage_stats: {},
    cpu_stats: NO_CPU_STATS,
    precpu_stats: NO_CPU_STATS,
    memory_stats: {},
    name: `/${name}`,
    id: container.id,
  };
  const cgroup = groups.find();
  if (!isLive(state) || cgroup === undefined) return none;
  const networks = networkUsage(container, state.pid);
  return {
    ...none,
    read: new Date().toISOString(),
    preread: before?.read ?? NEVER,
    pids_stats: pidsUsage(cgroup),
    blkio_stats: blockUsage(cgroup),
    cpu_stats: withSystem(cpuUsage(cgroup)),
    precpu_stats: before?.cpu_stats ?? NO_CPU_STATS,
    memory_stats: memoryUsage(cgroup, totalmem()),
    ...(networks === undefined ? {} : { networks }),
  };
}

function withSystem(usage: CpuStats): CpuStats {
  const { system, cpus } = parseHostCpu(readFileSync('/proc/stat', 'utf8'));
  const { cpu_usage, throttling_data } = usage;
  return { cpu_usage, system_cpu_usage: system, online_cpus: cpus, throttling_data };
}

/** From /proc/stat: nanoseconds of all CPUs together (user to softirq, as Docker adds them), and how many are online. */
export function parseHostCpu(text: string): { system: number; cpus: number } {
  const all = /^cpu +(.*)$/m.exec(text)?.[1] ?? '';
  const ticks = all
    .split(' ')
    .slice(0, 7)
    .reduce((sum, one) => sum + Number(one), 0);
  return { system: ticks * TICK_NS, cpus: (text.match(/^cpu\d+ /gm) ?? []).length };
}

/** The interfaces of the container's network namespace but the loopback; undefined with the host's network, or none. */
function networkUsage(container: Container, pid: number): Record<string, InterfaceStats> | undefined {
  if (networkKind(container.record.hostConfig.NetworkMode) === 'host') return undefined;
  try {
    const networks = parseNetDev(readFileSync(`/proc/${pid}/net/dev`, 'utf8'));
    return Object.keys(networks).length === 0 ? undefined : networks;
  } catch (error) {
    if (['ENOENT', 'ESRCH', 'EINVAL'].includes(errnoCode(error) ?? '')) return undefined;
    throw error;
  }
}

/** /proc/net/dev: eight figures received, eight sent, behind `name:`. */
export function parseNetDev(text: string): Record<string, InterfaceStats> {
  const networks: Record<string, InterfaceStats> = {};
  for (const line of text.split('\n')) {
    const match = /^\s*([^\s:]+):\s*(.*)$/.exec(line);
    const [, name = '', rest = ''] = match ?? [];
    const figures = rest.split(/\s+/).map(Number);
    if (name === '' || name === 'lo' || figures.length < 12) continue;
    const [rxBytes = 0, rxPackets = 0, rxErrors = 0, rxDropped = 0] = figures;
    const [txBytes = 0, txPackets = 0, txErrors = 0, txDropped = 0] = figures.slice(8);
    networks[name] = {
      rx_bytes: rxBytes,
      rx_packets: rxPackets,
      rx_errors: rxErrors,
      rx_dropped: rxDropped,
      tx_bytes: txBytes,
      tx_packets: txPackets,
      tx_errors: txErrors,
      tx_dropped: txDropped,
    };
  }
  return networks;
}
