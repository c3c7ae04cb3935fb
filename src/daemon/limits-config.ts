/**
 * The daemon's directives on control groups and limits: the cgroup driver, parents, and defaults for containers that
 * say nothing themselves.
 */
import { existsSync } from 'node:fs';
import type { Ulimit } from '../api/host-config.ts';
import { InvalidParameterError } from '../base/errors.ts';
import type { LimitDefaults } from '../container/limit-defaults.ts';
import { type CgroupSettings, checkCgroupParent } from '../oci/cgroup-path.ts';
import { DEFAULT_SHM_SIZE } from '../oci/mounts.ts';
import { rlimits } from '../oci/process.ts';
import { directive } from './directive.ts';

export interface LimitsConfig {
  /** `native.cgroupdriver=cgroupfs` or `=systemd`. */
  execOpts: string[];
  /** Empty: the driver's usual one. */
  cgroupParent: string;
  /** Empty: private, but for privileged containers on cgroup v1. */
  defaultCgroupnsMode: string;
  /** Bytes. */
  defaultShmSize: number;
  defaultUlimits: Record<string, Ulimit>;
}

export const LIMIT_DIRECTIVES = [
  directive(
    'exec-opt',
    'exec-opts',
    'execOpts',
    'list',
    'Runtime option: native.cgroupdriver=cgroupfs|systemd',
  ),
  directive(
    'cgroup-parent',
    'cgroup-parent',
    'cgroupParent',
    'text',
    'Parent cgroup of containers that name none',
  ),
  directive(
    'default-cgroupns-mode',
    'default-cgroupns-mode',
    'defaultCgroupnsMode',
    'text',
    'Cgroup namespace of containers that name none: host or private',
  ),
  directive('default-shm-size', 'default-shm-size', 'defaultShmSize', 'rate', 'Default size of /dev/shm'),
  directive(
    'default-ulimit',
    'default-ulimits',
    'defaultUlimits',
    'ulimits',
    'Default ulimit of containers: NAME=SOFT[:HARD]',
  ),
] as const;

export function limitsConfigDefaults(): LimitsConfig {
  return {
    execOpts: [],
    cgroupParent: '',
    defaultCgroupnsMode: '',
    defaultShmSize: DEFAULT_SHM_SIZE,
    defaultUlimits: {},
  };
}

/** Throws InvalidParameter with Docker's texts. */
export function checkLimitsConfig(config: LimitsConfig): void {
  const { driver, parent } = cgroupSettings(config);
  checkCgroupParent(parent, driver);
  if (!['', 'host', 'private'].includes(config.defaultCgroupnsMode)) {
    throw new InvalidParameterError(
      `default cgroup namespace mode (${config.defaultCgroupnsMode}) is invalid; use "host" or "private"`,
    );
  }
  rlimits(Object.values(config.defaultUlimits));
}

/** Other keys than the driver's have no meaning here and are passed over, as Docker does. */
export function cgroupSettings({ execOpts, cgroupParent }: LimitsConfig): CgroupSettings {
  let driver: CgroupSettings['driver'] = 'cgroupfs';
  for (const option of execOpts) {
    const [key = '', value = ''] = option.split(/=(.*)/s);
    if (key.toLowerCase() !== 'native.cgroupdriver') continue;
    if (value !== 'cgroupfs' && value !== 'systemd') {
      throw new InvalidParameterError(`native.cgroupdriver option ${value} not supported`);
    }
    driver = value;
  }
  return { driver, parent: cgroupParent };
}

/** sd_booted(3). Throws InvalidParameter: without systemd every start would fail. */
export function requireSystemd({ driver }: CgroupSettings): void {
  if (driver === 'systemd' && !existsSync('/run/systemd/system')) {
    throw new InvalidParameterError('native.cgroupdriver=systemd: this host does not run systemd');
  }
}

export function limitDefaults(config: LimitsConfig): LimitDefaults {
  return {
    shmSize: config.defaultShmSize,
    cgroupnsMode: config.defaultCgroupnsMode as LimitDefaults['cgroupnsMode'],
    ulimits: config.defaultUlimits,
  };
}
