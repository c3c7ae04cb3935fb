/** A host that can do everything, for tests; `change` replaces fields of it. */
import { CAPABILITIES } from './capabilities.ts';
import type { CgroupFacts, HostFacts } from './host-facts.ts';

export function testFacts(change: Partial<HostFacts> = {}, cgroups: Partial<CgroupFacts> = {}): HostFacts {
  return {
    architecture: 'amd64',
    kernelRelease: '6.12.0-test',
    cgroupVersion: 1,
    cgroups: {
      memory: true,
      swap: true,
      memoryReservation: true,
      memorySwappiness: true,
      kernelMemory: true,
      oomKillDisable: true,
      cpuShares: true,
      cpuCfs: true,
      cpuRealtime: true,
      cpuset: true,
      cpus: '0-3',
      mems: '0',
      pids: true,
      blkioWeight: true,
      blkioThrottle: true,
      ...cgroups,
    },
    cgroupNamespaces: true,
    cpus: 4,
    capabilities: CAPABILITIES,
    apparmor: false,
    selinux: false,
    recursiveReadOnly: true,
    ipv4Forwarding: true,
    networkSysctls: {
      'net.ipv4.ping_group_range': '0 2147483647',
      'net.ipv4.ip_unprivileged_port_start': '0',
    },
    thermalPaths: ['/sys/devices/system/cpu/cpu0/thermal_throttle'],
    ...change,
  };
}
