/**
 * Which control group a container gets: linux.cgroupsPath as the cgroup driver wants it, and where that lies below each
 * hierarchy's root. With cgroupfs the runtime makes the folders; with systemd it asks for a transient scope in a slice
 * (systemd.slice(5)). Twin of native/runtime/launch/systemd_unit.c.
 */
import { posix } from 'node:path';
import { InvalidParameterError } from '../base/errors.ts';

export interface CgroupSettings {
  driver: 'cgroupfs' | 'systemd';
  /** Of containers that name none; empty: the driver's usual one. */
  parent: string;
}

export const DEFAULT_CGROUP_PARENT = '/mydock';
const DEFAULT_SLICE = 'system.slice';
/** Scopes are called `mydock-ID.scope`. */
const SCOPE_PREFIX = 'mydock';

export const CGROUPFS: CgroupSettings = { driver: 'cgroupfs', parent: '' };

/** `parent`: the container's own, which wins. A cgroupfs parent that climbs is held at the root of the hierarchy. */
export function containerCgroupsPath(
  id: string,
  parent: string | undefined,
  settings: CgroupSettings,
): string {
  const chosen = parent || settings.parent;
  if (settings.driver === 'systemd') return `${chosen || DEFAULT_SLICE}:${SCOPE_PREFIX}:${id}`;
  return posix.join(posix.normalize(`/${chosen || DEFAULT_CGROUP_PARENT}`), id);
}

/** Throws InvalidParameter, with Docker's text where it has one, for a parent that the driver cannot use. */
export function checkCgroupParent(parent: string, driver: CgroupSettings['driver']): void {
  if (parent === '') return;
  if (driver === 'cgroupfs') {
    // "a:b" would be taken for systemd's form by other runtimes.
    if (/[:\0]/.test(parent)) {
      throw new InvalidParameterError(`invalid cgroup-parent "${parent}": it contains ":" or a NUL byte`);
    }
    return;
  }
  const name = parent.endsWith('.slice') ? parent.slice(0, -'.slice'.length) : '';
  if (name === '') {
    throw new InvalidParameterError(
      'cgroup-parent for systemd cgroup should be a valid slice named as "xxx.slice"',
    );
  }
  if (parent !== '-.slice' && (!/^[\w\\@]+(-[\w\\@]+)*$/.test(name) || parent.length > 255)) {
    throw new InvalidParameterError(`cgroup-parent "${parent}" is no name of a systemd slice`);
  }
}

/** Below each hierarchy's root: `/a.slice/a-b.slice/mydock-ID.scope` for `a-b.slice:mydock:ID`. */
export function cgroupDirectory(cgroupsPath: string): string {
  if (cgroupsPath.startsWith('/')) return cgroupsPath;
  const [slice = '', prefix = '', name = ''] = cgroupsPath.split(':');
  const parts = (slice || DEFAULT_SLICE).slice(0, -'.slice'.length).split('-');
  const slices =
    slice === '-.slice' ? [] : parts.map((_, index) => `${parts.slice(0, index + 1).join('-')}.slice`);
  return `/${[...slices, `${prefix === '' ? '' : `${prefix}-`}${name}.scope`].join('/')}`;
}
