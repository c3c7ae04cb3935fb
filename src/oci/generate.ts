/**
 * From a container's configuration to its config.json: the one place where the Engine API's words become the OCI
 * runtime-spec's. Pure, except that device nodes are looked up on the host. What it takes must have passed
 * validate.ts.
 */
import { existsSync } from 'node:fs';
import type { ContainerConfig } from '../api/containers.ts';
import type { HostConfig } from '../api/host-config.ts';
import { containerCapabilities } from './capabilities.ts';
import { applyEdits } from './cdi/apply-edits.ts';
import type { ContainerEdits } from './cdi/spec.ts';
import { CGROUPFS, type CgroupSettings, containerCgroupsPath } from './cgroup-path.ts';
import { containerDevices } from './devices.ts';
import type { HostFacts } from './host-facts.ts';
import { systemPaths } from './masked-paths.ts';
import {
  type ContainerMount,
  cleanPath,
  DEFAULT_SHM_SIZE,
  type DefaultMountRequest,
  defaultMounts,
  HOST_MESSAGE_QUEUES,
  planMounts,
  TERMINAL_GROUP,
} from './mounts.ts';
import { type Accounts, buildProcess, commandLine, INIT_PATH } from './process.ts';
import { linuxResources } from './resources.ts';
import type { Linux, LinuxNamespace, NamespaceType, Process, Spec } from './runtime-spec.ts';
import { OCI_VERSION } from './runtime-spec.ts';
import { seccompFor } from './seccomp-profile.ts';
import { parseSecurityOptions, type SecurityOptions } from './security-options.ts';
import { readLxcContexts, type SelinuxLabels, selinuxLabels } from './selinux.ts';
import { lookupUser } from './user.ts';
import { toHost, type UserMapping } from './user-mappings.ts';

/** A namespace of its own, the host's, or that at a path (`/proc/1/ns/net`, `/run/…/netns`). */
export type NamespaceChoice = 'new' | 'host' | { path: string };

export interface SpecInput {
  /** 64 hex digits. */
  id: string;
  /** Merged with the image's configuration. */
  config: ContainerConfig;
  /** As `validateCreate` returned it. */
  hostConfig: HostConfig;
  /** Empty with the host's UTS namespace. */
  hostname: string;
  /** Absolute path of the mounted root file system. */
  rootfs: string;
  /** Volumes, binds and tmpfs. */
  mounts: readonly ContainerMount[];
  /** Host files bound over the container's, unless a mount stands there already. */
  files: { hosts?: string; hostname?: string; resolvConf?: string };
  /** The user namespace to join; left out for the host's. */
  userNamespace?: UserMapping & { path: string };
  /** `pid` and `ipc` paths are needed where HostConfig says `container:`. */
  namespaces: { network: NamespaceChoice; pid?: { path: string }; ipc?: { path: string } };
  /** Host folder to bind at /dev/shm: for a shareable IPC namespace, and for one that is joined. */
  shmPath?: string;
  /** Host path of the init program for `--init`. */
  initBinary: string;
  /** Of the daemon; left out: cgroupfs, below `/mydock`. */
  cgroups?: CgroupSettings;
  accounts: Accounts;
  host: HostFacts;
  /** Of its CDI devices. */
  deviceEdits?: readonly ContainerEdits[];
  /** The daemon's, for containers that say nothing. */
  securityDefaults?: SecurityDefaults;
  /** AppArmor profile for containers that name none; undefined where none is loaded. */
  apparmorDefault?: string;
}

export interface SecurityDefaults {
  noNewPrivileges: boolean;
  /** `builtin`, `unconfined`, or a profile's JSON text. */
  seccompProfile: string;
}

/** Throws InvalidParameter for what can only be known now: users, devices, an empty command. */
export function generateSpec(input: SpecInput): Spec {
  const { hostConfig } = input;
  const security = withDefaults(parseSecurityOptions(hostConfig.SecurityOpt ?? []), input.securityDefaults);
  const labels = labelsOf(input, security);
  const capabilities = containerCapabilities({
    add: hostConfig.CapAdd ?? [],
    drop: hostConfig.CapDrop ?? [],
    privileged: hostConfig.Privileged === true,
    available: input.host.capabilities,
  });
  const annotations = hostConfig.Annotations ?? {};
  const ownUts = hostConfig.UTSMode !== 'host';
  const spec: Spec = {
    ociVersion: OCI_VERSION,
    process: {
      ...initProcess(input, security, capabilities),
      ...(labels === undefined ? {} : { selinuxLabel: labels.process }),
    },
    root: { path: input.rootfs, readonly: hostConfig.ReadonlyRootfs === true },
    ...(ownUts && input.hostname !== '' ? { hostname: input.hostname } : {}),
    ...(ownUts && (input.config.Domainname ?? '') !== ''
      ? { domainname: input.config.Domainname ?? '' }
      : {}),
    mounts: allMounts(input, security),
    ...(Object.keys(annotations).length === 0 ? {} : { annotations }),
    linux: {
      ...linuxPart(input, security, capabilities),
      ...(labels === undefined ? {} : { mountLabel: labels.mount }),
    },
  };
  return applyEdits(spec, input.deviceEdits ?? []);
}

function withDefaults(security: SecurityOptions, defaults: SecurityDefaults | undefined): SecurityOptions {
  if (defaults === undefined) return security;
  return { noNewPrivileges: defaults.noNewPrivileges, seccomp: defaults.seccompProfile, ...security };
}

/** None where the kernel has no SELinux, and for privileged containers. */
function labelsOf({ id, host, hostConfig }: SpecInput, security: SecurityOptions): SelinuxLabels | undefined {
  if (!host.selinux || hostConfig.Privileged === true || security.label === undefined) return undefined;
  return selinuxLabels(security.label, id, readLxcContexts());
}

/** An init in front of the command makes sense only where it is process 1. */
function wantsInit({ hostConfig }: SpecInput): boolean {
  return hostConfig.Init === true && (hostConfig.PidMode ?? '') === '';
}

function initProcess(input: SpecInput, security: SecurityOptions, capabilities: string[]): Process {
  const { config, hostConfig } = input;
  const command = commandLine(config);
  const apparmorProfile = apparmorProfileOf(hostConfig, input.host, input.apparmorDefault);
  return buildProcess({
    args: wantsInit(input) ? [INIT_PATH, '--', ...command] : command,
    env: config.Env ?? [],
    user: config.User ?? '',
    cwd: config.WorkingDir ?? '',
    tty: config.Tty === true,
    consoleSize: hostConfig.ConsoleSize ?? null,
    hostname: input.hostname,
    groupAdd: hostConfig.GroupAdd ?? [],
    accounts: input.accounts,
    capabilities,
    noNewPrivileges: security.noNewPrivileges === true,
    ...(apparmorProfile === undefined ? {} : { apparmorProfile }),
    ulimits: hostConfig.Ulimits ?? [],
    oomScoreAdj: hostConfig.OomScoreAdj ?? 0,
  });
}

/** The AppArmor profile of a run; undefined: whatever confines the daemon. */
export function apparmorProfileOf(
  hostConfig: HostConfig,
  host: Pick<HostFacts, 'apparmor'>,
  byDefault: string | undefined,
): string | undefined {
  if (!host.apparmor) return undefined;
  const { apparmor = '' } = parseSecurityOptions(hostConfig.SecurityOpt ?? []);
  if (apparmor !== '') return apparmor;
  return hostConfig.Privileged === true ? 'unconfined' : byDefault;
}

/** Whether a container's AppArmor profile is decided without the default. */
export function namesApparmor({ Privileged, SecurityOpt }: HostConfig): boolean {
  return Privileged === true || (parseSecurityOptions(SecurityOpt ?? []).apparmor ?? '') !== '';
}

function allMounts(input: SpecInput, security: SecurityOptions) {
  const { hostConfig } = input;
  const defaults = defaultMounts({
    privileged: hostConfig.Privileged === true,
    ...(security.writableCgroups === undefined ? {} : { writableCgroups: security.writableCgroups }),
    shmSize: hostConfig.ShmSize || DEFAULT_SHM_SIZE,
    shm: shmChoice(input),
    terminalGroup: hasGroup(input, TERMINAL_GROUP) ? TERMINAL_GROUP : undefined,
    messageQueues: messageQueues(input),
  });
  const init = {
    destination: INIT_PATH,
    type: 'bind',
    source: input.initBinary,
    options: ['bind', 'ro'],
  };
  return planMounts({
    defaults: wantsInit(input) ? [...defaults, init] : defaults,
    mounts: [...fileMounts(input), ...input.mounts],
    readonlyRootfs: hostConfig.ReadonlyRootfs === true,
    user: () => lookupUser(input.config.User ?? '', input.accounts.passwd, input.accounts.group),
    recursiveReadOnly: input.host.recursiveReadOnly,
    userNamespace: input.userNamespace,
  });
}

/** The host's IPC namespace cannot be mounted from another user namespace, where a mount of it can be shown. */
function messageQueues({ userNamespace, hostConfig }: SpecInput): DefaultMountRequest['messageQueues'] {
  if (userNamespace === undefined || hostConfig.IpcMode !== 'host') return 'new';
  return existsSync(HOST_MESSAGE_QUEUES) ? 'host' : 'none';
}

/** Whether files can belong to a group in the container. */
function hasGroup({ userNamespace }: SpecInput, gid: number): boolean {
  return userNamespace === undefined || toHost(userNamespace.gids, gid) !== undefined;
}

function shmChoice(input: SpecInput): DefaultMountRequest['shm'] {
  if (input.hostConfig.IpcMode === 'none') return { kind: 'none' };
  if (input.hostConfig.IpcMode === 'host') return { kind: 'bind', path: '/dev/shm' };
  return input.shmPath === undefined ? { kind: 'new' } : { kind: 'bind', path: input.shmPath };
}

function fileMounts({ files, mounts, hostConfig }: SpecInput): ContainerMount[] {
  const wanted: [string, string | undefined][] = [
    ['/etc/resolv.conf', files.resolvConf],
    ['/etc/hostname', files.hostname],
    ['/etc/hosts', files.hosts],
  ];
  return wanted.flatMap(([destination, source]) => {
    if (source === undefined || mounts.some((one) => cleanPath(one.destination) === destination)) return [];
    const readOnly = hostConfig.ReadonlyRootfs === true;
    return [{ type: 'bind' as const, source, destination, readOnly, ownersInside: true }];
  });
}

function linuxPart(input: SpecInput, security: SecurityOptions, capabilities: string[]): Linux {
  const { hostConfig, host } = input;
  const privileged = hostConfig.Privileged === true;
  const { devices, rules } = containerDevices({
    privileged,
    mappings: hostConfig.Devices ?? [],
    rules: hostConfig.DeviceCgroupRules ?? [],
  });
  const seccomp = seccompFor(seccompProfile(hostConfig, security), {
    capabilities,
    architecture: host.architecture,
    kernelRelease: host.kernelRelease,
    projectQuota: Object.keys(hostConfig.StorageOpt ?? {}).length > 0,
  });
  const propagation = rootfsPropagation(input.mounts);
  return {
    namespaces: namespacesOf(input),
    ...(devices.length === 0 ? {} : { devices }),
    cgroupsPath: containerCgroupsPath(input.id, hostConfig.CgroupParent, input.cgroups ?? CGROUPFS),
    resources: linuxResources(hostConfig, rules),
    ...sysctls(input),
    ...(propagation === undefined ? {} : { rootfsPropagation: propagation }),
    ...(seccomp === undefined ? {} : { seccomp }),
    ...systemPaths(hostConfig, security, host),
  };
}

/** A privileged container has no filter unless it names one itself. */
function seccompProfile(
  { Privileged, SecurityOpt }: HostConfig,
  security: SecurityOptions,
): string | undefined {
  if (Privileged !== true) return security.seccomp;
  return parseSecurityOptions(SecurityOpt ?? []).seccomp ?? 'unconfined';
}

function namespacesOf({ hostConfig, namespaces, config, userNamespace }: SpecInput): LinuxNamespace[] {
  const network =
    config.NetworkDisabled === true && namespaces.network === 'host' ? 'new' : namespaces.network;
  return [
    ...(userNamespace === undefined ? [] : [{ type: 'user' as const, path: userNamespace.path }]),
    { type: 'mount' },
    ...namespace('network', network),
    ...namespace('uts', hostConfig.UTSMode === 'host' ? 'host' : 'new'),
    ...namespace('pid', namespaces.pid ?? (hostConfig.PidMode === 'host' ? 'host' : 'new')),
    ...namespace('ipc', namespaces.ipc ?? (hostConfig.IpcMode === 'host' ? 'host' : 'new')),
    ...namespace('cgroup', hostConfig.CgroupnsMode === 'host' ? 'host' : 'new'),
  ];
}

function namespace(type: NamespaceType, choice: NamespaceChoice): LinuxNamespace[] {
  if (choice === 'host') return [];
  return [choice === 'new' ? { type } : { type, path: choice.path }];
}

/** The defaults are for a network namespace of the container's own; its user's values win over them. */
function sysctls({ hostConfig, host, userNamespace }: SpecInput): { sysctl?: Record<string, string> } {
  const mode = hostConfig.NetworkMode ?? '';
  const own = mode !== 'host' && !mode.startsWith('container:');
  // Groups as the container numbers them: whoever made its network has set the range.
  const { 'net.ipv4.ping_group_range': pingGroups, ...others } = host.networkSysctls;
  const defaults = userNamespace === undefined && pingGroups !== undefined ? host.networkSysctls : others;
  const sysctl = { ...(own ? defaults : {}), ...(hostConfig.Sysctls ?? {}) };
  return Object.keys(sysctl).length === 0 ? {} : { sysctl };
}

/** The root must propagate at least as far as the mount that propagates furthest. */
function rootfsPropagation(mounts: readonly ContainerMount[]): string | undefined {
  const used = mounts.map((one) => (one.type === 'bind' ? (one.propagation ?? '') : ''));
  if (used.some((propagation) => propagation.endsWith('shared'))) return 'shared';
  return used.some((propagation) => propagation.endsWith('slave')) ? 'rslave' : undefined;
}
