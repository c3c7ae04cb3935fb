/** `--ulimit`, `--device`, `--device-read-bps` and their kin, `--blkio-weight-device`, `--sysctl`. */
import type {
  DeviceMapping,
  DeviceRequest,
  ThrottleDevice,
  Ulimit,
  WeightDevice,
} from '../../api/host-config.ts';
import { splitPair } from './environment.ts';
import { parseBytes } from './quantity.ts';

const ULIMIT_NAMES = [
  'core',
  'cpu',
  'data',
  'fsize',
  'locks',
  'memlock',
  'msgqueue',
  'nice',
  'nofile',
  'nproc',
  'rss',
  'rtprio',
  'rttime',
  'sigpending',
  'stack',
];

/** `nofile=1024[:2048]`; -1 is without limit. */
export function parseUlimit(text: string): Ulimit {
  const [name, values] = splitPair(text);
  if (!text.includes('=')) throw new Error(`invalid ulimit argument: ${text}`);
  if (!ULIMIT_NAMES.includes(name)) throw new Error(`invalid ulimit type: ${name}`);
  const numbers = values.split(':');
  if (numbers.length > 2) {
    throw new Error(`too many limit value arguments - ${values}, can only have up to two, \`soft[:hard]\``);
  }
  const [soft = 0, hard = soft] = numbers.map((number) => {
    if (!/^-?\d+$/.test(number)) throw new Error(`strconv.ParseInt: parsing "${number}": invalid syntax`);
    return Number(number);
  });
  if (hard !== -1 && (soft === -1 || soft > hard)) {
    throw new Error(`ulimit soft limit must be less than or equal to hard limit: ${soft} > ${hard}`);
  }
  return { Name: name, Hard: hard, Soft: soft };
}

export interface DeviceFlags {
  readonly devices: DeviceMapping[];
  readonly requests: DeviceRequest[];
}

/** `host[:container][:rwm]`; a name like `vendor.com/class=device` asks for a CDI device. */
export function deviceFlags(specs: readonly string[]): DeviceFlags {
  const isCdi = (spec: string): boolean => !spec.startsWith('/') && /^[^/]+\/[^=]+=.+$/.test(spec);
  const cdi = specs.filter(isCdi);
  return {
    devices: specs.filter((spec) => !isCdi(spec)).map(parseDevice),
    requests: cdi.length === 0 ? [] : [{ Driver: 'cdi', DeviceIDs: cdi }],
  };
}

function parseDevice(spec: string): DeviceMapping {
  const parts = spec.split(':');
  const [host = '', second = '', third = ''] = parts;
  if (host === '' || parts.length > 3) throw new Error(`invalid device specification: ${spec}`);
  const isMode = (text: string): boolean => /^[rwm]{1,3}$/.test(text) && new Set(text).size === text.length;
  if (parts.length === 3) {
    if (!isMode(third)) throw new Error(`invalid device specification: ${spec}`);
    return { PathOnHost: host, PathInContainer: second === '' ? host : second, CgroupPermissions: third };
  }
  if (isMode(second)) return { PathOnHost: host, PathInContainer: host, CgroupPermissions: second };
  return { PathOnHost: host, PathInContainer: second === '' ? host : second, CgroupPermissions: 'rwm' };
}

/** `/dev/sda:1mb`, in bytes a second. */
export function parseThrottleBps(text: string): ThrottleDevice {
  return throttle(text, (rate) => {
    try {
      return parseBytes(rate);
    } catch {
      throw new Error(
        `invalid rate for device: ${text}. The correct format is <device-path>:<number>[<unit>]. Number must be a positive integer. Unit is optional and can be kb, mb, or gb`,
      );
    }
  });
}

/** `/dev/sda:1000`, in operations a second. */
export function parseThrottleIops(text: string): ThrottleDevice {
  return throttle(text, (rate) => {
    if (/^\d+$/.test(rate)) return Number(rate);
    throw new Error(
      `invalid rate for device: ${text}. The correct format is <device-path>:<number>. Number must be a positive integer`,
    );
  });
}

function throttle(text: string, parseRate: (rate: string) => number): ThrottleDevice {
  const { path, value } = devicePair(text);
  return { Path: path, Rate: parseRate(value) };
}

/** `/dev/sda:500`; 10 to 1000, or 0 to switch it off. */
export function parseWeightDevice(text: string): WeightDevice {
  const { path, value } = devicePair(text);
  const weight = /^\d+$/.test(value) ? Number(value) : Number.NaN;
  if (!(weight === 0 || (weight >= 10 && weight <= 1000)))
    throw new Error(`invalid weight for device: ${text}`);
  return { Path: path, Weight: weight };
}

function devicePair(text: string): { path: string; value: string } {
  const match = /^([^:]+):([^:]+)$/.exec(text);
  if (match === null) throw new Error(`bad format: ${text}`);
  const [, path = '', value = ''] = match;
  if (!path.startsWith('/dev/')) throw new Error(`bad format for device path: ${text}`);
  return { path, value };
}

const SYSCTLS = [
  'kernel.msgmax',
  'kernel.msgmnb',
  'kernel.msgmni',
  'kernel.sem',
  'kernel.shmall',
  'kernel.shmmax',
  'kernel.shmmni',
  'kernel.shm_rmid_forced',
];

/** Only settings that belong to a namespace are let through; the daemon checks again. */
export function parseSysctl(text: string): string {
  const [name] = splitPair(text);
  const known = SYSCTLS.includes(name) || /^(net|fs\.mqueue)\./.test(name);
  if (!text.includes('=') || !known) throw new Error(`sysctl '${text}' is not allowed`);
  return text;
}
