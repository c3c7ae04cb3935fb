/**
 * Limits of HostConfig against what they may be and what this host supports. Wrong values are refused with Docker's
 * texts; limits that the host cannot set are dropped with a warning, as Docker does.
 */
import type { HostConfig } from '../api/host-config.ts';
import { InvalidParameterError } from '../base/errors.ts';
import type { HostFacts } from './host-facts.ts';

const MEMORY_MIN = 6 * 1024 * 1024;

function refuse(message: string): never {
  throw new InvalidParameterError(message);
}

/**
 * Changes `host` (a copy that the caller made) where a limit is dropped or defaulted; returns the warnings.
 * `CpuCount` is Windows's: as with Docker on Linux, it is kept and has no effect.
 */
export function validateResources(host: HostConfig, facts: HostFacts): string[] {
  return [
    ...validateMemory(host, facts),
    ...validateOom(host, facts),
    ...validatePids(host, facts),
    ...validateCpu(host, facts),
    ...validateCpuset(host, facts),
    ...validateBlockIO(host, facts),
  ];
}

function validateMemory(host: HostConfig, { cgroups }: HostFacts): string[] {
  const warnings: string[] = [];
  if (host.MemorySwappiness === -1) host.MemorySwappiness = null;
  if ((host.Memory ?? 0) !== 0 && (host.Memory ?? 0) < MEMORY_MIN)
    refuse('Minimum memory limit allowed is 6MB');
  if ((host.Memory ?? 0) > 0 && !cgroups.memory) {
    warnings.push(
      unsupported('memory limit capabilities or the cgroup is not mounted. Limitation discarded.'),
    );
    host.Memory = 0;
    host.MemorySwap = -1;
  }
  if ((host.Memory ?? 0) > 0 && host.MemorySwap !== -1 && !cgroups.swap) {
    warnings.push(
      unsupported('swap limit capabilities or the cgroup is not mounted. Memory limited without swap.'),
    );
    host.MemorySwap = -1;
  }
  const memory = host.Memory ?? 0;
  const swap = host.MemorySwap ?? 0;
  if (memory > 0 && swap > 0 && swap < memory) {
    refuse('Minimum memoryswap limit should be larger than memory limit, see usage');
  }
  if (memory === 0 && swap > 0) {
    refuse('You should always set the Memory limit when using Memoryswap limit, see usage');
  }
  if (memory > 0 && swap === 0) host.MemorySwap = memory * 2;
  return [...warnings, ...validateSwappiness(host, cgroups), ...validateReservation(host, cgroups)];
}

function validateSwappiness(host: HostConfig, cgroups: HostFacts['cgroups']): string[] {
  const swappiness = host.MemorySwappiness ?? null;
  if (swappiness === null) return [];
  if (!cgroups.memorySwappiness) {
    host.MemorySwappiness = null;
    return [
      unsupported(
        'memory swappiness capabilities or the cgroup is not mounted. Memory swappiness discarded.',
      ),
    ];
  }
  if (swappiness < 0 || swappiness > 100) {
    refuse(`Invalid value: ${swappiness}, valid memory swappiness range is 0-100`);
  }
  return [];
}

function validateReservation(host: HostConfig, cgroups: HostFacts['cgroups']): string[] {
  const warnings: string[] = [];
  if ((host.MemoryReservation ?? 0) > 0 && !cgroups.memoryReservation) {
    warnings.push(
      unsupported('memory soft limit capabilities or the cgroup is not mounted. Limitation discarded.'),
    );
    host.MemoryReservation = 0;
  }
  const reservation = host.MemoryReservation ?? 0;
  if (reservation > 0 && reservation < MEMORY_MIN) refuse('Minimum memory reservation allowed is 6MB');
  if ((host.Memory ?? 0) > 0 && reservation > (host.Memory ?? 0)) {
    refuse('Minimum memory limit can not be less than memory reservation limit, see usage');
  }
  if ((host.KernelMemory ?? 0) > 0 && !cgroups.kernelMemory) {
    warnings.push(
      unsupported('kernel memory limit capabilities or the cgroup is not mounted. Limitation discarded.'),
    );
    host.KernelMemory = 0;
  }
  const kernel = host.KernelMemory ?? 0;
  if (kernel > 0 && kernel < MEMORY_MIN) refuse('Minimum kernel memory limit allowed is 6MB');
  return warnings;
}

function validateOom(host: HostConfig, { cgroups }: HostFacts): string[] {
  if (host.OomKillDisable !== true) return [];
  if (!cgroups.oomKillDisable) {
    host.OomKillDisable = null;
    return [unsupported('OomKillDisable. OomKillDisable discarded.')];
  }
  if ((host.Memory ?? 0) > 0) return [];
  return [
    'OOM killer is disabled for the container, but no memory limit is set, this can result in the system running out of resources.',
  ];
}

function validatePids(host: HostConfig, { cgroups }: HostFacts): string[] {
  const limit = host.PidsLimit ?? 0;
  if (limit < -1) refuse(`Invalid PidsLimit ${limit}: use -1 or 0 for unlimited`);
  if (limit <= 0 || cgroups.pids) return [];
  host.PidsLimit = null;
  return [unsupported('PIDs limit capabilities or the cgroup is not mounted. PIDs limit discarded.')];
}

function validateCpu(host: HostConfig, facts: HostFacts): string[] {
  const warnings: string[] = [];
  const nano = host.NanoCpus ?? 0;
  if (nano > 0 && (host.CpuPeriod ?? 0) > 0) {
    refuse('Conflicting options: Nano CPUs and CPU Period cannot both be set');
  }
  if (nano > 0 && (host.CpuQuota ?? 0) > 0) {
    refuse('Conflicting options: Nano CPUs and CPU Quota cannot both be set');
  }
  if (nano > 0 && !facts.cgroups.cpuCfs) {
    refuse(
      'NanoCPUs can not be set, as your kernel does not support CPU CFS scheduler or the cgroup is not mounted',
    );
  }
  if (nano < 0 || nano > facts.cpus * 1e9) {
    refuse(`range of CPUs is from 0.01 to ${facts.cpus}.00, as there are only ${facts.cpus} CPUs available`);
  }
  const shares = host.CpuShares ?? 0;
  if (shares < 0) refuse(`invalid CPU shares (${shares}): value must be a positive integer`);
  if (shares > 0 && !facts.cgroups.cpuShares) {
    warnings.push(unsupported('CPU shares or the cgroup is not mounted. Shares discarded.'));
    host.CpuShares = 0;
  }
  return [...warnings, ...validateCfs(host, facts), ...validateRealtime(host, facts)];
}

function validateCfs(host: HostConfig, { cgroups }: HostFacts): string[] {
  const warnings: string[] = [];
  if (((host.CpuPeriod ?? 0) !== 0 || (host.CpuQuota ?? 0) !== 0) && !cgroups.cpuCfs) {
    warnings.push(unsupported('CPU CFS scheduler. CPU period/quota discarded.'));
    host.CpuPeriod = 0;
    host.CpuQuota = 0;
  }
  const period = host.CpuPeriod ?? 0;
  if (period !== 0 && (period < 1000 || period > 1_000_000)) {
    refuse('CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)');
  }
  const quota = host.CpuQuota ?? 0;
  if (quota > 0 && quota < 1000) refuse('CPU cfs quota can not be less than 1ms (i.e. 1000)');
  if ((host.CpuPercent ?? 0) > 0) {
    warnings.push('linux does not support CPU percent. Percent discarded.');
    host.CpuPercent = 0;
  }
  return warnings;
}

function validateRealtime(host: HostConfig, { cgroups }: HostFacts): string[] {
  const period = host.CpuRealtimePeriod ?? 0;
  const runtime = host.CpuRealtimeRuntime ?? 0;
  if ((period !== 0 || runtime !== 0) && !cgroups.cpuRealtime) {
    refuse('kernel does not support CPU real-time scheduler');
  }
  if (period !== 0 && runtime > period)
    refuse('cpu real-time runtime cannot be higher than cpu real-time period');
  return [];
}

function validateCpuset(host: HostConfig, { cgroups }: HostFacts): string[] {
  const warnings: string[] = [];
  if (((host.CpusetCpus ?? '') !== '' || (host.CpusetMems ?? '') !== '') && !cgroups.cpuset) {
    warnings.push(unsupported('cpuset or the cgroup is not mounted. Cpuset discarded.'));
    host.CpusetCpus = '';
    host.CpusetMems = '';
  }
  checkList('cpuset cpus', 'CPUs', host.CpusetCpus ?? '', cgroups.cpus);
  checkList('cpuset mems', 'memory nodes', host.CpusetMems ?? '', cgroups.mems);
  return warnings;
}

function checkList(option: string, things: string, wanted: string, available: string): void {
  if (wanted === '') return;
  const list = parseCpuList(wanted);
  if (list === undefined) refuse(`Invalid value ${wanted} for ${option}`);
  const have = new Set(parseCpuList(available) ?? []);
  if (available !== '' && list.some((one) => !have.has(one))) {
    refuse(`Requested ${things} are not available - requested ${wanted}, available: ${available}`);
  }
}

/** More processors than any machine has; lists may name each of them any number of times. */
const CPU_NUMBERS_MAX = 100_000;

/** The numbers of a list as in cpuset(7) (`0-2,7`); undefined for a text that is none, or names too many. */
export function parseCpuList(text: string): number[] | undefined {
  const numbers: number[] = [];
  for (const part of text.split(',')) {
    const match = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(part.trim());
    if (match === null) return undefined;
    const first = Number(match[1]);
    const last = match[2] === undefined ? first : Number(match[2]);
    if (last < first || numbers.length + last - first >= CPU_NUMBERS_MAX) return undefined;
    for (let number = first; number <= last; number++) numbers.push(number);
  }
  return numbers;
}

function validateBlockIO(host: HostConfig, { cgroups }: HostFacts): string[] {
  const warnings: string[] = [];
  if ((host.BlkioWeight ?? 0) > 0 && !cgroups.blkioWeight) {
    warnings.push(unsupported('Block I/O weight or the cgroup is not mounted. Weight discarded.'));
    host.BlkioWeight = 0;
  }
  const weight = host.BlkioWeight ?? 0;
  if (weight !== 0 && (weight < 10 || weight > 1000)) refuse('Range of blkio weight is from 10 to 1000');
  if ((host.IOMaximumBandwidth ?? 0) !== 0 || (host.IOMaximumIOps ?? 0) !== 0) {
    refuse('Invalid QoS settings: linux does not support Maximum IO Bandwidth or Maximum IO IOps');
  }
  if ((host.BlkioWeightDevice ?? []).length > 0 && !cgroups.blkioWeight) {
    warnings.push(
      unsupported('Block I/O weight_device or the cgroup is not mounted. Weight-device discarded.'),
    );
    host.BlkioWeightDevice = [];
  }
  return [...warnings, ...validateThrottles(host, cgroups)];
}

const THROTTLES = [
  ['BlkioDeviceReadBps', 'BPS Block I/O read limit', 'Block I/O BPS read limit'],
  ['BlkioDeviceWriteBps', 'BPS Block I/O write limit', 'Block I/O BPS write limit'],
  ['BlkioDeviceReadIOps', 'IOPS Block read limit', 'Block I/O IOPS read limit'],
  ['BlkioDeviceWriteIOps', 'IOPS Block write limit', 'Block I/O IOPS write limit'],
] as const;

function validateThrottles(host: HostConfig, cgroups: HostFacts['cgroups']): string[] {
  const warnings: string[] = [];
  for (const [field, feature, name] of THROTTLES) {
    if ((host[field] ?? []).length === 0 || cgroups.blkioThrottle) continue;
    warnings.push(unsupported(`${feature} or the cgroup is not mounted. ${name} discarded.`));
    host[field] = [];
  }
  return warnings;
}

function unsupported(what: string): string {
  return `Your kernel does not support ${what}`;
}
