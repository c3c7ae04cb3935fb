/**
 * The mounts of one container: `--volumes-from`, `-v`, `--mount`, `--tmpfs` and the image's VOLUMEs put together in
 * Docker's order of precedence, volumes made for them, and how they are described. What a run makes of them stands in
 * run-mounts.ts.
 */
import { stat } from 'node:fs/promises';
import type { ContainerConfig } from '../api/containers.ts';
import type { HostConfig } from '../api/host-config.ts';
import type { Mount, MountPoint } from '../api/mounts.ts';
import { EngineError, InvalidParameterError } from '../base/errors.ts';
import type { DiffID, ImageID } from '../image/digest.ts';
import { byDepth, cleanPath } from '../oci/mounts.ts';
import { isValidMode, type MountHost, type MountSpec, parseBind, parseMount } from './mount-spec.ts';
import type { VolumeStore } from './volume-store.ts';

/** What is kept with a container: plain data, survives JSON. */
export interface ContainerMountPoint extends MountSpec {
  /** Of a volume; of a mounted image, the reference as the user wrote it. */
  name: string;
  /** A volume made without a name for this mount, or for that of another container: it goes with `rm -v` and `--rm`. */
  anonymous?: boolean;
  /** Of a mounted image, which a later image of that name does not change. */
  image?: { id: ImageID; layers: DiffID[] };
  /** Of a bind: the host folder in which `subpath` is looked up at every start (confined-bind.ts). */
  confinedTo?: string;
}

export interface MountRequest {
  config: Pick<ContainerConfig, 'Volumes'>;
  hostConfig: Pick<HostConfig, 'Binds' | 'Mounts' | 'VolumesFrom' | 'Tmpfs' | 'VolumeDriver'>;
  /** The mount points of a container by name or ID, for VolumesFrom. Throws NotFound. */
  mountPointsOf(container: string): readonly ContainerMountPoint[];
  /** The image that is to be mounted. Throws NotFound. */
  imageOf(reference: string): { id: ImageID; diffIds: DiffID[] };
  host: MountHost;
  /** Read-only binds of `-v` leave the mounts below them writable: clients before version 1.44 of the API mean that. */
  readOnlyNonRecursive?: boolean;
}

/**
 * The host as it is, as far as these mounts ask for it; `selinux` from HostFacts. Sources are looked at on the thread
 * pool: some lie on hosts that do not answer.
 */
export async function realMountHost(
  selinux: boolean,
  mounts: readonly Mount[] | null | undefined,
): Promise<MountHost> {
  const sources = (mounts ?? []).flatMap(({ Type, Source }) => (Type === 'bind' && Source ? [Source] : []));
  const found = await Promise.all(
    sources.map(async (path) =>
      stat(path).then(
        () => [path],
        () => [],
      ),
    ),
  );
  const existing = new Set(found.flat());
  return { selinux, exists: (path) => existing.has(path) };
}

/**
 * All mounts of a container, checked, parents before what lies below them. Nothing is changed: call it before
 * anything is made. Throws InvalidParameter with Docker's texts (`Duplicate mount point: /x`).
 */
export function collectMounts(request: MountRequest): RequestedMount[] {
  const { hostConfig, config } = request;
  const found = new Map<string, RequestedMount>();
  for (const from of hostConfig.VolumesFrom ?? []) {
    for (const mount of volumesFrom(from, request)) found.set(mount.destination, mount);
  }
  const tmpfs = Object.entries(hostConfig.Tmpfs ?? {}).map(([path, options]) => tmpfsSpec(path, options));
  const taken = new Set(tmpfs.map(({ destination }) => destination));
  const explicit = [
    ...(hostConfig.Binds ?? []).map((raw) => requestedBind(raw, request)),
    ...(hostConfig.Mounts ?? []).map((mount) => parseMount(mount, request.host)),
  ];
  for (const mount of explicit) {
    if (taken.has(mount.destination)) {
      throw new InvalidParameterError(`Duplicate mount point: ${mount.destination}`);
    }
    taken.add(mount.destination);
    found.set(mount.destination, mount.type === 'image' ? withImage(mount, request) : mount);
  }
  for (const mount of tmpfs) found.set(mount.destination, mount);
  for (const path of Object.keys(config.Volumes ?? {})) {
    const mount = { ...imageVolume(path, request.host), driver: hostConfig.VolumeDriver ?? '' };
    if (!found.has(mount.destination)) found.set(mount.destination, mount);
  }
  return byDepth([...found.values()]);
}

function requestedBind(raw: string, { hostConfig, host, readOnlyNonRecursive }: MountRequest): MountSpec {
  const mount = parseBind(raw, host, hostConfig.VolumeDriver ?? '');
  if (mount.type !== 'bind' || readOnlyNonRecursive !== true) return mount;
  return { ...mount, readOnlyNonRecursive: true };
}

/** A mount that is not made yet; of volumes-from and images more is known than of others. */
export type RequestedMount = MountSpec & Pick<ContainerMountPoint, 'anonymous' | 'image' | 'confinedTo'>;

function withImage(mount: MountSpec, request: MountRequest): RequestedMount {
  const { id, diffIds } = request.imageOf(mount.source);
  return { ...mount, image: { id, layers: diffIds } };
}

/** Modes that say how a mount propagates or is filled were said where it was first asked for. */
const FROM_MODES = new Set(['rw', 'ro', 'z', 'Z', 'consistent', 'cached', 'delegated']);

function volumesFrom(text: string, request: MountRequest): RequestedMount[] {
  if (text === '') throw new InvalidParameterError('volumes-from specification cannot be an empty string');
  const [, container = '', mode = ''] = /^([^:]*):?(.*)$/s.exec(text) ?? [];
  const words = mode === '' ? [] : mode.split(',');
  if (!isValidMode(mode) || !words.every((word) => FROM_MODES.has(word))) {
    throw new InvalidParameterError(`invalid mode: ${mode}`);
  }
  return mountPointsFrom(container, request)
    .filter(({ type }) => type !== 'tmpfs')
    .map(({ name, ...mount }) => ({
      ...mount,
      source: mount.type === 'bind' ? mount.source : name,
      readOnly: mount.readOnly || words.includes('ro'),
      copyUp: false,
    }));
}

/** A container that is missing is a mistake in the request, as in Docker's answer, and no missing object of it. */
function mountPointsFrom(container: string, request: MountRequest): readonly ContainerMountPoint[] {
  try {
    return request.mountPointsOf(container);
  } catch (error) {
    if (error instanceof EngineError && error.kind === 'NotFound') {
      throw new InvalidParameterError(error.message);
    }
    throw error;
  }
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
 * Makes the volumes that are missing and declares their use by `container`. What is made is added to `made` one by one,
 * so that its owner can let go of it where a later one fails. Throws InvalidParameter, NotFound.
 */
export function createVolumes(
  mounts: readonly RequestedMount[],
  store: VolumeStore,
  container: string,
  made: ContainerMountPoint[] = [],
): ContainerMountPoint[] {
  for (const mount of mounts) {
    if (mount.type === 'volume') made.push(createVolume(mount, store, container));
    else made.push({ ...mount, name: mount.type === 'image' ? mount.source : '' });
  }
  return made;
}

function createVolume(mount: RequestedMount, store: VolumeStore, container: string): ContainerMountPoint {
  const volume = store.create(
    {
      Name: mount.source,
      Driver: mount.driver ?? '',
      DriverOpts: mount.driverOptions ?? {},
      Labels: mount.labels,
    },
    container,
  );
  return {
    ...mount,
    name: volume.Name,
    source: volume.Mountpoint,
    anonymous: mount.source === '' || mount.anonymous === true,
    mode: mount.mode === '' && mount.source !== '' ? 'z' : mount.mode,
  };
}

/** The layers of the images among the mounts, which must stay as long as the container. */
export function mountedLayers(mounts: readonly ContainerMountPoint[]): DiffID[] {
  return mounts.flatMap(({ image }) => image?.layers ?? []);
}

/** As inspect and list show them, volumes where `store` has them; `--tmpfs` mounts stand in HostConfig.Tmpfs alone. */
export function describeMounts(
  mounts: readonly ContainerMountPoint[],
  hostConfig: Pick<HostConfig, 'Tmpfs'>,
  store: Pick<VolumeStore, 'path'>,
): MountPoint[] {
  const short = new Set(Object.keys(hostConfig.Tmpfs ?? {}).map(cleanPath));
  return mounts
    .filter(({ type, destination }) => type !== 'tmpfs' || !short.has(destination))
    .map((mount) => ({
      Type: mount.type,
      ...(mount.name === '' ? {} : { Name: mount.name }),
      Source: mount.type === 'volume' ? store.path(mount.name) : (mount.image?.id ?? mount.source),
      Destination: mount.destination,
      ...(mount.type === 'volume' ? { Driver: 'local' } : {}),
      Mode: mount.mode,
      RW: !mount.readOnly,
      Propagation: mount.propagation,
    }));
}
