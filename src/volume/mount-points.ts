/**
 * The mounts of one container: `--volumes-from`, `-v`, `--mount`, `--tmpfs` and the image's VOLUMEs put together in
 * Docker's order of precedence, volumes made for them, and what they are at start: host folders made, volumes filled,
 * OCI mounts.
 */
import { mkdirSync, statSync } from 'node:fs';
import type { ContainerConfig } from '../api/containers.ts';
import type { HostConfig } from '../api/host-config.ts';
import type { MountPoint } from '../api/mounts.ts';
import { errnoCode, InvalidParameterError } from '../base/errors.ts';
import { byDepth, type ContainerMount, cleanPath } from '../oci/mounts.ts';
import { type MountHost, type MountSpec, parseBind, parseMount } from './mount-spec.ts';
import { openVolumeSubpath } from './subpath.ts';
import type { VolumeStore } from './volume-store.ts';

/** What is kept with a container: plain data, survives JSON. `name` is set for volumes. */
export interface ContainerMountPoint extends MountSpec {
  name: string;
}

export interface MountRequest {
  config: Pick<ContainerConfig, 'Volumes'>;
  hostConfig: Pick<HostConfig, 'Binds' | 'Mounts' | 'VolumesFrom' | 'Tmpfs'>;
  /** The mount points of a container by name or ID, for VolumesFrom. Throws NotFound. */
  mountPointsOf(container: string): readonly ContainerMountPoint[];
  host: MountHost;
}

/** The host as it is; `selinux` from HostFacts. */
export function realMountHost(selinux: boolean): MountHost {
  return { selinux, exists: (path) => statSync(path, { throwIfNoEntry: false }) !== undefined };
}

/**
 * All mounts of a container, checked, parents before what lies below them. Nothing is changed: call it before
 * anything is made. Throws InvalidParameter with Docker's texts (`Duplicate mount point: /x`).
 */
export function collectMounts(request: MountRequest): MountSpec[] {
  const { hostConfig, config } = request;
  const found = new Map<string, MountSpec>();
  for (const from of hostConfig.VolumesFrom ?? []) {
    for (const mount of volumesFrom(from, request)) found.set(mount.destination, mount);
  }
  const tmpfs = Object.entries(hostConfig.Tmpfs ?? {}).map(([path, options]) => tmpfsSpec(path, options));
  const taken = new Set(tmpfs.map(({ destination }) => destination));
  const explicit = [
    ...(hostConfig.Binds ?? []).map((raw) => parseBind(raw, request.host)),
    ...(hostConfig.Mounts ?? []).map((mount) => parseMount(mount, request.host)),
  ];
  for (const mount of explicit) {
    if (taken.has(mount.destination)) {
      throw new InvalidParameterError(`Duplicate mount point: ${mount.destination}`);
    }
    taken.add(mount.destination);
    found.set(mount.destination, mount);
  }
  for (const mount of tmpfs) found.set(mount.destination, mount);
  for (const path of Object.keys(config.Volumes ?? {})) {
    const mount = imageVolume(path, request.host);
    if (!found.has(mount.destination)) found.set(mount.destination, mount);
  }
  return byDepth([...found.values()]);
}

function volumesFrom(text: string, request: MountRequest): MountSpec[] {
  if (text === '') throw new InvalidParameterError('volumes-from specification cannot be an empty string');
  const [container = '', mode] = text.split(':', 2);
  if (mode !== undefined && !['', 'rw', 'ro', 'z', 'Z'].includes(mode)) {
    throw new InvalidParameterError(`invalid mode: ${mode}`);
  }
  return request
    .mountPointsOf(container)
    .filter(({ type }) => type !== 'tmpfs')
    .map(({ name, ...mount }) => ({
      ...mount,
      source: mount.type === 'volume' ? name : mount.source,
      readOnly: mount.readOnly || mode === 'ro',
      copyUp: false,
    }));
}

/** A VOLUME may also be written as a bind with its colon; it is a path in the container. */
function imageVolume(path: string, host: MountHost): MountSpec {
  return parseMount({ Type: 'volume', Target: path.startsWith('/') ? path : `/${path}` }, host);
}

function tmpfsSpec(path: string, options: string): MountSpec {
  return {
    type: 'tmpfs',
    source: '',
    destination: cleanPath(path),
    readOnly: options.split(',').includes('ro'),
    mode: '',
    propagation: '',
    nonRecursive: false,
    readOnlyNonRecursive: false,
    readOnlyForceRecursive: false,
    createSource: false,
    copyUp: false,
    subpath: '',
    labels: {},
    tmpfsOptions: options,
  };
}

/**
 * Makes the volumes that are missing and declares their use by `container`. On failure what was made for it stays
 * unused: call `releaseReferences` and remove anonymous ones as for a removed container.
 */
export function createVolumes(
  mounts: readonly MountSpec[],
  store: VolumeStore,
  container: string,
): ContainerMountPoint[] {
  return mounts.map((mount) => {
    if (mount.type !== 'volume') return { ...mount, name: '' };
    const volume = store.create({ Name: mount.source, Driver: 'local', Labels: mount.labels }, container);
    const mode = mount.mode === '' && mount.source !== '' ? 'z' : mount.mode;
    return { ...mount, name: volume.Name, source: volume.Mountpoint, mode };
  });
}

/**
 * What a start needs before the container's mounts are made: missing host folders of `-v`, and empty volumes filled
 * from the mounted `rootfs`. Throws InvalidParameter where a bind's source has gone.
 */
export async function prepareMounts(
  mounts: readonly ContainerMountPoint[],
  store: VolumeStore,
  rootfs: string,
): Promise<void> {
  for (const mount of mounts) {
    if (mount.type === 'bind') prepareBind(mount);
    else if (mount.type === 'volume' && mount.copyUp && mount.subpath === '') {
      await store.copyUp(mount.name, rootfs, mount.destination);
    }
  }
}

function prepareBind(mount: ContainerMountPoint): void {
  if (statSync(mount.source, { throwIfNoEntry: false }) !== undefined) return;
  if (!mount.createSource) {
    throw new InvalidParameterError(
      `invalid mount config for type "bind": bind source path does not exist: ${mount.source}`,
    );
  }
  try {
    mkdirSync(mount.source, { recursive: true, mode: 0o755 });
  } catch (error) {
    if (errnoCode(error) === 'EEXIST') return;
    throw new InvalidParameterError(`error while creating mount source path '${mount.source}'`, error);
  }
}

/**
 * The mounts for generateSpec. Subpaths of volumes are resolved inside the volume and pinned by descriptors, whose
 * `/proc/<pid>/fd` paths are the sources: keep them open until the container's mounts are made, then call `release`.
 */
export function containerMounts(mounts: readonly ContainerMountPoint[]): {
  mounts: ContainerMount[];
  release(): void;
} {
  const pins: { path: string; close(): void }[] = [];
  const sourceOf = (mount: ContainerMountPoint) => {
    if (mount.type !== 'volume' || mount.subpath === '') return mount.source;
    const pin = openVolumeSubpath(mount.source, mount.subpath);
    pins.push(pin);
    return pin.path;
  };
  const release = () => {
    for (const pin of pins.splice(0)) pin.close();
  };
  try {
    return { mounts: mounts.map((mount) => containerMount(mount, sourceOf)), release };
  } catch (error) {
    release();
    throw error;
  }
}

function containerMount(
  mount: ContainerMountPoint,
  sourceOf: (mount: ContainerMountPoint) => string,
): ContainerMount {
  if (mount.type === 'tmpfs') {
    return { type: 'tmpfs', destination: mount.destination, options: mount.tmpfsOptions };
  }
  return {
    type: 'bind',
    source: sourceOf(mount),
    destination: mount.destination,
    readOnly: mount.readOnly,
    propagation: mount.propagation === '' ? 'rprivate' : mount.propagation,
    nonRecursive: mount.nonRecursive,
    readOnlyNonRecursive: mount.readOnlyNonRecursive,
    readOnlyForceRecursive: mount.readOnlyForceRecursive,
    ...((mount.idmap ?? '') === '' ? {} : { idmap: mount.idmap }),
  };
}

/** As inspect and list show them; `--tmpfs` mounts stand in HostConfig.Tmpfs alone. */
export function describeMounts(
  mounts: readonly ContainerMountPoint[],
  hostConfig: Pick<HostConfig, 'Tmpfs'>,
): MountPoint[] {
  const short = new Set(Object.keys(hostConfig.Tmpfs ?? {}).map(cleanPath));
  return mounts
    .filter(({ type, destination }) => type !== 'tmpfs' || !short.has(destination))
    .map((mount) => ({
      Type: mount.type,
      ...(mount.name === '' ? {} : { Name: mount.name }),
      Source: mount.source,
      Destination: mount.destination,
      ...(mount.type === 'volume' ? { Driver: 'local' } : {}),
      Mode: mount.mode,
      RW: !mount.readOnly,
      Propagation: mount.propagation,
    }));
}
