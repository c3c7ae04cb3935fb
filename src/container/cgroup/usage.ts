/**
 * What a container uses, read from its cgroups in the units of the API: CPU in nanoseconds, memory in bytes, processes
 * (v1: cpuacct, cpu, memory, pids; v2: cpu.stat, memory.*, pids.*). Block I/O is in block-usage.ts. A controller
 * that is missing leaves its figures out.
 */
import type { CpuStats, MemoryStats } from '../../api/stats.ts';
import { type ContainerCgroup, readCgroupFile } from './hierarchy.ts';

/** USER_HZ is 100 on every architecture that is supported here. */
const TICK_NS = 10_000_000;

/** `name value` lines, as in memory.stat and cpu.stat. */
export function parseFlatKeyed(text: string): Record<string, number> {
  const values: Record<string, number> = {};
  for (const line of text.split('\n')) {
    const [name = '', value] = line.split(' ');
    if (name !== '' && value !== undefined) values[name] = Number(value);
  }
  return values;
}

function keyed(directory: string | undefined, file: string): Record<string, number> {
  return directory === undefined ? {} : parseFlatKeyed(readCgroupFile(directory, file) ?? '');
}

/** A number; undefined where the file is missing or says `max`. */
function number(directory: string | undefined, file: string): number | undefined {
  const text = directory === undefined ? undefined : readCgroupFile(directory, file);
  return text === undefined || text === 'max' ? undefined : Number(text);
}

export const NO_CPU_STATS: CpuStats = {
  cpu_usage: { total_usage: 0, usage_in_kernelmode: 0, usage_in_usermode: 0 },
  throttling_data: { periods: 0, throttled_periods: 0, throttled_time: 0 },
};

/** The container's part of the CPU figures. */
export function cpuUsage(cgroup: ContainerCgroup): CpuStats {
  const cpuacct = cgroup.v1('cpuacct');
  return cpuacct === undefined ? cpuUsageV2(cgroup.v2) : cpuUsageV1(cgroup, cpuacct);
}

function cpuUsageV1(cgroup: ContainerCgroup, cpuacct: string): CpuStats {
  const split = keyed(cpuacct, 'cpuacct.stat');
  const throttled = keyed(cgroup.v1('cpu'), 'cpu.stat');
  const each = (readCgroupFile(cpuacct, 'cpuacct.usage_percpu') ?? '').split(' ').filter((one) => one !== '');
  return {
    cpu_usage: {
      total_usage: number(cpuacct, 'cpuacct.usage') ?? 0,
      ...(each.length === 0 ? {} : { percpu_usage: each.map(Number) }),
      usage_in_kernelmode: (split['system'] ?? 0) * TICK_NS,
      usage_in_usermode: (split['user'] ?? 0) * TICK_NS,
    },
    throttling_data: {
      periods: throttled['nr_periods'] ?? 0,
      throttled_periods: throttled['nr_throttled'] ?? 0,
      throttled_time: throttled['throttled_time'] ?? 0,
    },
  };
}

function cpuUsageV2(v2: string | undefined): CpuStats {
  const stat = keyed(v2, 'cpu.stat');
  const ns = (name: string): number => (stat[name] ?? 0) * 1000;
  return {
    cpu_usage: {
      total_usage: ns('usage_usec'),
      usage_in_kernelmode: ns('system_usec'),
      usage_in_usermode: ns('user_usec'),
    },
    throttling_data: {
      periods: stat['nr_periods'] ?? 0,
      throttled_periods: stat['nr_throttled'] ?? 0,
      throttled_time: ns('throttled_usec'),
    },
  };
}

/** `hostBytes`: the machine's memory, which is the limit of a container without one. */
export function memoryUsage(cgroup: ContainerCgroup, hostBytes: number): MemoryStats {
  const v1 = cgroup.v1('memory');
  const directory = v1 ?? cgroup.v2;
  const usage = number(directory, v1 === undefined ? 'memory.current' : 'memory.usage_in_bytes');
  if (usage === undefined) return {};
  const limit = number(directory, v1 === undefined ? 'memory.max' : 'memory.limit_in_bytes') ?? hostBytes;
  const stats = keyed(directory, 'memory.stat');
  const common = { usage, stats, limit: Math.min(limit, hostBytes) };
  if (v1 === undefined) return common;
  const failures = number(v1, 'memory.failcnt') ?? 0;
  return {
    ...common,
    max_usage: number(v1, 'memory.max_usage_in_bytes') ?? usage,
    ...(failures === 0 ? {} : { failcnt: failures }),
  };
}

export function pidsUsage(cgroup: ContainerCgroup): { current?: number; limit?: number } {
  const directory = cgroup.v1('pids') ?? cgroup.v2;
  const current = number(directory, 'pids.current');
  const limit = number(directory, 'pids.max');
  return {
    ...(current === undefined ? {} : { current }),
    ...(limit === undefined ? {} : { limit }),
  };
}
