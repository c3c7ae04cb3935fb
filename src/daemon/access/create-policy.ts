/**
 * What a container may be on a scoped socket: nothing that its host does not give every container. Every field of a
 * request has a rule here, and one without is refused, so that a new field of the API is closed until it was thought
 * about. The same rules say of a container that is there whether a socket's client may act inside it.
 */
import type { ContainerConfig } from '../../api/containers.ts';
import type { HostConfig } from '../../api/host-config.ts';
import { DEFAULT_CAPABILITIES } from '../../oci/capabilities.ts';
import { MASKED_PATHS, READONLY_PATHS } from '../../oci/mounts.ts';
import { portExcess } from './published-ports.ts';

/** What is wrong with a value; undefined where nothing is. */
type Rule = (value: unknown) => string | undefined;

const any: Rule = () => undefined;
const refuse =
  (what: string): Rule =>
  (value) =>
    isZero(value) ? undefined : what;
const oneOf =
  (what: string, ...values: string[]): Rule =>
  (value) =>
    isZero(value) || values.includes(String(value)) ? undefined : `${what} "${String(value)}"`;
const each =
  (judge: (item: string) => string | undefined): Rule =>
  (value) =>
    texts(value)
      .map(judge)
      .find((found) => found !== undefined);

const ULIMITS = new Set([
  ...['as', 'core', 'cpu', 'data', 'fsize', 'locks', 'memlock', 'msgqueue', 'nofile', 'nproc', 'rss'],
  ...['sigpending', 'stack'],
]);

/** Fields of HostConfig. References to containers, networks and images are judged where they are resolved. */
const HOST_CONFIG_RULES: Record<keyof HostConfig, Rule> = {
  Binds: any,
  Mounts: any,
  VolumesFrom: any,
  VolumeDriver: oneOf('volume driver', 'local'),
  ContainerIDFile: any,
  LogConfig: logConfig,
  NetworkMode: (value) => (value === 'host' ? "the host's network (--network host)" : undefined),
  PortBindings: publishedPorts,
  PublishAllPorts: any,
  RestartPolicy: any,
  AutoRemove: any,
  ConsoleSize: any,
  Annotations: refuse('an annotation'),
  CapAdd: each((name) => {
    const full = `CAP_${name.toUpperCase().replace(/^CAP_/, '')}`;
    return DEFAULT_CAPABILITIES.includes(full) ? undefined : `capability ${name}`;
  }),
  CapDrop: any,
  CgroupnsMode: oneOf('cgroup namespace', 'private'),
  Dns: any,
  DnsOptions: any,
  DnsSearch: any,
  ExtraHosts: any,
  GroupAdd: any,
  IpcMode: (value) => (value === 'host' ? "the host's IPC namespace (--ipc host)" : undefined),
  Cgroup: refuse("another container's cgroup"),
  Links: any,
  OomScoreAdj: (value) => (Number(value ?? 0) < 0 ? `an OOM score of ${String(value)}` : undefined),
  PidMode: (value) => (value === 'host' ? "the host's PID namespace (--pid host)" : undefined),
  Privileged: refuse('--privileged'),
  ReadonlyRootfs: any,
  SecurityOpt: each((option) =>
    /^(no-new-privileges([=:](1|t|true))?|seccomp=builtin|mask=\/.*)$/i.test(option)
      ? undefined
      : `security option "${option.slice(0, 80)}"`,
  ),
  StorageOpt: (value) =>
    Object.keys(Object(value ?? {})).every((key) => key === 'size') ? undefined : 'a storage option',
  Tmpfs: any,
  UTSMode: refuse("the host's UTS namespace (--uts host)"),
  UsernsMode: oneOf('user namespace mode', 'auto'),
  ShmSize: any,
  // Those that the kernel does not keep apart are refused everywhere (oci/sysctls.ts).
  Sysctls: any,
  // Which is the default is the engine's to say (VisibleObjects.requireDefaultRuntime).
  Runtime: any,
  Isolation: oneOf('isolation', 'default'),
  // Clients that make a container anew send what inspect has told them: the default's paths.
  MaskedPaths: atLeast(MASKED_PATHS, 'a list of masked paths'),
  ReadonlyPaths: atLeast(READONLY_PATHS, 'a list of read-only paths'),
  Init: any,
  CpuShares: any,
  Memory: any,
  NanoCpus: any,
  CgroupParent: refuse('a cgroup parent'),
  BlkioWeight: any,
  BlkioWeightDevice: refuse('a weight of a device'),
  BlkioDeviceReadBps: refuse('a limit of a device'),
  BlkioDeviceWriteBps: refuse('a limit of a device'),
  BlkioDeviceReadIOps: refuse('a limit of a device'),
  BlkioDeviceWriteIOps: refuse('a limit of a device'),
  CpuPeriod: any,
  CpuQuota: any,
  CpuRealtimePeriod: refuse('real-time scheduling'),
  CpuRealtimeRuntime: refuse('real-time scheduling'),
  CpusetCpus: any,
  CpusetMems: any,
  Devices: refuse('a device'),
  DeviceCgroupRules: refuse('a device rule'),
  DeviceRequests: refuse('a device request'),
  KernelMemory: any,
  KernelMemoryTCP: any,
  MemoryReservation: any,
  MemorySwap: any,
  MemorySwappiness: any,
  OomKillDisable: refuse('--oom-kill-disable'),
  PidsLimit: any,
  Ulimits: (value) =>
    (Array.isArray(value) ? value : [])
      .map((limit) => String(Object(limit).Name))
      .filter((name) => !ULIMITS.has(name))
      .map((name) => `ulimit ${name}`)[0],
  CpuCount: any,
  CpuPercent: any,
  IOMaximumIOps: any,
  IOMaximumBandwidth: any,
};

const CONFIG_FIELDS: ReadonlySet<string> = new Set<keyof ContainerConfig>([
  ...(['Hostname', 'Domainname', 'User', 'AttachStdin', 'AttachStdout', 'AttachStderr'] as const),
  ...(['ExposedPorts', 'Tty', 'OpenStdin', 'StdinOnce', 'Env', 'Cmd', 'Healthcheck', 'ArgsEscaped'] as const),
  ...(['Image', 'Volumes', 'WorkingDir', 'Entrypoint', 'NetworkDisabled', 'MacAddress', 'OnBuild'] as const),
  ...(['Labels', 'StopSignal', 'StopTimeout', 'Shell'] as const),
]);

/** The first thing of a HostConfig that a scoped socket does not give; undefined where there is none. */
export function excessOfHostConfig(hostConfig: HostConfig): string | undefined {
  for (const [field, value] of Object.entries(hostConfig)) {
    const rule = Object.hasOwn(HOST_CONFIG_RULES, field)
      ? HOST_CONFIG_RULES[field as keyof HostConfig]
      : unknownField(`HostConfig.${field}`);
    const excess = rule(value);
    if (excess !== undefined) return excess;
  }
  return undefined;
}

/** Say nothing of what a process inside the container can do to the host. */
const NOT_INSIDE: ReadonlySet<string> = new Set<keyof HostConfig>([
  ...(['Annotations', 'CgroupParent', 'LogConfig', 'OomKillDisable', 'OomScoreAdj', 'PortBindings'] as const),
  ...(['BlkioDeviceReadBps', 'BlkioDeviceWriteBps', 'BlkioDeviceReadIOps', 'BlkioDeviceWriteIOps'] as const),
  ...(['BlkioWeightDevice', 'Runtime', 'StorageOpt'] as const),
]);

/** The same of a container that is there, for whoever wants to act inside it. */
export function excessInside(hostConfig: HostConfig): string | undefined {
  return excessOfHostConfig(
    Object.fromEntries(Object.entries(hostConfig).filter(([field]) => !NOT_INSIDE.has(field))),
  );
}

/** A field of a container's configuration that has no rule; undefined where all have. */
export function excessOfConfig(config: ContainerConfig): string | undefined {
  return unknownFieldOf(config, CONFIG_FIELDS, '');
}

/** A field that is not among `known` and not null. */
export function unknownFieldOf(body: object, known: ReadonlySet<string>, where: string): string | undefined {
  return Object.entries(body)
    .filter(([field]) => !known.has(field))
    .map(([field, value]) => unknownField(`${where}${field}`)(value))
    .find((found) => found !== undefined);
}

function unknownField(field: string): Rule {
  return (value) => (value === null || value === undefined ? undefined : `the field ${field.slice(0, 80)}`);
}

/** A list that leaves nothing of `paths` out. */
function atLeast(paths: readonly string[], what: string): Rule {
  return (value) => (Array.isArray(value) && paths.some((path) => !value.includes(path)) ? what : undefined);
}

/** What Go clients send for a field that was not set. */
function isZero(value: unknown): boolean {
  if (value === undefined || value === null || value === '' || value === 0 || value === false) return true;
  return typeof value === 'object' && Object.keys(value).length === 0;
}

function texts(value: unknown): string[] {
  return Array.isArray(value) ? value.map(String) : [];
}

/** Others write to places that the client names: sockets, servers, the host's journal. */
function logConfig(value: unknown): string | undefined {
  const { Type: type, Config: options } = Object(value ?? {});
  if (!['', 'json-file', 'local', 'none'].includes(String(type ?? ''))) return `log driver "${type}"`;
  // Without a driver they are for the daemon's own choice, which may be syslog.
  const foreign = Object.keys(Object(options ?? {})).find((name) => name.startsWith('syslog-'));
  return foreign === undefined ? undefined : `log option ${foreign}`;
}

function publishedPorts(value: unknown): string | undefined {
  for (const bindings of Object.values(Object(value ?? {}))) {
    for (const binding of Array.isArray(bindings) ? bindings : []) {
      const excess = portExcess(String(Object(binding ?? {}).HostPort ?? ''));
      if (excess !== undefined) return excess;
    }
  }
  return undefined;
}
