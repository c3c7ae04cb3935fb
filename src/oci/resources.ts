/**
 * The limits of HostConfig as OCI `linux.resources`. The values were judged by validate.ts before; here units are
 * translated and what is unset is left out.
 */
import type { HostConfig, ThrottleDevice } from '../api/host-config.ts';
import { deviceNumbersOf } from './devices.ts';
import type {
  LinuxBlockIO,
  LinuxCpu,
  LinuxDeviceRule,
  LinuxMemory,
  LinuxResources,
  LinuxThrottleDevice,
} from './runtime-spec.ts';

/** Microseconds: the period over which `--cpus` is counted. */
const CPU_PERIOD_US = 100_000;

/** Reads the numbers of the block devices that are named by path. */
export function linuxResources(host: HostConfig, rules: readonly LinuxDeviceRule[]): LinuxResources {
  const pids = host.PidsLimit ?? 0;
  return {
    devices: rules.map((rule) => ({ ...rule })),
    ...filled('memory', memory(host)),
    ...filled('cpu', cpu(host)),
    ...(pids > 0 ? { pids: { limit: pids } } : {}),
    ...filled('blockIO', blockIO(host)),
  };
}

function filled<K extends string, V extends object>(key: K, value: V): { [P in K]?: V } {
  return Object.keys(value).length === 0 ? {} : ({ [key]: value } as { [P in K]?: V });
}

/** Leaves out what is undefined. */
function given<T extends object>(values: { [K in keyof T]: T[K] | undefined }): T {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as T;
}

function positive(value: number | undefined): number | undefined {
  return value !== undefined && value > 0 ? value : undefined;
}

function text(value: string | undefined): string | undefined {
  return value === '' ? undefined : value;
}

/** MemorySwap -1 sets nothing: without a value the kernel does not limit swap. */
function memory(host: HostConfig): LinuxMemory {
  const swappiness = host.MemorySwappiness ?? -1;
  return given<LinuxMemory>({
    limit: positive(host.Memory),
    reservation: positive(host.MemoryReservation),
    swap: positive(host.MemorySwap),
    kernel: positive(host.KernelMemory),
    kernelTCP: positive(host.KernelMemoryTCP),
    swappiness: swappiness >= 0 ? swappiness : undefined,
    disableOOMKiller: host.OomKillDisable === true ? true : undefined,
  } as { [K in keyof LinuxMemory]: LinuxMemory[K] | undefined });
}

/** `NanoCpus` and `CpuPeriod`/`CpuQuota` exclude each other (validate.ts). */
function cpu(host: HostConfig): LinuxCpu {
  const nano = positive(host.NanoCpus);
  return given<LinuxCpu>({
    shares: positive(host.CpuShares),
    period: nano === undefined ? positive(host.CpuPeriod) : CPU_PERIOD_US,
    quota: nano === undefined ? host.CpuQuota || undefined : Math.floor((nano * CPU_PERIOD_US) / 1e9),
    realtimePeriod: positive(host.CpuRealtimePeriod),
    realtimeRuntime: positive(host.CpuRealtimeRuntime),
    cpus: text(host.CpusetCpus),
    mems: text(host.CpusetMems),
  } as { [K in keyof LinuxCpu]: LinuxCpu[K] | undefined });
}

function blockIO(host: HostConfig): LinuxBlockIO {
  const weights = (host.BlkioWeightDevice ?? []).map(({ Path, Weight }) => ({
    ...deviceNumbersOf(Path),
    weight: Weight,
  }));
  return given<LinuxBlockIO>({
    weight: positive(host.BlkioWeight),
    weightDevice: weights.length === 0 ? undefined : weights,
    throttleReadBpsDevice: throttles(host.BlkioDeviceReadBps),
    throttleWriteBpsDevice: throttles(host.BlkioDeviceWriteBps),
    throttleReadIOPSDevice: throttles(host.BlkioDeviceReadIOps),
    throttleWriteIOPSDevice: throttles(host.BlkioDeviceWriteIOps),
  } as { [K in keyof LinuxBlockIO]: LinuxBlockIO[K] | undefined });
}

function throttles(devices: ThrottleDevice[] | null | undefined): LinuxThrottleDevice[] | undefined {
  if (devices === null || devices === undefined || devices.length === 0) return undefined;
  return devices.map(({ Path, Rate }) => ({ ...deviceNumbersOf(Path), rate: Rate }));
}
