/**
 * The limits of `docker update` as files of cgroups: v1 (the kernel's admin-guide/cgroup-v1) and v2
 * (admin-guide/cgroup-v2). Twin of native/runtime/launch/cgroup_v1.c and cgroup_v2.c, which write them when a container
 * starts; here a limit can also be taken away again, so that -1 and 0 mean "none" in every number.
 */
import type { LinuxCpu, LinuxMemory, LinuxResources } from '../../oci/runtime-spec.ts';
import { blockWrites } from './block-limits.ts';
import { type ContainerCgroup, readCgroupFile, writeCgroupFile } from './hierarchy.ts';
import { type CgroupWrite, isEmpty, place, type Wanted, writes } from './limit-files.ts';

/** Writes limits, in an order that the kernel takes. Throws Internal at the first one that it refuses. */
export function writeLimits(cgroup: ContainerCgroup, resources: LinuxResources): void {
  for (const { directory, file, value } of planLimits(cgroup, resources)) {
    writeCgroupFile(directory, file, value);
  }
}

/** Throws Internal, naming the controller, where the host has none for a limit. */
export function planLimits(cgroup: ContainerCgroup, resources: LinuxResources): CgroupWrite[] {
  return [
    ...memoryWrites(cgroup, resources.memory ?? {}),
    ...cpuWrites(cgroup, resources.cpu ?? {}),
    ...cpusetWrites(cgroup, resources.cpu ?? {}),
    ...pidsWrites(cgroup, resources.pids?.limit),
    ...blockWrites(cgroup, resources.blockIO ?? {}),
  ];
}

function orMax(value: number | undefined): string | number | undefined {
  return value !== undefined && value < 0 ? 'max' : value;
}

function memoryWrites(cgroup: ContainerCgroup, memory: LinuxMemory): CgroupWrite[] {
  if (isEmpty(memory)) return [];
  const { version, directory } = place(cgroup, 'memory', 'memory.max');
  const { limit, reservation, swap } = memory;
  if (version === 1) {
    const limits: Wanted[] = [
      ['memory.limit_in_bytes', limit],
      ['memory.memsw.limit_in_bytes', swap],
    ];
    return writes(directory, [
      ...(raisesSwapFirst(directory, swap) ? limits.reverse() : limits),
      ['memory.soft_limit_in_bytes', reservation],
      ['memory.swappiness', memory.swappiness],
      [
        'memory.oom_control',
        memory.disableOOMKiller === undefined ? undefined : Number(memory.disableOOMKiller),
      ],
    ]);
  }
  // The spec counts memory and swap together, v2 counts swap alone.
  const own = limit ?? Number(readCgroupFile(directory, 'memory.max'));
  const swapAlone = swap === undefined || swap < 0 || !Number.isFinite(own) ? swap : Math.max(0, swap - own);
  return writes(directory, [
    ['memory.swap.max', orMax(swapAlone)],
    ['memory.max', orMax(limit)],
    ['memory.low', orMax(reservation)],
  ]);
}

/** Memory and swap together may never be below memory alone: whichever grows goes first. */
function raisesSwapFirst(directory: string, swap: number | undefined): boolean {
  if (swap === undefined) return false;
  return swap < 0 || swap > Number(readCgroupFile(directory, 'memory.memsw.limit_in_bytes') ?? 0);
}

const CPU_PERIOD_US = 100_000;

function cpuWrites(cgroup: ContainerCgroup, cpu: LinuxCpu): CgroupWrite[] {
  const { shares, period, quota, realtimePeriod, realtimeRuntime } = cpu;
  if (isEmpty({ shares, period, quota, realtimePeriod, realtimeRuntime })) return [];
  const { version, directory } = place(cgroup, 'cpu', 'cpu.weight');
  if (version === 1) {
    return writes(directory, [
      ['cpu.shares', shares],
      ['cpu.cfs_period_us', period],
      ['cpu.cfs_quota_us', quota],
      ['cpu.rt_period_us', realtimePeriod],
      ['cpu.rt_runtime_us', realtimeRuntime],
    ]);
  }
  return writes(directory, [
    ['cpu.weight', shares === undefined ? undefined : cpuWeight(shares)],
    ['cpu.max', cpuMax(directory, period, quota)],
  ]);
}

/** [2, 262144] onto [1, 10000], in a straight line, as at the container's start. */
export function cpuWeight(shares: number): number {
  const bounded = Math.min(262_144, Math.max(2, shares));
  return 1 + Math.floor(((bounded - 2) * 9999) / 262_142);
}

function cpuMax(
  directory: string,
  period: number | undefined,
  quota: number | undefined,
): string | undefined {
  if (period === undefined && quota === undefined) return undefined;
  const [oldQuota = 'max', oldPeriod = CPU_PERIOD_US] = (readCgroupFile(directory, 'cpu.max') ?? '').split(
    ' ',
  );
  const newQuota = quota === undefined ? oldQuota : quota > 0 ? quota : 'max';
  return `${newQuota || 'max'} ${period ?? oldPeriod}`;
}

function cpusetWrites(cgroup: ContainerCgroup, { cpus, mems }: LinuxCpu): CgroupWrite[] {
  if (isEmpty({ cpus, mems })) return [];
  const { directory } = place(cgroup, 'cpuset', 'cpuset.cpus');
  return writes(directory, [
    ['cpuset.cpus', cpus],
    ['cpuset.mems', mems],
  ]);
}

function pidsWrites(cgroup: ContainerCgroup, limit: number | undefined): CgroupWrite[] {
  if (limit === undefined) return [];
  const { directory } = place(cgroup, 'pids', 'pids.max');
  return writes(directory, [['pids.max', limit > 0 ? limit : 'max']]);
}
