/**
 * What a run makes of a container's mounts: host folders made, volumes mounted, images mounted, and all of it put into
 * OCI mounts. Mounts of images lie in the run's bundle, `images/<n>`, and parts of volumes and images while the
 * container starts, `parts/<n>`; volumes are held by the run's name.
 */
import { readdirSync, rmdirSync } from 'node:fs';
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { errnoCode, InternalError, InvalidParameterError } from '../base/errors.ts';
import { makeDirectory, makeDirectoryAsync } from '../base/make-directory.ts';
import type { MountOwners } from '../image/layers/mapped-mounts.ts';
import type { Snapshotter } from '../image/layers/snapshotter.ts';
import type { ContainerMount } from '../oci/mounts.ts';
import { mountConfined, prepareConfined } from './confined-bind.ts';
import type { ContainerMountPoint } from './mount-points.ts';
import { mountPart, unmountPart } from './part-mount.ts';
import { requirePropagation } from './propagation.ts';
import type { VolumeStore } from './volume-store.ts';

export interface MountedRun {
  /** Holds the volumes, until `releaseMounts`: a container's ID, or another unique name. */
  user: string;
  /** The folder of the run's own, for the mounts of images. */
  bundle: string;
  /** The container's mounted root, from which volumes are filled. */
  rootfs: string;
  /** Whom the files of mounted images belong to; left out: as on the disk. */
  owners?: MountOwners;
}

export interface MountSources {
  volumes: VolumeStore;
  snapshotter: Snapshotter;
}

/**
 * What a run needs before the container's mounts are made: missing host folders of `-v`, volumes and images mounted.
 * Volumes whose first filling a crash has cut short are filled. Call `releaseMounts` at the end, also where this fails.
 * Throws InvalidParameter where a bind's source has gone.
 */
export async function prepareMounts(
  mounts: readonly ContainerMountPoint[],
  { volumes, snapshotter }: MountSources,
  { user, bundle, rootfs, owners }: MountedRun,
): Promise<void> {
  for (const [index, mount] of mounts.entries()) {
    if (mount.confinedTo !== undefined) prepareConfined(mount, mount.confinedTo);
    else if (mount.type === 'bind') {
      await prepareBind(mount);
      await requirePropagation(mount);
    }
    if (mount.type === 'image') await mountImage(mount, snapshotter, imagePath(bundle, index), owners);
    if (mount.type !== 'volume') continue;
    await volumes.mount(mount.name, user);
    if (fillsWhole(mount) && volumes.isUnfilled(mount.name)) {
      await volumes.copyUp(mount.name, rootfs, mount.destination);
    }
  }
}

/** Undoes `prepareMounts`; nothing to undo is no error. */
export async function releaseMounts(
  mounts: readonly ContainerMountPoint[],
  { volumes, snapshotter }: MountSources,
  { user, bundle }: Omit<MountedRun, 'rootfs'>,
): Promise<void> {
  await volumes.release(volumeNames(mounts), user);
  await unmountBundle(snapshotter, bundle);
}

/** Fills the empty ones among a new container's volumes with what its image has in their places. */
export async function fillVolumes(
  mounts: readonly ContainerMountPoint[],
  volumes: VolumeStore,
  { user, rootfs }: Omit<MountedRun, 'bundle'>,
): Promise<void> {
  for (const mount of mounts.filter(fillsWhole)) {
    try {
      await volumes.mount(mount.name, user);
      await volumes.copyUp(mount.name, rootfs, mount.destination);
    } finally {
      await volumes.release([mount.name], user);
    }
  }
}

/** Whether an empty volume is filled for this mount. A part of a volume is taken as it is. */
export function fillsWhole({ type, copyUp, subpath }: ContainerMountPoint): boolean {
  return type === 'volume' && copyUp && subpath === '';
}

/** Names of the volumes among the mounts. */
export function volumeNames(mounts: readonly ContainerMountPoint[]): string[] {
  return mounts.filter(({ type }) => type === 'volume').map(({ name }) => name);
}

/** Sources on hosts that do not answer hold up this call, not the daemon. */
async function prepareBind(mount: ContainerMountPoint): Promise<void> {
  if (await exists(mount.source)) return;
  if (!mount.createSource) {
    throw new InvalidParameterError(
      `invalid mount config for type "bind": bind source path does not exist: ${mount.source}`,
    );
  }
  try {
    await makeDirectoryAsync(mount.source, 0o755);
  } catch (error) {
    if (errnoCode(error) === 'EEXIST') return;
    throw new InvalidParameterError(`error while creating mount source path '${mount.source}'`, error);
  }
}

async function exists(path: string): Promise<boolean> {
  try {
    await stat(path);
    return true;
  } catch (error) {
    if (errnoCode(error) === 'ENOENT' || errnoCode(error) === 'ENOTDIR') return false;
    throw new InvalidParameterError(
      `invalid mount config for type "bind": cannot look at bind source path ${path}`,
      error,
    );
  }
}

function imagePath(bundle: string, index: number): string {
  return join(bundle, 'images', String(index));
}

async function mountImage(
  mount: ContainerMountPoint,
  snapshotter: Snapshotter,
  target: string,
  owners: MountOwners | undefined,
): Promise<void> {
  const { image } = mount;
  if (image === undefined) throw new InternalError(`mount at ${mount.destination}: its image is not known`);
  makeDirectory(target, 0o700);
  await snapshotter.mount({ layers: image.layers, target, ...(owners === undefined ? {} : { owners }) });
}

/**
 * Takes away the mounts in a run's bundle, whichever daemon made them. Before the bundle is removed: what is mounted
 * there would go with it.
 */
export async function unmountBundle(snapshotter: Snapshotter, bundle: string): Promise<void> {
  const parts = join(bundle, 'parts');
  for (const name of namesIn(parts)) unmountPart(join(parts, name));
  const images = join(bundle, 'images');
  for (const name of namesIn(images)) {
    await snapshotter.unmount(join(images, name));
    rmdirSync(join(images, name));
  }
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch (error) {
    if (errnoCode(error) === 'ENOENT') return [];
    throw error;
  }
}

/**
 * The mounts for generateSpec, once they are prepared. Parts of volumes and images are resolved inside them and mounted
 * in the bundle, so that they stay the same whatever another container does with their names: call `release` when the
 * container's mounts are made.
 */
export function containerMounts(
  mounts: readonly ContainerMountPoint[],
  bundle: string,
  volumes: Pick<VolumeStore, 'hasForeignOwners' | 'path'>,
): { mounts: ContainerMount[]; release(): void } {
  const parts: string[] = [];
  const sourceOf = (mount: ContainerMountPoint, index: number): string => {
    const whole = wholeSource(mount, imagePath(bundle, index), volumes);
    if (mount.subpath === '' && mount.confinedTo === undefined) return whole;
    const part = join(bundle, 'parts', String(index));
    if (mount.confinedTo === undefined) mountPart(whole, mount, part);
    else mountConfined(mount, mount.confinedTo, part);
    parts.push(part);
    return part;
  };
  const release = (): void => {
    for (const part of parts.splice(0)) unmountPart(part);
  };
  try {
    const made = mounts.map((mount, index) => ({
      ...containerMount(mount, sourceOf(mount, index)),
      ...(mount.type === 'volume' && !volumes.hasForeignOwners(mount.name) ? { ownersInside: true } : {}),
    }));
    return { mounts: made, release };
  } catch (error) {
    release();
    throw error;
  }
}

/** A volume is where its store has it: the path that its container was made with may lie in another data root. */
function wholeSource(mount: ContainerMountPoint, image: string, volumes: Pick<VolumeStore, 'path'>): string {
  if (mount.type === 'image') return image;
  return mount.type === 'volume' ? volumes.path(mount.name) : mount.source;
}

function containerMount(mount: ContainerMountPoint, source: string): ContainerMount {
  if (mount.type === 'tmpfs') {
    return { type: 'tmpfs', destination: mount.destination, options: mount.tmpfsOptions };
  }
  return {
    type: 'bind',
    source,
    destination: mount.destination,
    readOnly: mount.readOnly,
    propagation: mount.propagation === '' ? 'rprivate' : mount.propagation,
    // A part of a file system of ours has nothing below it.
    nonRecursive: mount.nonRecursive || mount.type === 'image',
    readOnlyNonRecursive: mount.readOnlyNonRecursive,
    readOnlyForceRecursive: mount.readOnlyForceRecursive,
    ...((mount.idmap ?? '') === '' ? {} : { idmap: mount.idmap }),
  };
}
