/** Turns the options of `run` and `create` into the body of `POST /containers/create`. */
import {
  type ContainerCreateRequest,
  type HealthConfig,
  RESTART_UNHEALTHY_LABEL,
} from '../../api/containers.ts';
import type { HostConfig, RestartPolicy, RestartPolicyName } from '../../api/host-config.ts';
import { EGRESS_OPTION } from '../../api/networks.ts';
import { CliError } from '../cli-error.ts';
import { type Io, printError } from '../io.ts';
import { requireNoContentTrust } from '../options/content-trust.ts';
import { environmentOf, keyValueMap, labelsOf } from '../options/environment.ts';
import { parseMacAddress } from '../options/host-names.ts';
import { deviceFlags } from '../options/limits.ts';
import { chooseNetworks, type NetworkChoice } from '../options/network.ts';
import { publishedPorts } from '../options/ports.ts';
import { configuredProxies, withProxies } from '../options/proxies.ts';
import { checkImage } from '../options/reference.ts';
import { securityOptions } from '../options/security-opt.ts';
import { tmpfsFlags, volumeFlags } from '../options/volumes.ts';
import type { ContainerOptions } from './container-flags.ts';

/** Which of the container's streams a client follows. */
export interface AttachChoice {
  readonly stdin: boolean;
  readonly stdout: boolean;
  readonly stderr: boolean;
}

/**
 * For the daemon at `daemonAddress`, whose proxies of the user's configuration are in the environment. Throws `CliError`
 * (125) for options that contradict each other or cannot be read.
 */
export function createRequest(
  image: string,
  command: readonly string[],
  options: ContainerOptions,
  io: Io,
  daemonAddress: string,
): ContainerCreateRequest {
  const proxies = configuredProxies(daemonAddress, io.env, (text) => printError(io, text));
  try {
    const request = buildRequest(image, command, options, io);
    return { ...request, Env: withProxies(request.Env ?? [], proxies) };
  } catch (error) {
    throw new CliError(error instanceof Error ? error.message : String(error), 125);
  }
}

function buildRequest(
  image: string,
  command: readonly string[],
  options: ContainerOptions,
  io: Io,
): ContainerCreateRequest {
  refuseUnsupported(options);
  checkImage(image);
  const attach = attachChoice(options);
  const ports = publishedPorts(options.publish, options.expose);
  const volumes = volumeFlags(options.volume, io.cwd);
  const networks = networkChoice(options);
  return {
    Hostname: options.hostname ?? '',
    Domainname: options.domainname ?? '',
    User: options.user ?? '',
    AttachStdin: attach.stdin,
    AttachStdout: attach.stdout,
    AttachStderr: attach.stderr,
    ExposedPorts: ports.exposed,
    Tty: options.tty,
    OpenStdin: options.interactive,
    StdinOnce: options.interactive && attach.stdin,
    Env: environmentOf(options.envFile, options.env, io.env),
    Cmd: command.length === 0 ? null : [...command],
    Image: image,
    Volumes: volumes.anonymous,
    WorkingDir: options.workdir ?? '',
    Entrypoint: options.entrypoint === undefined ? null : [options.entrypoint],
    Labels: {
      ...labelsOf(options.labelFile, options.label),
      ...(options.restartUnhealthy ? { [RESTART_UNHEALTHY_LABEL]: 'true' } : {}),
    },
    ...defined('StopSignal', options.stopSignal),
    ...defined('StopTimeout', options.stopTimeout),
    ...defined('Healthcheck', healthConfig(options)),
    HostConfig: {
      ...resources(options),
      ...isolation(options),
      ...lifecycle(options, io),
      Binds: volumes.binds,
      Mounts: options.mount,
      Tmpfs: tmpfsFlags(options.tmpfs),
      VolumeDriver: options.volumeDriver ?? '',
      VolumesFrom: options.volumesFrom,
      StorageOpt: keyValueMap(options.storageOpt),
      NetworkMode: networks.mode,
      PortBindings: ports.bindings,
      PublishAllPorts: options.publishAll,
      Links: options.link,
      Dns: options.dns,
      DnsOptions: options.dnsOption,
      DnsSearch: options.dnsSearch,
      ExtraHosts: options.addHost,
    },
    NetworkingConfig: networks.config,
  };
}

/** Without `-a`: stdout and stderr, and stdin with `-i`. */
export function attachChoice(options: ContainerOptions): AttachChoice {
  const names = options.attach;
  if (names.length === 0) return { stdin: options.interactive, stdout: true, stderr: true };
  return {
    stdin: names.includes('stdin'),
    stdout: names.includes('stdout'),
    stderr: names.includes('stderr'),
  };
}

function refuseUnsupported(options: ContainerOptions): void {
  requireNoContentTrust(options.disableContentTrust);
  if (options.useApiSocket) {
    throw new Error(
      '--use-api-socket is not supported, as it would hand out the whole daemon: make a socket of limited rights with "mydock socket create" and mount it with -v',
    );
  }
  if (options.memorySwappiness !== -1 && (options.memorySwappiness < 0 || options.memorySwappiness > 100)) {
    throw new Error(`invalid value: ${options.memorySwappiness}. Valid memory swappiness range is 0-100`);
  }
  requireMode('--pid', 'PID', options.pid, /^(host|container:.+)?$/);
  requireMode('--uts', 'UTS', options.uts, /^(host)?$/);
  requireMode('--userns', 'USER', options.userns, /^(host|auto(:.*)?|container:.+)?$/);
  requireMode('--cgroupns', 'CGROUP', options.cgroupns, /^(host|private)?$/);
}

function requireMode(flag: string, name: string, value: string | undefined, valid: RegExp): void {
  if (value !== undefined && !valid.test(value)) throw new Error(`${flag}: invalid ${name} mode`);
}

function resources(options: ContainerOptions): HostConfig {
  const { devices, requests } = deviceFlags(options.device);
  return {
    CpuShares: options.cpuShares ?? 0,
    Memory: options.memory ?? 0,
    NanoCpus: options.cpus ?? 0,
    CgroupParent: options.cgroupParent ?? '',
    BlkioWeight: options.blkioWeight ?? 0,
    BlkioWeightDevice: options.blkioWeightDevice,
    BlkioDeviceReadBps: options.deviceReadBps,
    BlkioDeviceWriteBps: options.deviceWriteBps,
    BlkioDeviceReadIOps: options.deviceReadIops,
    BlkioDeviceWriteIOps: options.deviceWriteIops,
    CpuPeriod: options.cpuPeriod ?? 0,
    CpuQuota: options.cpuQuota ?? 0,
    CpuRealtimePeriod: options.cpuRtPeriod ?? 0,
    CpuRealtimeRuntime: options.cpuRtRuntime ?? 0,
    CpusetCpus: options.cpusetCpus ?? '',
    CpusetMems: options.cpusetMems ?? '',
    Devices: devices,
    DeviceCgroupRules: options.deviceCgroupRule,
    DeviceRequests: [...requests, ...options.gpus],
    MemoryReservation: options.memoryReservation ?? 0,
    MemorySwap: options.memorySwap ?? 0,
    MemorySwappiness: options.memorySwappiness,
    OomKillDisable: options.oomKillDisable,
    PidsLimit: options.pidsLimit ?? 0,
    Ulimits: [...new Map(options.ulimit.map((limit) => [limit.Name, limit])).values()],
    ShmSize: options.shmSize ?? 0,
    OomScoreAdj: options.oomScoreAdj ?? 0,
  };
}

function isolation(options: ContainerOptions): HostConfig {
  const security = securityOptions(options.securityOpt);
  return {
    CapAdd: options.capAdd,
    CapDrop: options.capDrop,
    Privileged: options.privileged,
    ...(options.isolation === undefined ? {} : { Isolation: options.isolation }),
    ReadonlyRootfs: options.readOnly,
    SecurityOpt: security.options,
    ...(security.unconfinedPaths ? { MaskedPaths: [], ReadonlyPaths: [] } : {}),
    Sysctls: keyValueMap(options.sysctl),
    CgroupnsMode: (options.cgroupns ?? '') as '' | 'private' | 'host',
    IpcMode: options.ipc ?? '',
    PidMode: options.pid ?? '',
    UTSMode: options.uts ?? '',
    UsernsMode: options.userns ?? '',
    GroupAdd: options.groupAdd,
  };
}

function lifecycle(options: ContainerOptions, io: Io): HostConfig {
  const restart = parseRestartPolicy(options.restart);
  if (options.rm && restart.Name !== 'no' && restart.Name !== '') {
    throw new Error('conflicting options: cannot specify both --restart and --rm');
  }
  if (options.logDriver === 'none' && options.logOpt.length > 0) {
    throw new Error('invalid logging opts for driver none');
  }
  // Where it matters alone: Node takes a while to make the stream.
  const { rows, columns } = options.tty ? io.stdout : {};
  return {
    ContainerIDFile: options.cidfile ?? '',
    AutoRemove: options.rm,
    RestartPolicy: restart,
    LogConfig: { Type: options.logDriver ?? '', Config: keyValueMap(options.logOpt) },
    ...defined('Runtime', options.runtime),
    ...defined('Init', options.init),
    ...annotations(options),
    ...(rows !== undefined && columns !== undefined ? { ConsoleSize: [rows, columns] } : {}),
  };
}

function annotations({ annotation, egress }: ContainerOptions): Pick<HostConfig, 'Annotations'> {
  const all = {
    ...keyValueMap(annotation),
    ...(egress === undefined ? {} : { [EGRESS_OPTION]: egress }),
  };
  return Object.keys(all).length === 0 ? {} : { Annotations: all };
}

/** `no`, `always`, `unless-stopped`, `on-failure[:count]`. Whether the name is one of these the daemon says. */
export function parseRestartPolicy(text: string): RestartPolicy {
  if (text === '') return { Name: 'no', MaximumRetryCount: 0 };
  const [name = '', count] = text.split(':');
  if (name === '') throw new Error('invalid restart policy format: no policy provided before colon');
  if (count !== undefined && !/^-?\d+$/.test(count)) {
    throw new Error('invalid restart policy format: maximum retry count must be an integer');
  }
  return { Name: name as RestartPolicyName, MaximumRetryCount: Number(count ?? 0) };
}

function networkChoice(options: ContainerOptions): NetworkChoice {
  return chooseNetworks(options.network, {
    aliases: options.networkAlias,
    links: options.link,
    linkLocalIps: options.linkLocalIp,
    ip: options.ip,
    ip6: options.ip6,
    macAddress: options.macAddress === undefined ? undefined : parseMacAddress(options.macAddress),
  });
}

function healthConfig(options: ContainerOptions): HealthConfig | undefined {
  const settings = {
    ...defined('Interval', options.healthInterval),
    ...defined('Timeout', options.healthTimeout),
    ...defined('StartPeriod', options.healthStartPeriod),
    ...defined('StartInterval', options.healthStartInterval),
    ...defined('Retries', options.healthRetries),
  };
  const any = options.healthCmd !== undefined || Object.keys(settings).length > 0;
  if (!options.healthcheck) {
    if (any) throw new Error('--no-healthcheck conflicts with --health-* options');
    return { Test: ['NONE'] };
  }
  if (!any) return undefined;
  for (const [name, value] of Object.entries(settings)) {
    if (Number(value) < 0) throw new Error(`--health-${healthFlagName(name)} cannot be negative`);
  }
  return {
    ...(options.healthCmd === undefined ? {} : { Test: ['CMD-SHELL', options.healthCmd] }),
    ...settings,
  };
}

function healthFlagName(field: string): string {
  return field.replace(/([a-z])([A-Z])/g, '$1-$2').toLowerCase();
}

/** `{[name]: value}`, or nothing where the flag was not given. */
function defined<Name extends string, Value>(name: Name, value: Value | undefined): { [K in Name]?: Value } {
  return value === undefined ? {} : ({ [name]: value } as { [K in Name]?: Value });
}
