/**
 * What decides a container's isolation, from one of two places: of a running container from the config.json that its
 * runtime was given, and from the kernel's own ID mapping; of a stopped one from its record, as its next run would ask.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { HostConfig } from '../../api/host-config.ts';
import { errnoCode } from '../../base/errors.ts';
import type { ContainerRecord } from '../../container/record.ts';
import { isLive } from '../../container/state.ts';
import { containerCapabilities } from '../../oci/capabilities.ts';
import { apparmorProfileOf } from '../../oci/generate.ts';
import type { HostFacts } from '../../oci/host-facts.ts';
import { MASKED_PATHS, READONLY_PATHS } from '../../oci/mounts.ts';
import type { NamespaceType, Spec } from '../../oci/runtime-spec.ts';
import { parseSecurityOptions } from '../../oci/security-options.ts';

export type NamespaceOwner = 'own' | 'host' | `container ${string}`;

export interface SecurityFacts {
  source: 'config.json' | 'record';
  /** Inside the container; the user's words where they are not looked up yet. */
  user: string;
  capabilities: readonly string[];
  /** Lines `inside outside count`; empty without a user namespace of its own, undefined where not known yet. */
  idMapping: readonly string[] | undefined;
  seccomp: 'none' | 'default' | 'custom';
  noNewPrivileges: boolean;
  /** Empty: none. */
  apparmor: string;
  selinux: string;
  /** What the host's kernel could enforce. */
  host: LabelHost;
  namespaces: Record<Exclude<NamespaceType, 'time'>, NamespaceOwner>;
  /** Of the default ones, those that are not there. */
  unmasked: readonly string[];
  writableKernelPaths: readonly string[];
  allDevices: boolean;
  memoryBytes: number;
  pidsLimit: number;
  oomScoreAdj: number;
  sysctls: Readonly<Record<string, string>>;
  readonlyRoot: boolean;
}

type LabelHost = Pick<HostFacts, 'apparmor' | 'selinux'>;

export interface LabelSources {
  host: LabelHost;
  /** The profile that containers get who ask for none; undefined: none. */
  apparmor: { readonly profile: string | undefined };
}

/** Reads the bundle of a container that runs. `bundle` is its folder. */
export function securityFacts(record: ContainerRecord, bundle: string, labels: LabelSources): SecurityFacts {
  const spec = isLive(record.state) ? readSpec(bundle) : undefined;
  return spec === undefined ? recordFacts(record, labels) : specFacts(record, spec, labels.host);
}

/** Undefined where the run has just ended. */
function readSpec(bundle: string): Spec | undefined {
  try {
    return JSON.parse(readFileSync(join(bundle, 'config.json'), 'utf8')) as Spec;
  } catch (error) {
    if (errnoCode(error) === 'ENOENT') return undefined;
    throw error;
  }
}

function specFacts(
  record: ContainerRecord,
  { process, root, linux = {} }: Spec,
  host: LabelHost,
): SecurityFacts {
  const { hostConfig } = record;
  const custom = !['', 'builtin'].includes(parseSecurityOptions(hostConfig.SecurityOpt ?? []).seccomp ?? '');
  const resources = linux.resources ?? {};
  const listed = new Set((linux.namespaces ?? []).map(({ type }) => type));
  const ownerOf = (type: NamespaceType, mode: string | undefined): NamespaceOwner =>
    listed.has(type) ? (otherContainer(mode) ?? 'own') : 'host';
  return {
    source: 'config.json',
    user: String(process?.user.uid ?? 0),
    capabilities: process?.capabilities?.bounding ?? [],
    idMapping: idMapping(record),
    seccomp: linux.seccomp === undefined ? 'none' : custom ? 'custom' : 'default',
    noNewPrivileges: process?.noNewPrivileges === true,
    apparmor: process?.apparmorProfile ?? '',
    selinux: process?.selinuxLabel ?? '',
    host,
    namespaces: {
      pid: ownerOf('pid', hostConfig.PidMode),
      network: ownerOf('network', hostConfig.NetworkMode),
      ipc: ownerOf('ipc', hostConfig.IpcMode),
      uts: ownerOf('uts', hostConfig.UTSMode),
      cgroup: ownerOf('cgroup', undefined),
      mount: ownerOf('mount', undefined),
      user: ownerOf('user', undefined),
    },
    unmasked: missing(MASKED_PATHS, linux.maskedPaths),
    writableKernelPaths: missing(READONLY_PATHS, linux.readonlyPaths),
    allDevices: (resources.devices ?? []).some(
      ({ allow, type, major }) => allow && (type ?? 'a') === 'a' && major === undefined,
    ),
    memoryBytes: resources.memory?.limit ?? 0,
    pidsLimit: resources.pids?.limit ?? 0,
    oomScoreAdj: process?.oomScoreAdj ?? 0,
    sysctls: hostConfig.Sysctls ?? {},
    readonlyRoot: root?.readonly === true,
  };
}

function recordFacts(
  { config, hostConfig }: ContainerRecord,
  { host, apparmor }: LabelSources,
): SecurityFacts {
  const privileged = hostConfig.Privileged === true;
  const security = parseSecurityOptions(hostConfig.SecurityOpt ?? []);
  const mode = (value: string | undefined): NamespaceOwner =>
    value === 'host' ? 'host' : (otherContainer(value) ?? 'own');
  const unconfined = privileged || security.seccomp === 'unconfined';
  const custom = !['', 'builtin'].includes(security.seccomp ?? '');
  return {
    source: 'record',
    user: config.User || '0',
    capabilities: containerCapabilities({
      add: hostConfig.CapAdd ?? [],
      drop: hostConfig.CapDrop ?? [],
      privileged,
    }),
    idMapping: hostConfig.UsernsMode === 'host' || privileged ? [] : undefined,
    seccomp: unconfined ? 'none' : custom ? 'custom' : 'default',
    noNewPrivileges: security.noNewPrivileges === true,
    apparmor: apparmorProfileOf(hostConfig, host, apparmor.profile) ?? '',
    selinux: host.selinux && !privileged && security.label?.disable === false ? 'of its options' : '',
    host,
    namespaces: {
      pid: mode(hostConfig.PidMode),
      network: mode(hostConfig.NetworkMode),
      ipc: mode(hostConfig.IpcMode),
      uts: mode(hostConfig.UTSMode),
      cgroup: mode(hostConfig.CgroupnsMode),
      mount: 'own',
      user: 'host',
    },
    unmasked: pathsOfRecord(MASKED_PATHS, hostConfig.MaskedPaths, privileged),
    writableKernelPaths: pathsOfRecord(READONLY_PATHS, hostConfig.ReadonlyPaths, privileged),
    allDevices: privileged,
    memoryBytes: hostConfig.Memory ?? 0,
    pidsLimit: hostConfig.PidsLimit ?? 0,
    oomScoreAdj: hostConfig.OomScoreAdj ?? 0,
    sysctls: hostConfig.Sysctls ?? {},
    readonlyRoot: hostConfig.ReadonlyRootfs === true,
  };
}

function otherContainer(mode: string | undefined): NamespaceOwner | undefined {
  const name = /^container:(.+)$/.exec(mode ?? '')?.[1];
  return name === undefined ? undefined : `container ${name.slice(0, 12)}`;
}

function missing(wanted: readonly string[], given: readonly string[] | undefined): string[] {
  return wanted.filter((path) => !(given ?? []).includes(path));
}

function pathsOfRecord(
  defaults: readonly string[],
  given: HostConfig['MaskedPaths'],
  privileged: boolean,
): string[] {
  return privileged ? [...defaults] : missing(defaults, given ?? [...defaults]);
}

/** As the kernel has it; the identity over all IDs is none. Undefined where the process has just gone. */
function idMapping({ state }: ContainerRecord): string[] | undefined {
  if (!isLive(state)) return undefined;
  try {
    const lines = readFileSync(`/proc/${state.pid}/uid_map`, 'utf8').trim().split('\n');
    const ranges = lines.map((line) => line.trim().replace(/\s+/g, ' '));
    return ranges.join() === '0 0 4294967295' ? [] : ranges;
  } catch {
    // The process has ended since its state was read.
    return undefined;
  }
}
