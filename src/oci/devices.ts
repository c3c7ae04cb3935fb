/**
 * Device nodes of a container and the rules of its device cgroup: what every container has, `--device`,
 * `--device-cgroup-rule`, and all of the host's nodes for a privileged one. Reads the host's /dev.
 */
import { type BigIntStats, lstatSync, readdirSync, realpathSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { errnoCode, errorMessage, InvalidParameterError } from '../base/errors.ts';
import type { LinuxDevice, LinuxDeviceRule } from './runtime-spec.ts';

/** HostConfig.Devices[]; an empty `CgroupPermissions` is `rwm`, an empty `PathInContainer` the host's path. */
export interface DeviceMapping {
  PathOnHost: string;
  PathInContainer: string;
  CgroupPermissions: string;
}

export interface ContainerDevices {
  /** Beyond those that an OCI runtime makes by itself (null, zero, full, random, urandom, tty, console, ptmx). */
  devices: LinuxDevice[];
  rules: LinuxDeviceRule[];
}

const ALLOWED: readonly [
  type: 'b' | 'c',
  major: number | undefined,
  minor: number | undefined,
  access: string,
][] = [
  // mknod of any node is allowed, opening it is not.
  ['c', undefined, undefined, 'm'],
  ['b', undefined, undefined, 'm'],
  ['c', 1, 3, 'rwm'], // null
  ['c', 1, 5, 'rwm'], // zero
  ['c', 1, 7, 'rwm'], // full
  ['c', 1, 8, 'rwm'], // random
  ['c', 1, 9, 'rwm'], // urandom
  ['c', 5, 0, 'rwm'], // tty
  ['c', 5, 1, 'rwm'], // console
  ['c', 5, 2, 'rwm'], // ptmx
  ['c', 136, undefined, 'rwm'], // pts/*
];

/** Everything denied, then what each container may use. */
export const DEFAULT_DEVICE_RULES: readonly LinuxDeviceRule[] = [
  { allow: false, access: 'rwm' },
  ...ALLOWED.map(([type, major, minor, access]) => ({
    allow: true,
    type,
    ...(major === undefined ? {} : { major }),
    ...(minor === undefined ? {} : { minor }),
    access,
  })),
];

const DEFAULT_NODES = new Set(['null', 'zero', 'full', 'random', 'urandom', 'tty', 'console', 'ptmx']);
/** Mounts of their own inside /dev, and folders of other tools. */
const SKIPPED_FOLDERS = new Set(['pts', 'shm', 'fd', 'mqueue', '.lxc', '.lxd-mounts', '.udev']);

/** The node at `path` as an OCI device, undefined where it is something else. A link is not followed. */
export function deviceAt(path: string): LinuxDevice | undefined {
  const stat = lstatSync(path, { bigint: true });
  const type = stat.isBlockDevice() ? 'b' : stat.isCharacterDevice() ? 'c' : undefined;
  if (type === undefined) return undefined;
  return {
    path,
    type,
    ...deviceNumbers(stat),
    fileMode: Number(stat.mode & 0o7777n),
    uid: Number(stat.uid),
    gid: Number(stat.gid),
  };
}

/** Splits st_rdev as the C library does (makedev(3)). */
export function deviceNumbers({ rdev }: Pick<BigIntStats, 'rdev'>): { major: number; minor: number } {
  return {
    major: Number(((rdev >> 8n) & 0xfffn) | ((rdev >> 32n) & 0xfffff000n)),
    minor: Number((rdev & 0xffn) | ((rdev >> 12n) & 0xffffff00n)),
  };
}

/** Major and minor of the device that `path` leads to, links followed. Throws InvalidParameter where it cannot be read. */
export function deviceNumbersOf(path: string): { major: number; minor: number } {
  try {
    return deviceNumbers(statSync(path, { bigint: true }));
  } catch (error) {
    throw new InvalidParameterError(`cannot read device ${path}`, error);
  }
}

/** All nodes of the host's /dev (`root` in tests), except those that the runtime makes, in name order. */
export function hostDevices(root = '/dev'): LinuxDevice[] {
  const found: LinuxDevice[] = [];
  for (const entry of sortedEntries(root)) {
    const path = join(root, entry.name);
    if (entry.isDirectory()) {
      if (!SKIPPED_FOLDERS.has(entry.name)) found.push(...nodesBelow(path));
    } else if (!DEFAULT_NODES.has(entry.name)) {
      found.push(...nodeOrNothing(path));
    }
  }
  return found;
}

function nodesBelow(folder: string): LinuxDevice[] {
  return sortedEntries(folder).flatMap((entry) => {
    const path = join(folder, entry.name);
    return entry.isDirectory() ? nodesBelow(path) : nodeOrNothing(path);
  });
}

function sortedEntries(folder: string) {
  return readdirSync(folder, { withFileTypes: true }).sort((a, b) => (a.name < b.name ? -1 : 1));
}

/** Nodes come and go while a folder is read; one that has gone is not there. */
function nodeOrNothing(path: string): LinuxDevice[] {
  try {
    const device = deviceAt(path);
    return device === undefined ? [] : [device];
  } catch {
    return [];
  }
}

/**
 * One `--device`. A link is followed; a folder gives every node below it. Throws InvalidParameter with Docker's text
 * where there is no device.
 */
export function mappedDevices(mapping: DeviceMapping): ContainerDevices {
  const target = mapping.PathInContainer === '' ? mapping.PathOnHost : mapping.PathInContainer;
  const access = mapping.CgroupPermissions === '' ? 'rwm' : mapping.CgroupPermissions;
  if (!/^[rwm]{1,3}$/.test(access)) throw new InvalidParameterError(`invalid device mode: ${access}`);
  const devices = devicesBehind(mapping.PathOnHost, target);
  return { devices, rules: devices.map(({ type, major, minor }) => rule(type, major, minor, access)) };
}

function devicesBehind(hostPath: string, target: string): LinuxDevice[] {
  let reason = 'not a device node';
  try {
    const resolved = realpathSync(hostPath);
    const device = deviceAt(resolved);
    if (device !== undefined) return [{ ...device, path: target }];
    if (statSync(resolved).isDirectory()) {
      const nodes = nodesBelow(resolved);
      if (nodes.length > 0)
        return nodes.map((node) => ({ ...node, path: target + node.path.slice(resolved.length) }));
    }
  } catch (error) {
    reason = errnoCode(error) === 'ENOENT' ? 'no such file or directory' : errorMessage(error);
  }
  throw new InvalidParameterError(
    `error gathering device information while adding custom device "${hostPath}": ${reason}`,
  );
}

function rule(type: LinuxDevice['type'], major: number, minor: number, access: string): LinuxDeviceRule {
  return { allow: true, type: type === 'b' ? 'b' : 'c', major, minor, access };
}

const CGROUP_RULE = /^([acb]) (\d+|\*):(\d+|\*) ([rwm]{1,3})$/;

/** One `--device-cgroup-rule` (`c 42:* rmw`). */
export function parseDeviceRule(text: string): LinuxDeviceRule {
  const match = CGROUP_RULE.exec(text);
  if (match === null) throw new InvalidParameterError(`invalid device cgroup rule format: '${text}'`);
  const [, type, major, minor, access] = match as unknown as [
    string,
    'a' | 'b' | 'c',
    string,
    string,
    string,
  ];
  return {
    allow: true,
    type,
    ...(major === '*' ? {} : { major: Number(major) }),
    ...(minor === '*' ? {} : { minor: Number(minor) }),
    access,
  };
}

export interface DeviceRequest {
  privileged: boolean;
  mappings: readonly DeviceMapping[];
  /** HostConfig.DeviceCgroupRules. */
  rules: readonly string[];
}

/** Everything together, as `linux.devices` and `linux.resources.devices`. Privileged: all nodes, all allowed. */
export function containerDevices(request: DeviceRequest): ContainerDevices {
  const rules = request.rules.map(parseDeviceRule);
  if (request.privileged) {
    const moved = request.mappings.filter(
      ({ PathOnHost, PathInContainer }) => PathInContainer !== PathOnHost,
    );
    return {
      devices: lastOfEachPath([
        ...hostDevices(),
        ...moved.flatMap((mapping) => mappedDevices(mapping).devices),
      ]),
      rules: [{ allow: true, access: 'rwm' }],
    };
  }
  const mapped = request.mappings.map(mappedDevices);
  return {
    devices: lastOfEachPath(mapped.flatMap(({ devices }) => devices)),
    rules: [...DEFAULT_DEVICE_RULES, ...mapped.flatMap((one) => one.rules), ...rules],
  };
}

function lastOfEachPath(devices: LinuxDevice[]): LinuxDevice[] {
  return [...new Map(devices.map((device) => [device.path, device])).values()];
}
