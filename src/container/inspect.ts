/** A container as the Engine API shows it: inspect, and one line of the list. */
import type {
  ContainerInspectResponse,
  ContainerSummary,
  ContainerState as WireState,
} from '../api/containers.ts';
import type { HostConfig } from '../api/host-config.ts';
import { apparmorProfileOf } from '../oci/generate.ts';
import { MASKED_PATHS, READONLY_PATHS } from '../oci/mounts.ts';
import { describeMounts } from '../volume/mount-points.ts';
import type { Container } from './container.ts';
import type { EngineContext } from './engine-context.ts';
import { endpointsOf, listedPorts, networkSettings, openPorts } from './inspect-network.ts';
import { describeLinks } from './links.ts';
import { containerPaths } from './paths.ts';
import { endOf, isLive } from './state.ts';
import { statusText } from './status-text.ts';

export function inspectContainer(engine: EngineContext, container: Container): ContainerInspectResponse {
  const { record } = container;
  const paths = containerPaths(engine.settings.dataRoot, engine.settings.execRoot, container.id);
  const { Type: logDriver = 'json-file' } = record.hostConfig.LogConfig ?? {};
  const [path = '', ...args] = [...(record.config.Entrypoint ?? []), ...(record.config.Cmd ?? [])];
  const execs = [...container.execs.keys()];
  return {
    Id: record.id,
    Created: record.createdAt,
    Path: path,
    Args: args,
    State: wireState(container),
    Image: record.imageId,
    ResolvConfPath: paths.resolvConf,
    HostnamePath: paths.hostname,
    HostsPath: paths.hosts,
    LogPath: logDriver === 'json-file' ? paths.log : '',
    Name: `/${record.name}`,
    RestartCount: record.restartCount,
    Driver: engine.snapshotter.driver,
    Platform: 'linux',
    MountLabel: '',
    ProcessLabel: '',
    AppArmorProfile: apparmorProfile(engine, container),
    ExecIDs: execs.length === 0 ? null : execs,
    HostConfig: { ...completeHostConfig(record.hostConfig), Links: describeLinks(engine, container) },
    GraphDriver: {
      Name: engine.snapshotter.driver,
      Data: { UpperDir: paths.upper, WorkDir: paths.work, MergedDir: paths.rootfs },
    },
    Mounts: describeMounts(record.mounts, record.hostConfig, engine.volumes),
    Config: completeConfig(container),
    NetworkSettings: networkSettings(engine, container),
    ...openPorts(engine, container),
  };
}

/** Of a run, what it began with; else what the next one would get. */
function apparmorProfile({ host, apparmor }: EngineContext, { record }: Container): string {
  if (isLive(record.state)) return record.apparmorProfile ?? '';
  return apparmorProfileOf(record.hostConfig, host, apparmor.profile) ?? '';
}

/** One entry of the list. Never throws: a list does not fail for one container. */
export function summarize(
  engine: EngineContext,
  container: Container,
  facts: { nowMs: number; linkNames: readonly string[] },
): ContainerSummary {
  const { record } = container;
  return {
    Id: record.id,
    Names: [`/${record.name}`, ...facts.linkNames],
    Image: record.image,
    ImageID: record.imageId,
    Command: commandText([...(record.config.Entrypoint ?? []), ...(record.config.Cmd ?? [])]),
    Created: Math.floor(Date.parse(record.createdAt) / 1000),
    Ports: listedPorts(container),
    Labels: record.config.Labels ?? {},
    State: record.state.status,
    Status: statusText(record.state, facts.nowMs, record.health),
    HostConfig: { NetworkMode: record.hostConfig.NetworkMode ?? '' },
    NetworkSettings: { Networks: endpointsOf(engine, container) },
    Mounts: describeMounts(record.mounts, record.hostConfig, engine.volumes),
    ...openPorts(engine, container),
  };
}

/** Arguments with blanks are quoted, as Docker shows them. */
function commandText([path = '', ...args]: string[]): string {
  return [path, ...args.map((arg) => (arg.includes(' ') ? `'${arg}'` : arg))].join(' ');
}

function wireState(container: Container): WireState {
  const state = container.record.state;
  const end = endOf(state);
  const running = isLive(state);
  return {
    Status: state.status,
    // A container between two runs counts as running, as with Docker.
    Running: running || state.status === 'restarting',
    Paused: state.status === 'paused',
    Restarting: state.status === 'restarting',
    OOMKilled: running ? container.oomKilled : end.oomKilled,
    Dead: false,
    Pid: running ? state.pid : 0,
    ExitCode: running ? 0 : end.exitCode,
    Error: running ? '' : end.error,
    StartedAt: running ? state.startedAt : end.startedAt,
    FinishedAt: end.finishedAt,
    ...(container.record.health === undefined ? {} : { Health: container.record.health }),
  };
}

function completeConfig({ record: { config, image } }: Container): ContainerInspectResponse['Config'] {
  const ports = config.ExposedPorts ?? {};
  const volumes = config.Volumes ?? {};
  return {
    ...config,
    Hostname: config.Hostname ?? '',
    Domainname: config.Domainname ?? '',
    User: config.User ?? '',
    AttachStdin: config.AttachStdin ?? false,
    AttachStdout: config.AttachStdout ?? false,
    AttachStderr: config.AttachStderr ?? false,
    ...(Object.keys(ports).length === 0 ? { ExposedPorts: undefined } : { ExposedPorts: ports }),
    Tty: config.Tty ?? false,
    OpenStdin: config.OpenStdin ?? false,
    StdinOnce: config.StdinOnce ?? false,
    Env: config.Env ?? [],
    Cmd: config.Cmd ?? null,
    Image: image,
    Volumes: Object.keys(volumes).length === 0 ? null : volumes,
    WorkingDir: config.WorkingDir ?? '',
    Entrypoint: config.Entrypoint ?? null,
    OnBuild: config.OnBuild ?? null,
    Labels: config.Labels ?? {},
    StopSignal: config.StopSignal || undefined,
  } as ContainerInspectResponse['Config'];
}

/** Every field with the type that Docker gives it: null for lists that nobody set, zero for numbers. */
function completeHostConfig(host: HostConfig): HostConfig {
  const privileged = host.Privileged === true;
  return {
    Binds: null,
    ContainerIDFile: '',
    PortBindings: {},
    AutoRemove: false,
    VolumeDriver: '',
    VolumesFrom: null,
    ConsoleSize: [0, 0],
    CapAdd: null,
    CapDrop: null,
    Dns: [],
    DnsOptions: [],
    DnsSearch: [],
    ExtraHosts: null,
    GroupAdd: null,
    Cgroup: '',
    Links: null,
    OomScoreAdj: 0,
    PidMode: '',
    Privileged: false,
    PublishAllPorts: false,
    ReadonlyRootfs: false,
    SecurityOpt: null,
    UTSMode: '',
    UsernsMode: '',
    Isolation: '',
    CpuShares: 0,
    Memory: 0,
    NanoCpus: 0,
    CgroupParent: '',
    BlkioWeight: 0,
    BlkioWeightDevice: [],
    BlkioDeviceReadBps: [],
    BlkioDeviceWriteBps: [],
    BlkioDeviceReadIOps: [],
    BlkioDeviceWriteIOps: [],
    CpuPeriod: 0,
    CpuQuota: 0,
    CpuRealtimePeriod: 0,
    CpuRealtimeRuntime: 0,
    CpusetCpus: '',
    CpusetMems: '',
    Devices: [],
    DeviceCgroupRules: null,
    DeviceRequests: null,
    MemoryReservation: 0,
    MemorySwap: 0,
    MemorySwappiness: null,
    OomKillDisable: null,
    PidsLimit: null,
    Ulimits: [],
    CpuCount: 0,
    CpuPercent: 0,
    IOMaximumIOps: 0,
    IOMaximumBandwidth: 0,
    ...host,
    MaskedPaths: host.MaskedPaths ?? (privileged ? null : [...MASKED_PATHS]),
    ReadonlyPaths: host.ReadonlyPaths ?? (privileged ? null : [...READONLY_PATHS]),
  };
}
