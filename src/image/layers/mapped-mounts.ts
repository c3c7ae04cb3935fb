/**
 * Layers and upper directories shown with other owners: what belongs to root on the disk belongs to root of a user
 * namespace in the mount (idmapped mounts; for overlayfs's layers Linux 5.19). Nothing on the disk is changed, so all
 * containers share layers and page cache whatever their users are.
 */
import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, rmdirSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { errnoCode, InternalError } from '../../base/errors.ts';
import { makeDirectory } from '../../base/make-directory.ts';
import { addon } from '../../native/addon.ts';
import { mountOverlay, type OverlayMount, unmountSync } from './overlay-mount.ts';

/** Whom the files belong to. */
export interface MountOwners {
  /** The path that the user namespace is bound to. */
  userNamespace: string;
  /** Root of it, as the host numbers it. */
  uid: number;
  gid: number;
}

/** What stands behind the name of the original in the names of its mapped mounts. */
export const MAPPED_SUFFIX = '@';

/** Shows `source` at `target` with other owners. Throws Internal where the file system cannot. */
export function mountMapped(source: string, target: string, { userNamespace }: MountOwners): void {
  try {
    addon().mountIdmapped(source, target, userNamespace);
  } catch (error) {
    if (errnoCode(error) !== 'EINVAL') throw error;
    throw new InternalError(
      `${source} cannot be shown with the owners of a user namespace: its file system or this kernel cannot map IDs (file systems differ; overlayfs and NFS cannot)`,
      error,
    );
  }
}

/**
 * One overlay whose lowers and upper are mapped. `lowers` are one of `lowerRoots` or lie below it; upper and work must
 * stand in one directory. The mapped mounts stand in `directory`, under the name of their original, as long as the call takes:
 * overlayfs keeps copies of them.
 */
export function mountMappedOverlay(
  mount: OverlayMount,
  {
    lowerRoots,
    directory,
    owners,
  }: { lowerRoots: readonly string[]; directory: string; owners: MountOwners },
): void {
  makeDirectory(directory, 0o700);
  const mounted: string[] = [];
  const mapped = (source: string): string => {
    const name = `${basename(source)}${MAPPED_SUFFIX}${randomBytes(4).toString('hex')}`;
    const target = join(directory, name);
    mkdirSync(target, { mode: 0o700 });
    mounted.push(target);
    mountMapped(source, target, owners);
    return target;
  };
  try {
    const roots = [...new Set(lowerRoots)].map((root) => ({ root, shown: mapped(root) }));
    const inRoot = (path: string): string => {
      const found = roots.find(({ root }) => path === root || path.startsWith(`${root}/`));
      if (found === undefined) throw new InternalError(`${path} is in none of the folders that are mapped`);
      return found.shown + path.slice(found.root.length);
    };
    const written = mount.upper === undefined ? undefined : mapped(dirname(mount.upper));
    const inWritten = (path: string | undefined): string | undefined =>
      written === undefined || path === undefined ? undefined : join(written, basename(path));
    asOwner(owners, () =>
      mountOverlay({
        lowers: mount.lowers.map(inRoot),
        ...(mount.empties === undefined
          ? {}
          : { empties: [inRoot(mount.empties[0]), inRoot(mount.empties[1])] as const }),
        upper: inWritten(mount.upper),
        work: inWritten(mount.work),
        volatile: mount.volatile,
        target: mount.target,
      }),
    );
  } finally {
    for (const target of mounted) {
      unmountSync(target);
      rmdirSync(target);
    }
  }
}

/** Takes away the mapped mounts that a daemon which was killed has left. */
export function sweepMapped(directory: string): void {
  if (!existsSync(directory)) return;
  for (const name of readdirSync(directory).filter((entry) => entry.includes(MAPPED_SUFFIX))) {
    unmountSync(join(directory, name));
    rmdirSync(join(directory, name));
  }
}

/**
 * Calls `use`, whose files are made as another owner: on a mapped mount files of the host's root cannot be made at all,
 * and what overlayfs makes for itself it makes as whoever mounted it. It keeps all of root's other powers.
 */
export function asOwner<T>({ uid, gid }: { uid: number; gid: number }, use: () => T): T {
  try {
    addon().setFileOwner(uid, gid);
    return use();
  } finally {
    addon().setFileOwner(0, 0);
  }
}
