/**
 * The judgement over a create request before anything changes: wrong values and combinations are refused with
 * Docker's texts, what is not built is refused by name, what the host cannot do is dropped with a warning. Mounts are
 * judged in volume/binds.ts, published ports in network/.
 */
import { isIP } from 'node:net';
import { posix } from 'node:path';
import type { ContainerConfig, HealthConfig } from '../api/containers.ts';
import type { HostConfig } from '../api/host-config.ts';
import { InvalidParameterError, NotImplementedError } from '../base/errors.ts';
import { parseSignal } from '../base/signals.ts';
import { containerCapabilities } from './capabilities.ts';
import { checkDeviceRequests } from './cdi/device-requests.ts';
import { parseDeviceRule } from './devices.ts';
import type { HostFacts } from './host-facts.ts';
import { checkSystemPaths } from './masked-paths.ts';
import { DEFAULT_SHM_SIZE, mergeTmpfsOptions } from './mounts.ts';
import { rlimits } from './process.ts';
import { parseSeccompProfile } from './seccomp-profile.ts';
import { parseSecurityOptions } from './security-options.ts';
import { checkSysctls } from './sysctls.ts';
import { parseUsernsMode } from './user-mappings.ts';
import { validateResources } from './validate-resources.ts';

export interface ValidatedCreate {
  config: ContainerConfig;
  /** With Docker's defaults filled in: ShmSize, MemorySwap, IpcMode, CgroupnsMode, RestartPolicy, NetworkMode, … */
  hostConfig: HostConfig;
  /** In Docker's words, for the `Warnings` of the answer. */
  warnings: string[];
}

function refuse(message: string): never {
  throw new InvalidParameterError(message);
}

/**
 * Judges one request; the arguments are not changed. `config` is the request's own, not yet merged with the image's
 * (conflicts are between what the user said). Throws InvalidParameter or NotImplemented.
 */
export function validateCreate(
  config: ContainerConfig,
  hostConfig: HostConfig,
  facts: HostFacts,
): ValidatedCreate {
  const host = structuredClone(hostConfig);
  const checkedConfig = validateConfig(structuredClone(config));
  refuseUnbuilt(host);
  validateModes(host);
  validateNetworkConflicts(checkedConfig, host);
  validateRestartPolicy(host);
  validateSecurity(host, facts);
  validateRest(host);
  const warnings = validateResources(host, facts);
  fillDefaults(host, facts);
  return { config: checkedConfig, hostConfig: host, warnings: [...warnings, ...otherWarnings(host, facts)] };
}

function validateConfig(config: ContainerConfig): ContainerConfig {
  const directory = config.WorkingDir ?? '';
  if (directory !== '') {
    if (!directory.startsWith('/')) {
      refuse(`the working directory '${directory}' is invalid, it needs to be an absolute path`);
    }
    config.WorkingDir = posix.normalize(directory).replace(/(.)\/$/, '$1');
  }
  if ((config.StopSignal ?? '') !== '') parseSignal(config.StopSignal ?? '');
  for (const entry of config.Env ?? []) {
    if (entry === '' || entry.startsWith('=')) refuse(`invalid environment variable: ${entry}`);
    if (entry.includes('\0')) refuse('invalid environment variable: it contains a NUL byte');
  }
  if (config.Healthcheck) validateHealthcheck(config.Healthcheck);
  const hostname = config.Hostname ?? '';
  if (hostname.length > 64) refuse(`invalid hostname "${hostname}": it is longer than 64 characters`);
  return config;
}

const MILLISECOND_NS = 1_000_000;

function validateHealthcheck(health: HealthConfig): void {
  for (const field of ['Interval', 'Timeout', 'StartPeriod', 'StartInterval'] as const) {
    const value = health[field] ?? 0;
    if (value !== 0 && value < MILLISECOND_NS) refuse(`${field} in Healthcheck cannot be less than 1ms`);
  }
  if ((health.Retries ?? 0) < 0) refuse('Retries in Healthcheck cannot be negative');
}

/** Options of the Engine API that this engine does not have: never dropped silently. */
function refuseUnbuilt(host: HostConfig): void {
  const notBuilt: [boolean, string][] = [[(host.Cgroup ?? '') !== '', `cgroup "${host.Cgroup}"`]];
  for (const [asked, what] of notBuilt) {
    if (asked) throw new NotImplementedError(`not implemented: ${what}`);
  }
  if (!['', 'default'].includes((host.Isolation ?? '').toLowerCase())) {
    refuse(`invalid isolation (${host.Isolation}): linux only supports 'default'`);
  }
}

function validateModes(host: HostConfig): void {
  parseUsernsMode(host.UsernsMode ?? '');
  const joins = (mode: string) => /^container:.+/.test(mode);
  const ipc = host.IpcMode ?? '';
  if (!['', 'none', 'private', 'host', 'shareable'].includes(ipc) && !joins(ipc)) {
    refuse(`invalid IPC mode: ${ipc}`);
  }
  const pid = host.PidMode ?? '';
  if (!['', 'host'].includes(pid) && !joins(pid)) refuse(`invalid PID mode: ${pid}`);
  if (!['', 'host'].includes(host.UTSMode ?? '')) refuse(`invalid UTS mode: ${host.UTSMode}`);
  if (!['', 'host', 'private'].includes(host.CgroupnsMode ?? '')) {
    refuse(`invalid cgroup namespace mode: ${host.CgroupnsMode}`);
  }
}

function validateNetworkConflicts(config: ContainerConfig, host: HostConfig): void {
  const mode = host.NetworkMode ?? '';
  const hostname = config.Hostname ?? '';
  if (mode === 'container' || mode.startsWith('container:')) {
    if (mode === 'container' || mode === 'container:') {
      refuse('invalid network mode: invalid container format container:<name|id>');
    }
    if (hostname !== '') refuse('conflicting options: hostname and the network mode');
    if ((host.Links ?? []).length > 0) {
      refuse(
        "conflicting options: container type network can't be used with links. This would result in undefined behavior",
      );
    }
    if ((host.Dns ?? []).length > 0) refuse('conflicting options: dns and the network mode');
    if ((host.ExtraHosts ?? []).length > 0) {
      refuse('conflicting options: custom host-to-IP mapping and the network mode');
    }
    if (Object.keys(host.PortBindings ?? {}).length > 0 || host.PublishAllPorts === true) {
      refuse('conflicting options: port publishing and the container type network mode');
    }
    if (Object.keys(config.ExposedPorts ?? {}).length > 0) {
      refuse('conflicting options: port exposing and the container type network mode');
    }
  }
  if (mode === 'host' && (host.Links ?? []).length > 0) {
    refuse(
      "conflicting options: host type networking can't be used with links. This would result in undefined behavior",
    );
  }
  if (host.UTSMode === 'host' && hostname !== '') refuse('conflicting options: hostname and the UTS mode');
  validateNames(host);
}

function validateNames(host: HostConfig): void {
  for (const entry of host.ExtraHosts ?? []) {
    const at = entry.indexOf(':');
    if (at <= 0) refuse(`bad format for add-host: "${entry}"`);
    const address = entry.slice(at + 1);
    if (address !== 'host-gateway' && isIP(address.replace(/^\[(.*)\]$/, '$1')) === 0) {
      refuse(`invalid IP address in add-host: "${address}"`);
    }
  }
  for (const server of host.Dns ?? []) {
    if (isIP(server) === 0)
      refuse(`invalid DNS server "${server}": ParseAddr("${server}"): unable to parse IP`);
  }
}

const RESTART_NAMES = ['no', 'always', 'on-failure', 'unless-stopped'];

/** Throws InvalidParameter with Docker's texts. */
export function validateRestartPolicy(host: Pick<HostConfig, 'RestartPolicy' | 'AutoRemove'>): void {
  const { Name: name = '', MaximumRetryCount: retries = 0 } = host.RestartPolicy ?? {};
  if (name !== '' && !RESTART_NAMES.includes(name)) {
    refuse(
      `invalid restart policy: unknown policy '${name}'; use one of '${RESTART_NAMES.slice(0, -1).join("', '")}', or '${RESTART_NAMES.at(-1)}'`,
    );
  }
  if (name === 'on-failure') {
    if (retries < 0) refuse('invalid restart policy: maximum retry count cannot be negative');
  } else if (name !== '' && retries !== 0) {
    const negative = retries < 0 ? ' and cannot be negative' : '';
    refuse(`invalid restart policy: maximum retry count can only be used with 'on-failure'${negative}`);
  }
  if (host.AutoRemove === true && name !== '' && name !== 'no') {
    refuse("can't create 'AutoRemove' container with restart policy");
  }
}

function validateSecurity(host: HostConfig, facts: HostFacts): void {
  containerCapabilities({
    add: host.CapAdd ?? [],
    drop: host.CapDrop ?? [],
    privileged: host.Privileged === true,
    available: facts.capabilities,
  });
  const security = parseSecurityOptions(host.SecurityOpt ?? []);
  if (!['', 'builtin', 'unconfined'].includes(security.seccomp ?? ''))
    parseSeccompProfile(security.seccomp ?? '');
  checkSystemPaths(host);
  checkSysctls(host);
}

function validateRest(host: HostConfig): void {
  if ((host.ShmSize ?? 0) < 0) refuse('SHM size can not be less than 0');
  const adjustment = host.OomScoreAdj ?? 0;
  if (adjustment < -1000 || adjustment > 1000) {
    refuse(`Invalid value ${adjustment}, range for oom score adj is [-1000, 1000]`);
  }
  rlimits(host.Ulimits ?? []);
  (host.DeviceCgroupRules ?? []).forEach(parseDeviceRule);
  checkDeviceRequests(host.DeviceRequests ?? []);
  for (const group of host.GroupAdd ?? []) {
    // Podman's word for the groups of whoever typed the command; the daemon's are nobody's business.
    if (group === 'keep-groups') refuse('invalid group "keep-groups": name the groups to add');
  }
  for (const [destination, options] of Object.entries(host.Tmpfs ?? {})) {
    if (!destination.startsWith('/')) {
      refuse(`invalid mount path: '${destination}' mount path must be absolute`);
    }
    if (posix.normalize(destination) === '/') refuse("invalid specification: destination can't be '/'");
    mergeTmpfsOptions(options);
  }
  if (Object.keys(host.Annotations ?? {}).includes('')) {
    refuse('invalid Annotations: the empty string is not permitted as an annotation key');
  }
}

/** On cgroup v1 a privileged container sees the host's hierarchy, as it does with Docker. */
function fillDefaults(host: HostConfig, facts: HostFacts): void {
  host.ShmSize ||= DEFAULT_SHM_SIZE;
  host.IpcMode ||= 'private';
  host.NetworkMode = host.NetworkMode === undefined || host.NetworkMode === '' ? 'default' : host.NetworkMode;
  if (!facts.cgroupNamespaces) host.CgroupnsMode = 'host';
  host.CgroupnsMode ||= host.Privileged === true && facts.cgroupVersion === 1 ? 'host' : 'private';
  host.RestartPolicy = {
    MaximumRetryCount: 0,
    ...host.RestartPolicy,
    Name: host.RestartPolicy?.Name || 'no',
  };
  host.LogConfig = { Type: host.LogConfig?.Type || 'json-file', Config: host.LogConfig?.Config ?? {} };
}

function otherWarnings(host: HostConfig, facts: HostFacts): string[] {
  const warnings: string[] = [];
  const mode = host.NetworkMode ?? '';
  if (!facts.ipv4Forwarding && mode !== 'host' && mode !== 'none' && !mode.startsWith('container:')) {
    warnings.push('IPv4 forwarding is disabled. Networking will not work.');
  }
  if (mode === 'host' && Object.keys(host.PortBindings ?? {}).length > 0) {
    warnings.push('Published ports are discarded when using host network mode');
  }
  const { apparmor, label } = parseSecurityOptions(host.SecurityOpt ?? []);
  if (apparmor !== undefined && apparmor !== 'unconfined' && !facts.apparmor) {
    warnings.push('AppArmor is not available on this host. The AppArmor profile was discarded.');
  }
  if (label !== undefined && !label.disable && !facts.selinux) {
    warnings.push('SELinux is not available on this host. The SELinux labels were discarded.');
  }
  return warnings;
}
