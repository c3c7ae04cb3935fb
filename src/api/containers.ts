/** Containers: configuration, create, inspect, list, wait, and the small answers of the other verbs. */
import type { HostConfig } from './host-config.ts';
import type { OCIDescriptor } from './images.ts';
import type { MountPoint } from './mounts.ts';
import type { EndpointSettings, NetworkingConfig, NetworkSettings } from './networks.ts';

/** Durations in nanoseconds, 0 for the default. `Test` is `[]` (inherit), `['NONE']`, `['CMD', …]`, `['CMD-SHELL', …]`. */
export interface HealthConfig {
  Test?: string[] | null;
  Interval?: number;
  Timeout?: number;
  StartPeriod?: number;
  StartInterval?: number;
  Retries?: number;
}

/** A container with this label set to `true` is restarted when it turns unhealthy. Docker has nothing like it. */
export const RESTART_UNHEALTHY_LABEL = 'mydock.restart-unhealthy';

/** What runs in a container, portable between hosts. Requests may leave out any field. */
export interface ContainerConfig {
  Hostname?: string;
  Domainname?: string;
  User?: string;
  AttachStdin?: boolean;
  AttachStdout?: boolean;
  AttachStderr?: boolean;
  /** Keys are `80/tcp`. */
  ExposedPorts?: Record<string, Record<string, never>> | null;
  Tty?: boolean;
  OpenStdin?: boolean;
  StdinOnce?: boolean;
  /** `NAME=value`; in a create request a bare `NAME` removes the image's variable. */
  Env?: string[] | null;
  Cmd?: string[] | null;
  Healthcheck?: HealthConfig | null;
  ArgsEscaped?: boolean;
  Image?: string;
  Volumes?: Record<string, Record<string, never>> | null;
  WorkingDir?: string;
  Entrypoint?: string[] | null;
  NetworkDisabled?: boolean;
  MacAddress?: string;
  OnBuild?: string[] | null;
  Labels?: Record<string, string> | null;
  StopSignal?: string;
  /** Seconds. */
  StopTimeout?: number | null;
  Shell?: string[] | null;
}

/** Body of `POST /containers/create`. Old clients may send `Cmd` and `Entrypoint` as one string. */
export interface ContainerCreateRequest extends ContainerConfig {
  HostConfig?: HostConfig | null;
  NetworkingConfig?: NetworkingConfig | null;
}

export interface ContainerCreateResponse {
  Id: string;
  Warnings: string[];
}

export type ContainerStatus =
  | 'created'
  | 'running'
  | 'paused'
  | 'restarting'
  | 'removing'
  | 'exited'
  | 'dead';

export interface HealthcheckResult {
  Start: string;
  End: string;
  ExitCode: number;
  Output: string;
}

export interface Health {
  Status: 'none' | 'starting' | 'healthy' | 'unhealthy';
  FailingStreak: number;
  Log: HealthcheckResult[] | null;
}

/** Times are RFC 3339 with nanoseconds; `0001-01-01T00:00:00Z` stands for never. */
export interface ContainerState {
  Status: ContainerStatus;
  Running: boolean;
  Paused: boolean;
  Restarting: boolean;
  OOMKilled: boolean;
  Dead: boolean;
  /** 0 when not running. */
  Pid: number;
  ExitCode: number;
  Error: string;
  StartedAt: string;
  FinishedAt: string;
  Health?: Health;
}

export interface GraphDriverData {
  Data: Record<string, string> | null;
  Name: string;
}

/** `GET /containers/{id}/json`. The two sizes are there only with `?size=1`. */
export interface ContainerInspectResponse {
  Id: string;
  Created: string;
  Path: string;
  Args: string[];
  State: ContainerState;
  /** Image ID, `sha256:…`. */
  Image: string;
  ResolvConfPath: string;
  HostnamePath: string;
  HostsPath: string;
  LogPath: string;
  /** With a leading slash. */
  Name: string;
  RestartCount: number;
  Driver: string;
  Platform: string;
  ImageManifestDescriptor?: OCIDescriptor;
  MountLabel: string;
  ProcessLabel: string;
  AppArmorProfile: string;
  ExecIDs: string[] | null;
  HostConfig: HostConfig;
  GraphDriver: GraphDriverData;
  SizeRw?: number;
  SizeRootFs?: number;
  Mounts: MountPoint[];
  Config: ContainerConfig;
  NetworkSettings: NetworkSettings;
  /** Not Docker's, while the container runs: which of its published ports other hosts can reach. */
  OpenPorts?: OpenPort[];
  /** Not Docker's, where the container or one of its networks restricts what it may reach. */
  Egress?: EgressState;
}

/** A published port that other hosts can reach, as far as this host decides. */
export interface OpenPort {
  HostIp: string;
  HostPort: number;
  ContainerPort: number;
  Type: 'tcp' | 'udp' | 'sctp';
  /** Only as far as the host's own input rules let packets in (`--firewall strict`); what they say is not known here. */
  HostRules?: true;
}

/** What may leave a container, and what was refused since it started. */
export interface EgressState {
  /** Names, addresses and subnets; empty for nothing. */
  Allowed: string[];
  BlockedPackets: number;
  /** Newest first. */
  Recent: { Time: string; Destination: string }[];
}

/** A port of a listed container; `PublicPort` and `IP` only where it is published. */
export interface Port {
  IP?: string;
  PrivatePort: number;
  PublicPort?: number;
  Type: 'tcp' | 'udp' | 'sctp';
}

/** One entry of `GET /containers/json`. The two sizes are there only with `?size=1`. */
export interface ContainerSummary {
  Id: string;
  /** With a leading slash each. */
  Names: string[];
  Image: string;
  ImageID: string;
  ImageManifestDescriptor?: OCIDescriptor;
  Command: string;
  /** Unix seconds. */
  Created: number;
  Ports: Port[];
  SizeRw?: number;
  SizeRootFs?: number;
  Labels: Record<string, string>;
  State: ContainerStatus;
  /** For people: `Up 3 seconds`, `Exited (0) 2 minutes ago`. */
  Status: string;
  HostConfig: { NetworkMode: string; Annotations?: Record<string, string> };
  NetworkSettings: { Networks: Record<string, EndpointSettings> };
  Mounts: MountPoint[];
  /** Not Docker's: as in inspect. */
  OpenPorts?: OpenPort[];
}

export type WaitCondition = 'not-running' | 'next-exit' | 'removed';

/** The headers of a wait are sent at once, this body when the condition is met. */
export interface ContainerWaitResponse {
  StatusCode: number;
  Error?: { Message: string } | null;
}

/** Not Docker's: the part of `POST /containers/{id}/update` that changes published ports, of running containers too. */
export interface PublishedPortsUpdate {
  /** As `-p` takes them. */
  PublishAdd?: string[] | null;
  /** Host port with protocol (`8080`, `53/udp`), or `[ip:]hostPort:containerPort[/protocol]`. */
  PublishRemove?: string[] | null;
}

export interface ContainerUpdateResponse {
  Warnings: string[] | null;
}

export interface ContainerTopResponse {
  Titles: string[];
  Processes: string[][];
}

/** `Kind`: 0 modified, 1 added, 2 deleted. */
export interface FilesystemChange {
  Path: string;
  Kind: 0 | 1 | 2;
}

export interface ContainerPruneResponse {
  ContainersDeleted: string[] | null;
  SpaceReclaimed: number;
}

/** `X-Docker-Container-Path-Stat`: this as JSON in base64. `mode` has Go's os.FileMode bits. */
export interface ContainerPathStat {
  name: string;
  size: number;
  mode: number;
  mtime: string;
  /** Of a symbolic link: where it leads, absolute inside the container; else empty. */
  linkTarget: string;
}
