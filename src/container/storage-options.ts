/**
 * `--storage-opt size=` of a container: judged as Docker does, and kept by a project quota over what the container
 * writes, its upper and work directories. Overlayfs writes there as whoever mounted it, without CAP_SYS_RESOURCE, which
 * it gives up for itself: ext4, which lets that capability past its quotas, holds privileged containers as well.
 */
import { existsSync } from 'node:fs';
import type { HostConfig } from '../api/host-config.ts';
import { errorMessage, InvalidParameterError } from '../base/errors.ts';
import { log } from '../base/log.ts';
import { removeTreeSync } from '../image/layers/native-archive.ts';
import {
  checkSizeOption,
  liftSizeLimit,
  limitTree,
  shareSizeLimit,
  sizeLimitObstacle,
  suspendSizeLimit,
} from '../volume/quota.ts';
import type { ContainerPaths } from './paths.ts';
import type { ContainerRecord } from './record.ts';

/**
 * Throws InvalidParameter for an unknown option, a wrong size, and where the file system of the data root has no
 * project quotas.
 */
export function checkStorageOptions(options: HostConfig['StorageOpt'], dataRoot: string): void {
  for (const [name, value] of Object.entries(options ?? {})) {
    if (name.toLowerCase() !== 'size') throw new InvalidParameterError(`unknown option ${name}`);
    checkSizeOption(value);
    const obstacle = sizeLimitObstacle(dataRoot);
    if (obstacle !== undefined) {
      throw new InvalidParameterError(
        `--storage-opt is supported only for overlay over xfs with 'pquota' mount option: ${obstacle}`,
      );
    }
  }
}

/**
 * Mounts the container's root, held to its size from then on. `upper` and `work` are one project, between which overlayfs
 * renames and links. While `mount` runs there is no limit: overlayfs makes a directory in `work` each time, and where
 * that fails, as on a full xfs project, it mounts read-only without a word, so that not even files could be removed.
 * Throws Unavailable where the file system, perhaps another one since the container was made, cannot limit.
 */
export async function mountLimited(
  { id, hostConfig }: ContainerRecord,
  paths: ContainerPaths,
  mount: () => Promise<void>,
): Promise<void> {
  const [size] = Object.values(hostConfig.StorageOpt ?? {});
  if (size === undefined) return await mount();
  const limit = () => limitTree(`container ${id}`, paths.upper, checkSizeOption(size));
  limit();
  shareSizeLimit(paths.work, paths.upper);
  suspendSizeLimit(paths.upper);
  try {
    await mount();
  } finally {
    limit();
  }
}

/** Removes a container's lasting folder, and gives its project back. */
export function removeHome(paths: ContainerPaths): void {
  liftHomeLimit(paths);
  removeTreeSync(paths.home);
}

/** Gives the project of a container that goes back: one that cannot be given back is said and stays. */
export function liftHomeLimit(paths: ContainerPaths): void {
  try {
    if (existsSync(paths.upper)) liftSizeLimit(paths.upper);
  } catch (error) {
    log.warn({ path: paths.upper, error: errorMessage(error) }, 'cannot lift the size limit of a container');
  }
}
