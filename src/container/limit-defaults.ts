/** The daemon's defaults of limits, for containers that say nothing themselves. */
import type { HostConfig, Ulimit } from '../api/host-config.ts';

export interface LimitDefaults {
  /** Bytes. */
  shmSize: number;
  /** Empty: what Docker takes without a setting. */
  cgroupnsMode: '' | 'host' | 'private';
  ulimits: Readonly<Record<string, Ulimit>>;
}

/** Those that a container keeps from its creation on. */
export function withLimitDefaults(host: HostConfig, defaults: LimitDefaults): HostConfig {
  return {
    ...host,
    ShmSize: host.ShmSize || defaults.shmSize,
    CgroupnsMode: host.CgroupnsMode || defaults.cgroupnsMode,
  };
}

/** With the ulimits of the daemon as it is now, under the container's own. */
export function withDefaultUlimits(host: HostConfig, { ulimits }: LimitDefaults): HostConfig {
  const own = host.Ulimits ?? [];
  const missing = Object.values(ulimits).filter((limit) => !own.some(({ Name }) => Name === limit.Name));
  return missing.length === 0 ? host : { ...host, Ulimits: [...own, ...missing] };
}
