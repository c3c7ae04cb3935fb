/** What the daemon says about itself: version, info, ping headers, disk usage, events. */
import type { ContainerSummary } from './containers.ts';
import type { ImageSummary } from './images.ts';
import type { Volume } from './volumes.ts';

/** Headers of `GET /_ping` and `HEAD /_ping`. */
export const PING_HEADERS = {
  apiVersion: 'Api-Version',
  osType: 'Ostype',
  experimental: 'Docker-Experimental',
  builderVersion: 'Builder-Version',
  swarm: 'Swarm',
} as const;

export interface VersionComponent {
  Name: string;
  Version: string;
  Details?: Record<string, string>;
}

/** `GET /version`; the second block repeats the first component for old clients. */
export interface SystemVersion {
  Platform: { Name: string };
  Components: VersionComponent[];

  Version: string;
  ApiVersion: string;
  MinAPIVersion: string;
  GitCommit: string;
  GoVersion: string;
  Os: string;
  Arch: string;
  KernelVersion: string;
  Experimental?: boolean;
  BuildTime: string;
}

export interface PluginsInfo {
  Volume: string[];
  Network: string[];
  Authorization: string[] | null;
  Log: string[];
}

export interface IndexInfo {
  Name: string;
  Mirrors: string[];
  Secure: boolean;
  Official: boolean;
}

export interface RegistryServiceConfig {
  InsecureRegistryCIDRs: string[];
  IndexConfigs: Record<string, IndexInfo>;
  Mirrors: string[] | null;
}

export interface RuntimeInfo {
  path?: string;
  runtimeArgs?: string[];
  status?: Record<string, string>;
}

export interface Commit {
  ID: string;
}

export interface SwarmInfo {
  NodeID: string;
  NodeAddr: string;
  LocalNodeState: '' | 'inactive' | 'pending' | 'active' | 'error' | 'locked';
  ControlAvailable: boolean;
  Error: string;
  RemoteManagers: null;
}

/** `GET /info`. */
export interface SystemInfo {
  ID: string;
  Containers: number;
  ContainersRunning: number;
  ContainersPaused: number;
  ContainersStopped: number;
  Images: number;
  Driver: string;
  DriverStatus: [string, string][];
  SystemStatus?: [string, string][];
  Plugins: PluginsInfo;
  MemoryLimit: boolean;
  SwapLimit: boolean;
  CpuCfsPeriod: boolean;
  CpuCfsQuota: boolean;
  CPUShares: boolean;
  CPUSet: boolean;
  PidsLimit: boolean;
  OomKillDisable: boolean;
  IPv4Forwarding: boolean;
  /** Left out from API 1.50 on; older clients warn where they are false. */
  BridgeNfIptables?: boolean;
  BridgeNfIp6tables?: boolean;
  Debug: boolean;
  NFd: number;
  NGoroutines: number;
  SystemTime: string;
  LoggingDriver: string;
  CgroupDriver: 'cgroupfs' | 'systemd' | 'none';
  CgroupVersion?: '1' | '2';
  NEventsListener: number;
  KernelVersion: string;
  OperatingSystem: string;
  OSVersion: string;
  OSType: string;
  Architecture: string;
  IndexServerAddress: string;
  RegistryConfig: RegistryServiceConfig | null;
  NCPU: number;
  MemTotal: number;
  GenericResources: null;
  DockerRootDir: string;
  HttpProxy: string;
  HttpsProxy: string;
  NoProxy: string;
  Name: string;
  Labels: string[] | null;
  ExperimentalBuild: boolean;
  ServerVersion: string;
  Runtimes: Record<string, RuntimeInfo>;
  DefaultRuntime: string;
  Swarm: SwarmInfo;
  LiveRestoreEnabled: boolean;
  Isolation: string;
  InitBinary: string;
  ContainerdCommit: Commit;
  RuncCommit: Commit;
  InitCommit: Commit;
  /** `name=seccomp,profile=builtin`. */
  SecurityOptions: string[];
  ProductLicense?: string;
  DefaultAddressPools?: { Base: string; Size: number }[];
  FirewallBackend?: { Driver: string; Info?: [string, string][] };
  CDISpecDirs: string[] | null;
  DiscoveredDevices?: { Source: string; ID: string }[];
  Warnings: string[] | null;
}

/** One entry of the build cache. */
export interface BuildCacheRecord {
  ID: string;
  Parents?: string[];
  Type: string;
  Description?: string;
  InUse: boolean;
  Shared: boolean;
  Size: number;
  CreatedAt: string;
  LastUsedAt: string | null;
  UsageCount: number;
}

/** `GET /system/df`. `SizeRw` of the containers includes their logs. */
export interface DiskUsage {
  LayersSize: number;
  Images: ImageSummary[];
  Containers: ContainerSummary[];
  Volumes: Volume[];
  BuildCache: BuildCacheRecord[];
}

export interface EventActor {
  ID: string;
  Attributes: Record<string, string>;
}

export type EventType =
  | 'builder'
  | 'config'
  | 'container'
  | 'daemon'
  | 'image'
  | 'network'
  | 'node'
  | 'plugin'
  | 'secret'
  | 'service'
  | 'volume';

/** One line of `GET /events`; the first block is for clients older than API 1.22 and for container and image events. */
export interface EventMessage {
  status?: string;
  id?: string;
  from?: string;

  Type: EventType;
  Action: string;
  Actor: EventActor;
  scope: 'local' | 'swarm';
  /** Unix seconds, and the same in nanoseconds (beyond exact integers of a double: written by hand as digits). */
  time: number;
  timeNano: number;
}

/** How many of each a system check looked at. */
export interface SystemCheckSummary {
  Images: number;
  Layers: number;
  Blobs: number;
  Containers: number;
  Volumes: number;
}

export interface SystemCheckFinding {
  Object: string;
  Problem: string;
  /** What a repair does, or what is left to the user. */
  Remedy: string;
  Repaired: boolean;
}

/** One line of `POST /system/check` (mydock's own); exactly one is set, and `Checked` or `error` is the last. */
export interface SystemCheckMessage {
  Finding?: SystemCheckFinding;
  Checked?: SystemCheckSummary;
  error?: string;
}
