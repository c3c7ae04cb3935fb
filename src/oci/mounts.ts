/**
 * The mounts of a container: the kernel's file systems as Docker mounts them, masked and read-only paths, and the
 * translation of bind mounts and tmpfs to OCI mounts in the order in which they must be made.
 */
import { posix } from 'node:path';
import { InvalidParameterError } from '../base/errors.ts';
import { type MountIdMap, type Owner, resolveIdMap } from './idmap.ts';
import type { Mount } from './runtime-spec.ts';
import type { UserMapping } from './user-mappings.ts';

/** Bytes: HostConfig.ShmSize where nothing is said, 64 MiB. */
export const DEFAULT_SHM_SIZE = 64 * 1024 * 1024;

/** Without `.`, `..`, double and trailing slashes; relative paths count from the root. */
export function cleanPath(path: string): string {
  const normal = posix.normalize(`/${path}`);
  return normal.length > 1 && normal.endsWith('/') ? normal.slice(0, -1) : normal;
}

export type Propagation = 'private' | 'rprivate' | 'shared' | 'rshared' | 'slave' | 'rslave';

/** A mount that the user, the image or the engine asked for, resolved to a path of the host. */
export type ContainerMount =
  | {
      type: 'bind';
      source: string;
      destination: string;
      readOnly: boolean;
      /** Default `rprivate`. */
      propagation?: Propagation;
      /** Without the mounts below the source. */
      nonRecursive?: boolean;
      /** Read-only without the mounts below it. */
      readOnlyNonRecursive?: boolean;
      /** Fail where the kernel cannot make mounts below it read-only. */
      readOnlyForceRecursive?: boolean;
      /** The words of idmap.ts, with all mounts below the source; default: owners are as they are. */
      idmap?: string | undefined;
      /** The owners on it are IDs of the container and not of the host: volumes, files of the engine's own. */
      ownersInside?: boolean;
    }
  | {
      type: 'tmpfs';
      destination: string;
      /** Comma-separated as in `--tmpfs /x:rw,size=64m`; added to `noexec,nosuid,nodev`. */
      options: string;
    };

export const MASKED_PATHS: readonly string[] = [
  '/proc/asound',
  '/proc/acpi',
  '/proc/interrupts',
  '/proc/kcore',
  '/proc/keys',
  '/proc/latency_stats',
  '/proc/timer_list',
  '/proc/timer_stats',
  '/proc/sched_debug',
  '/proc/scsi',
  '/sys/firmware',
  '/sys/devices/virtual/powercap',
];

export const READONLY_PATHS: readonly string[] = [
  '/proc/bus',
  '/proc/fs',
  '/proc/irq',
  '/proc/sys',
  '/proc/sysrq-trigger',
];

export interface DefaultMountRequest {
  privileged: boolean;
  /** `--security-opt writable-cgroups`; undefined: as `privileged`. */
  writableCgroups?: boolean;
  /** Bytes. */
  shmSize: number;
  /** `none` leaves out /dev/shm; a path is bound there in place of a new tmpfs. */
  shm: { kind: 'new' } | { kind: 'none' } | { kind: 'bind'; path: string };
  /** Group of pseudo terminals; undefined where the container has no such group. */
  terminalGroup: number | undefined;
  /** `host` shows the host's mount of message queues. */
  messageQueues: 'new' | 'host' | 'none';
}

export const HOST_MESSAGE_QUEUES = '/dev/mqueue';

/** `tty` in every distribution. */
export const TERMINAL_GROUP = 5;

function mount(destination: string, type: string, source: string, options: string[]): Mount {
  return { destination, type, source, options };
}

/** The mounts that every container has. */
export function defaultMounts(request: DefaultMountRequest): Mount[] {
  const writableCgroups = request.writableCgroups ?? request.privileged;
  return [
    mount('/proc', 'proc', 'proc', ['nosuid', 'noexec', 'nodev']),
    mount('/dev', 'tmpfs', 'tmpfs', ['nosuid', 'strictatime', 'mode=755', 'size=65536k']),
    mount('/dev/pts', 'devpts', 'devpts', [
      'nosuid',
      'noexec',
      'newinstance',
      'ptmxmode=0666',
      'mode=0620',
      ...(request.terminalGroup === undefined ? [] : [`gid=${request.terminalGroup}`]),
    ]),
    mount('/sys', 'sysfs', 'sysfs', ['nosuid', 'noexec', 'nodev', ...(request.privileged ? [] : ['ro'])]),
    mount('/sys/fs/cgroup', 'cgroup', 'cgroup', [
      ...(writableCgroups ? [] : ['ro']),
      'nosuid',
      'noexec',
      'nodev',
    ]),
    // Shows the queues of whichever IPC namespace the container is in.
    ...queueMount(request),
    ...shmMount(request),
  ];
}

function queueMount({ messageQueues }: DefaultMountRequest): Mount[] {
  const options = ['nosuid', 'noexec', 'nodev'];
  if (messageQueues === 'none') return [];
  if (messageQueues === 'new') return [mount('/dev/mqueue', 'mqueue', 'mqueue', options)];
  return [mount('/dev/mqueue', 'bind', HOST_MESSAGE_QUEUES, ['rbind', 'rprivate', ...options])];
}

function shmMount({ shm, shmSize }: DefaultMountRequest): Mount[] {
  if (shm.kind === 'none') return [];
  if (shm.kind === 'bind') return [mount('/dev/shm', 'bind', shm.path, ['rbind', 'rprivate'])];
  return [mount('/dev/shm', 'tmpfs', 'shm', ['nosuid', 'noexec', 'nodev', 'mode=1777', `size=${shmSize}`])];
}

const KERNEL_MOUNTS = new Set(['/proc', '/dev', '/dev/pts', '/dev/shm', '/dev/mqueue']);

export interface MountPlan {
  defaults: readonly Mount[];
  mounts: readonly ContainerMount[];
  readonlyRootfs: boolean;
  /** Whom idmap=owner is for. */
  user: () => Owner;
  /** mount_setattr(2) with AT_RECURSIVE works: Linux 5.12. */
  recursiveReadOnly: boolean;
  /** Of the container's user namespace; undefined for the host's. */
  userNamespace?: UserMapping | undefined;
}

/**
 * The list for config.json: defaults first, except where the user mounts the same place (all of /dev/… where the
 * user mounts /dev), then the others, a parent before what lies below it.
 */
export function planMounts(plan: MountPlan): Mount[] {
  const wanted = new Set(plan.mounts.map(({ destination }) => cleanPath(destination)));
  const kept = plan.defaults.filter(
    ({ destination }) => !wanted.has(destination) && !(wanted.has('/dev') && destination.startsWith('/dev/')),
  );
  const own = byDepth(plan.mounts).map((one) =>
    one.type === 'bind' ? bindMount(one, plan) : tmpfsMount(one),
  );
  const frozen = plan.readonlyRootfs ? kept.map(readOnlyDefault) : kept;
  return [...frozen, ...own];
}

/** Fewest path components first; equal ones keep their order. */
export function byDepth<T extends { destination: string }>(mounts: readonly T[]): T[] {
  const depth = ({ destination }: T) => cleanPath(destination).split('/').length;
  return [...mounts].sort((a, b) => depth(a) - depth(b));
}

function readOnlyDefault(one: Mount): Mount {
  const options = one.options ?? [];
  if (KERNEL_MOUNTS.has(one.destination) || options.includes('ro')) return one;
  return { ...one, options: [...options, 'ro'] };
}

function bindMount(one: ContainerMount & { type: 'bind' }, plan: MountPlan): Mount {
  const options = [one.nonRecursive === true ? 'bind' : 'rbind'];
  if (one.readOnly) {
    if (one.readOnlyNonRecursive === true && one.readOnlyForceRecursive === true) {
      throw new InvalidParameterError(
        'mount options conflict: ReadOnlyNonRecursive && ReadOnlyForceRecursive',
      );
    }
    if (one.readOnlyForceRecursive === true && !plan.recursiveReadOnly) {
      throw new InvalidParameterError('recursive read-only mounts need Linux 5.12 or newer');
    }
    options.push(plan.recursiveReadOnly && one.readOnlyNonRecursive !== true ? 'rro' : 'ro');
  }
  options.push(one.propagation ?? 'rprivate');
  const map = idMapOf(one, plan);
  if (map !== undefined) options.push(one.nonRecursive === true ? 'idmap' : 'ridmap');
  return { ...mount(cleanPath(one.destination), 'bind', one.source, options), ...map };
}

/** What is the host's keeps its owners: they are nobody's in a container with a user namespace. */
function idMapOf(one: ContainerMount & { type: 'bind' }, plan: MountPlan): MountIdMap | undefined {
  const { userNamespace } = plan;
  const ownersInside = one.ownersInside === true;
  if (one.idmap !== undefined) {
    return resolveIdMap(one.idmap, one.source, plan.user, { userNamespace, ownersInside });
  }
  if (userNamespace === undefined || !ownersInside) return undefined;
  return { uidMappings: userNamespace.uids, gidMappings: userNamespace.gids };
}

/** Pairs of words of which the later one wins, and keys that take a value. */
const TMPFS_FLAGS: Record<string, string> = {
  ro: 'rw',
  rw: 'ro',
  noexec: 'exec',
  exec: 'noexec',
  nosuid: 'suid',
  suid: 'nosuid',
  nodev: 'dev',
  dev: 'nodev',
  sync: 'async',
  async: 'sync',
  atime: 'noatime',
  noatime: 'atime',
  diratime: 'nodiratime',
  nodiratime: 'diratime',
  relatime: 'norelatime',
  norelatime: 'relatime',
  strictatime: 'nostrictatime',
  nostrictatime: 'strictatime',
  rprivate: '',
};
const TMPFS_KEYS = new Set(['size', 'mode', 'uid', 'gid', 'nr_inodes', 'nr_blocks', 'mpol', 'huge']);

function tmpfsMount(one: ContainerMount & { type: 'tmpfs' }): Mount {
  return mount(cleanPath(one.destination), 'tmpfs', 'tmpfs', mergeTmpfsOptions(one.options));
}

/**
 * `noexec,nosuid,nodev,rprivate` and the user's words, of which a later one replaces its opposite or an earlier
 * value. Throws InvalidParameter for a word that is none of tmpfs's.
 */
export function mergeTmpfsOptions(given: string): string[] {
  const merged = ['noexec', 'nosuid', 'nodev', 'rprivate'];
  const remove = (word: string) => {
    const index = merged.indexOf(word);
    if (index >= 0) merged.splice(index, 1);
  };
  for (const word of given.split(',').filter((text) => text !== '')) {
    const [key = '', value] = word.split('=', 2);
    const opposite = TMPFS_FLAGS[word];
    if (opposite !== undefined) {
      remove(word);
      remove(opposite);
    } else if (value !== undefined && TMPFS_KEYS.has(key)) {
      for (const old of merged.filter((option) => option.startsWith(`${key}=`))) remove(old);
    } else {
      throw new InvalidParameterError(`Invalid tmpfs option "${word}"`);
    }
    merged.push(word);
  }
  return merged;
}
