/**
 * Types of config.json, the bundle's configuration (OCI runtime-spec 1.2: config.md, config-linux.md). Field names
 * and units are the specification's. Only what exists on Linux is here; `annotations` and `hooks` are complete.
 */

export const OCI_VERSION = '1.2.0';

export interface Spec {
  ociVersion: string;
  process?: Process;
  root?: Root;
  hostname?: string;
  domainname?: string;
  /** In the order in which the runtime makes them. */
  mounts?: Mount[];
  hooks?: Hooks;
  annotations?: Record<string, string>;
  linux?: Linux;
}

/** `root.path` is absolute, or relative to the bundle. */
export interface Root {
  path: string;
  readonly?: boolean;
}

export interface Process {
  terminal?: boolean;
  /** Characters; without it the terminal keeps the kernel's 0 by 0. */
  consoleSize?: { height: number; width: number };
  user: User;
  /** At least one; the first is looked up in `env`'s PATH where it has no slash. */
  args: string[];
  /** `NAME=value`. */
  env?: string[];
  /** Absolute, inside the root. */
  cwd: string;
  capabilities?: Capabilities;
  rlimits?: Rlimit[];
  noNewPrivileges?: boolean;
  apparmorProfile?: string;
  selinuxLabel?: string;
  /** -1000 to 1000; without it the value of the runtime is inherited. */
  oomScoreAdj?: number;
  scheduler?: { policy: string; nice?: number; priority?: number; flags?: string[] };
  ioPriority?: { class: 'IOPRIO_CLASS_RT' | 'IOPRIO_CLASS_BE' | 'IOPRIO_CLASS_IDLE'; priority: number };
  execCPUAffinity?: { initial?: string; final?: string };
}

export interface User {
  uid: number;
  gid: number;
  /** File mode creation mask; without it the runtime's default (0022) stands. */
  umask?: number;
  additionalGids?: number[];
}

/** Names with the `CAP_` prefix. */
export interface Capabilities {
  bounding?: string[];
  effective?: string[];
  inheritable?: string[];
  permitted?: string[];
  ambient?: string[];
}

/** `type` is `RLIMIT_NOFILE` and the like; 2^64-1 (infinity) does not fit a double and is written as -1. */
export interface Rlimit {
  type: string;
  soft: number;
  hard: number;
}

export interface Mount {
  /** Absolute, inside the root; created where it is missing. */
  destination: string;
  type?: string;
  source?: string;
  /** mount(8)'s option words; unknown ones become the file system's data. */
  options?: string[];
  uidMappings?: IdMapping[];
  gidMappings?: IdMapping[];
}

export interface Hook {
  path: string;
  args?: string[];
  env?: string[];
  /** Seconds. */
  timeout?: number;
}

export interface Hooks {
  prestart?: Hook[];
  createRuntime?: Hook[];
  createContainer?: Hook[];
  startContainer?: Hook[];
  poststart?: Hook[];
  poststop?: Hook[];
}

export interface Linux {
  namespaces?: LinuxNamespace[];
  uidMappings?: IdMapping[];
  gidMappings?: IdMapping[];
  devices?: LinuxDevice[];
  /** `/a/b` below each controller's root on cgroupfs, `slice:prefix:name` for systemd. */
  cgroupsPath?: string;
  resources?: LinuxResources;
  sysctl?: Record<string, string>;
  /** `private`, `shared`, `slave`, `unbindable` and their recursive forms. */
  rootfsPropagation?: string;
  seccomp?: Seccomp;
  maskedPaths?: string[];
  readonlyPaths?: string[];
  mountLabel?: string;
  personality?: { domain: 'LINUX' | 'LINUX32'; flags?: string[] };
}

export type NamespaceType = 'pid' | 'network' | 'mount' | 'ipc' | 'uts' | 'user' | 'cgroup' | 'time';

/** With `path` the namespace is joined, without it a new one is made; one that is not listed is the runtime's. */
export interface LinuxNamespace {
  type: NamespaceType;
  path?: string;
}

export interface IdMapping {
  containerID: number;
  hostID: number;
  size: number;
}

export interface LinuxDevice {
  /** Absolute, inside the root. */
  path: string;
  type: 'b' | 'c' | 'u' | 'p';
  major: number;
  minor: number;
  /** Permission bits, as a number (0o666 is 438). */
  fileMode?: number;
  uid?: number;
  gid?: number;
}

/** A rule of the device cgroup. Without `major` or `minor` it matches all. Later rules win. */
export interface LinuxDeviceRule {
  allow: boolean;
  type?: 'a' | 'b' | 'c';
  major?: number;
  minor?: number;
  /** Of `r`, `w`, `m`. */
  access?: string;
}

export interface LinuxResources {
  devices?: LinuxDeviceRule[];
  memory?: LinuxMemory;
  cpu?: LinuxCpu;
  pids?: { limit: number };
  blockIO?: LinuxBlockIO;
  hugepageLimits?: { pageSize: string; limit: number }[];
  network?: { classID?: number; priorities?: { name: string; priority: number }[] };
  rdma?: Record<string, { hcaHandles?: number; hcaObjects?: number }>;
  /** cgroup v2 files and their values, as they are. */
  unified?: Record<string, string>;
}

/** Bytes; -1 is no limit. `swap` is memory plus swap. */
export interface LinuxMemory {
  limit?: number;
  reservation?: number;
  swap?: number;
  kernel?: number;
  kernelTCP?: number;
  /** 0 to 100. */
  swappiness?: number;
  disableOOMKiller?: boolean;
  useHierarchy?: boolean;
  checkBeforeUpdate?: boolean;
}

/** Microseconds; `quota` -1 is no limit. */
export interface LinuxCpu {
  /** 2 to 262144, 1024 is the default. */
  shares?: number;
  quota?: number;
  burst?: number;
  period?: number;
  realtimeRuntime?: number;
  realtimePeriod?: number;
  /** Lists as in cpuset(7): `0-2,7`. */
  cpus?: string;
  mems?: string;
  /** 1 is SCHED_IDLE for the whole group. */
  idle?: number;
}

export interface LinuxThrottleDevice {
  major: number;
  minor: number;
  /** Bytes or operations a second. */
  rate: number;
}

export interface LinuxBlockIO {
  /** 10 to 1000. */
  weight?: number;
  leafWeight?: number;
  weightDevice?: { major: number; minor: number; weight?: number; leafWeight?: number }[];
  throttleReadBpsDevice?: LinuxThrottleDevice[];
  throttleWriteBpsDevice?: LinuxThrottleDevice[];
  throttleReadIOPSDevice?: LinuxThrottleDevice[];
  throttleWriteIOPSDevice?: LinuxThrottleDevice[];
}

export type SeccompAction =
  | 'SCMP_ACT_KILL'
  | 'SCMP_ACT_KILL_THREAD'
  | 'SCMP_ACT_KILL_PROCESS'
  | 'SCMP_ACT_TRAP'
  | 'SCMP_ACT_ERRNO'
  | 'SCMP_ACT_TRACE'
  | 'SCMP_ACT_ALLOW'
  | 'SCMP_ACT_LOG'
  | 'SCMP_ACT_NOTIFY';

export type SeccompOperator =
  | 'SCMP_CMP_NE'
  | 'SCMP_CMP_LT'
  | 'SCMP_CMP_LE'
  | 'SCMP_CMP_EQ'
  | 'SCMP_CMP_GE'
  | 'SCMP_CMP_GT'
  | 'SCMP_CMP_MASKED_EQ';

/** A whole number that a double does not hold; JSON.stringify writes its digits. Made by JSON.rawJSON. */
export interface RawNumber {
  readonly rawJSON: string;
}

export interface SeccompArgument {
  /** 0 to 5. */
  index: number;
  /** 0 to 2^64 - 1. */
  value: number | RawNumber;
  /** The right side of SCMP_CMP_MASKED_EQ, whose `value` is the mask. */
  valueTwo?: number | RawNumber;
  op: SeccompOperator;
}

export interface SeccompSyscall {
  names: string[];
  action: SeccompAction;
  /** For ERRNO and TRACE; EPERM without it. */
  errnoRet?: number;
  /** All must hold. */
  args?: SeccompArgument[];
}

export interface Seccomp {
  defaultAction: SeccompAction;
  defaultErrnoRet?: number;
  /** `SCMP_ARCH_X86_64` and the like. */
  architectures?: string[];
  flags?: string[];
  listenerPath?: string;
  listenerMetadata?: string;
  syscalls?: SeccompSyscall[];
}
