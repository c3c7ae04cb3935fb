/** What the daemon says about itself and its host: `version` and `info` (Engine API, "System"). */
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { hostname, version as kernelVersion, release, totalmem } from 'node:os';
import type { SystemInfo, SystemVersion } from '../api/system.ts';
import { API_VERSION, MIN_API_VERSION } from '../api/version.ts';
import { errorMessage } from '../base/errors.ts';
import { log } from '../base/log.ts';
import { MYDOCK_VERSION } from '../base/version.ts';
import type { DefaultApparmor } from '../container/default-apparmor.ts';
import type { ContainerEngine } from '../container/engine.ts';
import { LOG_DRIVERS } from '../container/log-options.ts';
import type { Runtimes } from '../container/runtimes.ts';
import type { EventBus } from '../events/event-bus.ts';
import type { Snapshotter } from '../image/layers/snapshotter.ts';
import { DEFAULT_DOMAIN } from '../image/reference.ts';
import { parseMirror } from '../image/registry/mirrors.ts';
import type { ProxyEnvironment } from '../image/registry/proxy.ts';
import type { ImageStore } from '../image/store/image-store.ts';
import type { ForeignDrop } from '../network/firewall/other-tables.ts';
import type { NetworkManager } from '../network/network-manager.ts';
import type { CdiListing } from '../oci/cdi/registry.ts';
import type { HostFacts } from '../oci/host-facts.ts';
import type { DaemonConfig } from './config.ts';
import { cgroupSettings } from './limits-config.ts';
import { shownProxies } from './proxies.ts';

export interface InfoSources {
  config: DaemonConfig;
  /** Stays the same for one data root. */
  id: string;
  engine: ContainerEngine;
  images: ImageStore;
  snapshotter: Snapshotter;
  events: EventBus;
  host: HostFacts;
  apparmor: DefaultApparmor;
  runtimes: Runtimes;
  initPath: string;
  cdiFolders: readonly string[];
  proxies: ProxyEnvironment;
}

export function systemVersion(host: HostFacts): SystemVersion {
  const engine = {
    Version: MYDOCK_VERSION,
    ApiVersion: API_VERSION,
    MinAPIVersion: MIN_API_VERSION,
    GitCommit: '',
    // Clients print this line; the daemon is written in TypeScript.
    GoVersion: `node ${process.versions.node}`,
    Os: 'linux',
    Arch: host.architecture,
    KernelVersion: release(),
    BuildTime: buildTime(),
  };
  return {
    Platform: { Name: 'mydock' },
    Components: [
      {
        Name: 'Engine',
        Version: MYDOCK_VERSION,
        Details: {
          ApiVersion: engine.ApiVersion,
          Arch: engine.Arch,
          BuildTime: engine.BuildTime,
          Experimental: 'false',
          GitCommit: engine.GitCommit,
          GoVersion: engine.GoVersion,
          KernelVersion: engine.KernelVersion,
          MinAPIVersion: engine.MinAPIVersion,
          Os: engine.Os,
        },
      },
      { Name: 'mydock-runtime', Version: MYDOCK_VERSION, Details: { GitCommit: '' } },
    ],
    ...engine,
  };
}

/** When the program that runs was written; empty where that cannot be told. */
function buildTime(): string {
  const program = statSync(process.argv[1] ?? '', { throwIfNoEntry: false });
  return program === undefined ? '' : program.mtime.toISOString();
}

/** Other programs' rules that drop containers' traffic; none where they cannot be read. */
export async function foreignDrops(networks: NetworkManager): Promise<ForeignDrop[]> {
  try {
    return await networks.foreignDrops();
  } catch (error) {
    log.warn({ reason: errorMessage(error) }, 'info: the tables of other programs cannot be read');
    return [];
  }
}

export function systemInfo(sources: InfoSources, drops: readonly ForeignDrop[], cdi: CdiListing): SystemInfo {
  const { config, engine, images, snapshotter, host } = sources;
  const states = engine.all().map(({ record }) => record.state.status);
  const count = (wanted: string): number => states.filter((status) => status === wanted).length;
  const { cgroups } = host;
  return {
    ID: sources.id,
    Containers: states.length,
    ContainersRunning: count('running'),
    ContainersPaused: count('paused'),
    ContainersStopped: states.length - count('running') - count('paused'),
    Images: images.count(),
    Driver: snapshotter.driver,
    DriverStatus: snapshotter.status(),
    Plugins: {
      Volume: ['local'],
      Network: ['bridge', 'host', 'ipvlan', 'macvlan', 'null'],
      Authorization: null,
      Log: [...LOG_DRIVERS],
    },
    MemoryLimit: cgroups.memory,
    SwapLimit: cgroups.swap,
    CpuCfsPeriod: cgroups.cpuCfs,
    CpuCfsQuota: cgroups.cpuCfs,
    CPUShares: cgroups.cpuShares,
    CPUSet: cgroups.cpuset,
    PidsLimit: cgroups.pids,
    OomKillDisable: cgroups.oomKillDisable,
    IPv4Forwarding: host.ipv4Forwarding,
    Debug: config.logLevel === 'debug' || config.logLevel === 'trace',
    NFd: openDescriptors(),
    // Node has no goroutines; what it waits for is what comes closest.
    NGoroutines: process.getActiveResourcesInfo().length,
    SystemTime: new Date().toISOString(),
    LoggingDriver: config.logDriver,
    CgroupDriver: cgroupSettings(config).driver,
    CgroupVersion: host.cgroupVersion === 2 ? '2' : '1',
    NEventsListener: sources.events.listeners,
    KernelVersion: release(),
    ...operatingSystem(),
    OSType: 'linux',
    Architecture: host.architecture === 'arm64' ? 'aarch64' : 'x86_64',
    IndexServerAddress: 'https://index.docker.io/v1/',
    RegistryConfig: registryConfig(config),
    NCPU: host.cpus,
    MemTotal: totalmem(),
    GenericResources: null,
    DockerRootDir: config.dataRoot,
    ...shownProxies(sources.proxies),
    Name: hostname(),
    Labels: config.labels,
    ExperimentalBuild: false,
    ServerVersion: MYDOCK_VERSION,
    Runtimes: sources.runtimes.describe(),
    DefaultRuntime: sources.runtimes.defaultName,
    Swarm: {
      NodeID: '',
      NodeAddr: '',
      LocalNodeState: 'inactive',
      ControlAvailable: false,
      Error: '',
      RemoteManagers: null,
    },
    LiveRestoreEnabled: true,
    Isolation: '',
    InitBinary: sources.initPath,
    ContainerdCommit: { ID: '' },
    RuncCommit: { ID: '' },
    InitCommit: { ID: '' },
    SecurityOptions: securityOptions(host, config),
    ...addressPools(config),
    FirewallBackend: firewallBackend(sources),
    CDISpecDirs: [...sources.cdiFolders],
    DiscoveredDevices: cdi.devices.map((ID) => ({ Source: 'cdi', ID })),
    Warnings: warnings(host, drops, [...apparmorProblems(sources), ...cdi.problems]),
  };
}

/** Only where the configuration names some, as Docker. */
function addressPools({ defaultAddressPools }: DaemonConfig): Pick<SystemInfo, 'DefaultAddressPools'> {
  if (defaultAddressPools.length === 0) return {};
  return { DefaultAddressPools: defaultAddressPools.map(({ base, size }) => ({ Base: base, Size: size })) };
}

function firewallBackend({ config }: InfoSources): NonNullable<SystemInfo['FirewallBackend']> {
  const ports =
    config.firewall === 'strict'
      ? "strict (as the host's input rules allow)"
      : 'default (open to other hosts)';
  return { Driver: 'nftables', Info: [['Published Ports', ports]] };
}

function openDescriptors(): number {
  return readdirSync('/proc/self/fd').length;
}

function operatingSystem(): { OperatingSystem: string; OSVersion: string } {
  let text = '';
  try {
    text = readFileSync('/etc/os-release', 'utf8');
  } catch {
    // A host without the file is described by its kernel.
  }
  const field = (name: string): string => new RegExp(`^${name}="?([^"\\n]*)"?$`, 'm').exec(text)?.[1] ?? '';
  return { OperatingSystem: field('PRETTY_NAME') || kernelVersion(), OSVersion: field('VERSION_ID') };
}

/** Mirrors end in a slash, as Docker shows them. */
function registryConfig(config: DaemonConfig): SystemInfo['RegistryConfig'] {
  const mirrors = config.registryMirrors.map(parseMirror);
  const insecure = config.insecureRegistries.filter((name) => !name.includes('/'));
  const index = (Name: string) => ({
    Name,
    Mirrors: mirrors.filter(({ registry }) => registry === Name).map(({ baseUrl }) => `${baseUrl}/`),
    Secure: !insecure.includes(Name),
    Official: Name === DEFAULT_DOMAIN,
  });
  const names = new Set([DEFAULT_DOMAIN, ...insecure, ...mirrors.map(({ registry }) => registry)]);
  return {
    InsecureRegistryCIDRs: [
      '::1/128',
      '127.0.0.0/8',
      ...config.insecureRegistries.filter((name) => name.includes('/')),
    ],
    IndexConfigs: Object.fromEntries([...names].map((name) => [name, index(name)])),
    Mirrors: index(DEFAULT_DOMAIN).Mirrors,
  };
}

function securityOptions(
  host: HostFacts,
  { usernsRemap, seccompProfile, noNewPrivileges }: DaemonConfig,
): string[] {
  return [
    ...(host.apparmor ? ['name=apparmor'] : []),
    `name=seccomp,profile=${seccompProfile || 'builtin'}`,
    ...(usernsRemap === '' ? [] : ['name=userns']),
    ...(host.cgroupNamespaces ? ['name=cgroupns'] : []),
    ...(noNewPrivileges ? ['name=no-new-privileges'] : []),
  ];
}

function apparmorProblems({ apparmor }: InfoSources): string[] {
  // What the parser said has several lines.
  return apparmor.problem === undefined ? [] : [apparmor.problem.replaceAll('\n', ' ')];
}

function warnings(
  { cgroups, ipv4Forwarding }: HostFacts,
  drops: readonly ForeignDrop[],
  problems: readonly string[],
): string[] | null {
  const found = [
    ...(cgroups.memory ? [] : ['WARNING: No memory limit support']),
    ...(cgroups.swap ? [] : ['WARNING: No swap limit support']),
    ...(cgroups.cpuCfs ? [] : ['WARNING: No cpu cfs quota support']),
    ...(cgroups.cpuset ? [] : ['WARNING: No cpuset support']),
    ...(cgroups.pids ? [] : ['WARNING: No pids limit support']),
    ...(ipv4Forwarding ? [] : ['WARNING: IPv4 forwarding is disabled']),
    ...problems.map((problem) => `WARNING: ${problem}`),
    ...drops.map(({ table, reason }) => `WARNING: firewall table ${table}: ${reason}`),
  ];
  return found.length === 0 ? null : found;
}
