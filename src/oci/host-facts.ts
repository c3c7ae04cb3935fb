/**
 * What this host's kernel offers, as far as it changes a container's configuration. Read once when the daemon
 * starts; everything else in this folder takes it as a value.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { availableParallelism, machine, release } from 'node:os';
import { CAPABILITIES, capabilitiesFromMask } from './capabilities.ts';

export interface HostFacts {
  architecture: 'amd64' | 'arm64';
  kernelRelease: string;
  /** 1 also for a hybrid host, where the controllers are on v1. */
  cgroupVersion: 1 | 2;
  cgroups: CgroupFacts;
  cgroupNamespaces: boolean;
  /** CPUs that this process may use. */
  cpus: number;
  /** What can be given to a container: the daemon's bounding set. */
  capabilities: readonly string[];
  /** AppArmor is on, and its policy can be reached: not so inside most containers. */
  apparmor: boolean;
  selinux: boolean;
  /** mount_setattr(2) with AT_RECURSIVE. */
  recursiveReadOnly: boolean;
  /** Read anew each time: the network manager switches it on. */
  readonly ipv4Forwarding: boolean;
  /** Sysctls of a network namespace that this kernel knows and that every container's own gets. */
  networkSysctls: Readonly<Record<string, string>>;
  /** Host paths that tell about CPU heat, masked in containers. */
  thermalPaths: readonly string[];
}

/** Which limits the mounted controllers support. */
export interface CgroupFacts {
  memory: boolean;
  swap: boolean;
  memoryReservation: boolean;
  memorySwappiness: boolean;
  kernelMemory: boolean;
  oomKillDisable: boolean;
  cpuShares: boolean;
  cpuCfs: boolean;
  cpuRealtime: boolean;
  cpuset: boolean;
  /** Lists as in cpuset(7), empty where not known. */
  cpus: string;
  mems: string;
  pids: boolean;
  blkioWeight: boolean;
  blkioThrottle: boolean;
}

const NETWORK_SYSCTLS: Readonly<Record<string, string>> = {
  // ICMP echo sockets without CAP_NET_RAW; ports below 1024 without CAP_NET_BIND_SERVICE.
  'net.ipv4.ping_group_range': '0 2147483647',
  'net.ipv4.ip_unprivileged_port_start': '0',
};

/** Reads /proc and /sys; what cannot be read counts as absent. */
export function readHostFacts(): HostFacts {
  const mounts = readText('/proc/mounts');
  const v1 = controllersOfV1(mounts);
  const cgroupVersion = v1.size > 0 ? 1 : 2;
  return {
    architecture: machine() === 'aarch64' ? 'arm64' : 'amd64',
    kernelRelease: release(),
    cgroupVersion,
    cgroups: cgroupVersion === 1 ? cgroupFactsV1(v1) : cgroupFactsV2(),
    cgroupNamespaces: existsSync('/proc/self/ns/cgroup'),
    cpus: availableParallelism(),
    capabilities: boundingSet(),
    apparmor: hasApparmor(),
    selinux: existsSync('/sys/fs/selinux/enforce'),
    recursiveReadOnly: kernelAtLeast(5, 12),
    get ipv4Forwarding() {
      return readText('/proc/sys/net/ipv4/ip_forward').trim() !== '0';
    },
    networkSysctls: Object.fromEntries(
      Object.entries(NETWORK_SYSCTLS).filter(([name]) =>
        existsSync(`/proc/sys/${name.replaceAll('.', '/')}`),
      ),
    ),
    thermalPaths: thermalPaths(),
  };
}

/** As Docker decides it. `$container` names what a container's processes are run by (systemd(1)). */
function hasApparmor(): boolean {
  return (
    readText('/sys/module/apparmor/parameters/enabled').startsWith('Y') &&
    existsSync('/sys/kernel/security/apparmor') &&
    (process.env['container'] ?? '') === ''
  );
}

function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}

function boundingSet(): readonly string[] {
  const mask = /^CapBnd:\s*([0-9a-f]+)$/m.exec(readText('/proc/self/status'))?.[1];
  return mask === undefined ? CAPABILITIES : capabilitiesFromMask(mask);
}

function kernelAtLeast(major: number, minor: number): boolean {
  const [haveMajor = 0, haveMinor = 0] = release().split('.').map(Number);
  return haveMajor > major || (haveMajor === major && haveMinor >= minor);
}

/** Controller name to mount point. */
function controllersOfV1(mounts: string): Map<string, string> {
  const found = new Map<string, string>();
  for (const line of mounts.split('\n')) {
    const [, target, type, options] = line.split(' ');
    if (type !== 'cgroup' || target === undefined || options === undefined) continue;
    for (const option of options.split(',')) {
      if (['memory', 'cpu', 'cpuset', 'pids', 'blkio', 'devices', 'freezer'].includes(option)) {
        found.set(option, target);
      }
    }
  }
  return found;
}

function cgroupFactsV1(controllers: Map<string, string>): CgroupFacts {
  const has = (controller: string, file: string) => {
    const root = controllers.get(controller);
    return root !== undefined && existsSync(`${root}/${file}`);
  };
  const cpusetRoot = controllers.get('cpuset');
  const cpuset = (file: string) => (cpusetRoot === undefined ? '' : readText(`${cpusetRoot}/${file}`).trim());
  return {
    memory: controllers.has('memory'),
    swap: has('memory', 'memory.memsw.limit_in_bytes'),
    memoryReservation: has('memory', 'memory.soft_limit_in_bytes'),
    memorySwappiness: has('memory', 'memory.swappiness'),
    kernelMemory: has('memory', 'memory.kmem.limit_in_bytes'),
    oomKillDisable: has('memory', 'memory.oom_control'),
    cpuShares: has('cpu', 'cpu.shares'),
    cpuCfs: has('cpu', 'cpu.cfs_quota_us'),
    cpuRealtime: has('cpu', 'cpu.rt_period_us'),
    cpuset: controllers.has('cpuset'),
    cpus: cpuset('cpuset.cpus'),
    mems: cpuset('cpuset.mems'),
    pids: controllers.has('pids'),
    blkioWeight: has('blkio', 'blkio.weight') || has('blkio', 'blkio.bfq.weight'),
    blkioThrottle: has('blkio', 'blkio.throttle.read_bps_device'),
  };
}

function cgroupFactsV2(): CgroupFacts {
  const root = '/sys/fs/cgroup';
  const controllers = new Set(readText(`${root}/cgroup.controllers`).trim().split(' '));
  const own = /^0::(\/.*)$/m.exec(readText('/proc/self/cgroup'))?.[1] ?? '/';
  const memory = controllers.has('memory');
  return {
    memory,
    // Groups without limits of memory, the root and those that are not given the controller, say nothing of swap.
    swap: memory && (!existsSync(`${root}${own}/memory.max`) || existsSync(`${root}${own}/memory.swap.max`)),
    memoryReservation: memory,
    memorySwappiness: false,
    kernelMemory: false,
    oomKillDisable: false,
    cpuShares: controllers.has('cpu'),
    cpuCfs: controllers.has('cpu'),
    cpuRealtime: false,
    cpuset: controllers.has('cpuset'),
    cpus: readText(`${root}/cpuset.cpus.effective`).trim(),
    mems: readText(`${root}/cpuset.mems.effective`).trim(),
    pids: controllers.has('pids'),
    blkioWeight: controllers.has('io'),
    blkioThrottle: controllers.has('io'),
  };
}

function thermalPaths(): string[] {
  const root = '/sys/devices/system/cpu';
  try {
    return readdirSync(root)
      .filter((name) => /^cpu\d+$/.test(name))
      .map((name) => `${root}/${name}/thermal_throttle`)
      .filter((path) => existsSync(path))
      .sort();
  } catch {
    // No such folder: nothing to hide.
    return [];
  }
}
