/**
 * The mounts of a container that is made over a scoped socket, all of them as the engine has understood them: folders
 * of the host below a mount root, and from then on bound to it; volumes of the socket's; images that it may name.
 */
import type { HostConfig } from '../../api/host-config.ts';
import { ConflictError } from '../../base/errors.ts';
import { wayInside } from '../../volume/confined-bind.ts';
import type { RequestedMount } from '../../volume/mount-points.ts';
import { beyond } from './guard.ts';
import { foreignLabel } from './scoped-containers.ts';
import { showsHost, type VisibleObjects } from './visible.ts';

/** Throws Forbidden; Conflict for a volume's name that somebody else has. */
export function limitMounts(mounts: readonly RequestedMount[], visible: VisibleObjects): RequestedMount[] {
  return mounts.map((mount) => {
    if ((mount.idmap ?? '') !== '')
      throw beyond(visible.scope, `the mount option idmap of ${mount.destination}`);
    if (!['', 'private', 'rprivate'].includes(mount.propagation)) {
      throw beyond(visible.scope, `the propagation "${mount.propagation}" of ${mount.destination}`);
    }
    if (mount.type === 'bind') return limitBind(mount, visible);
    if (mount.type === 'volume') return limitVolume(mount, visible);
    if (mount.type === 'image') visible.requireImage(mount.source);
    return mount;
  });
}

/** Before the engine looks whether sources are there, which is not for everybody to know. */
export function refuseForeignFolders({ Mounts }: HostConfig, visible: VisibleObjects): void {
  for (const { Type, Source } of Mounts ?? []) if (Type === 'bind') mountRootOf(Source ?? '', visible);
}

function limitBind(mount: RequestedMount, visible: VisibleObjects): RequestedMount {
  // Of another container's mounts, which were looked at when that was named.
  if (mount.confinedTo !== undefined && visible.scope.mountRoots.includes(mount.confinedTo)) return mount;
  const { root, way } = mountRootOf(mount.source, visible);
  return { ...mount, confinedTo: root, subpath: way };
}

/** Throws Forbidden. */
function mountRootOf(source: string, { scope }: VisibleObjects): { root: string; way: string } {
  for (const root of scope.mountRoots) {
    const way = wayInside(root, source);
    if (way !== undefined) return { root, way };
  }
  const roots =
    scope.mountRoots.length === 0
      ? 'it has no mount roots'
      : `it gives what lies below ${scope.mountRoots.join(', ')}`;
  throw beyond(scope, `mounting the host folder ${source}`, roots);
}

function limitVolume(mount: RequestedMount, visible: VisibleObjects): RequestedMount {
  if (showsHost(mount.driverOptions)) {
    throw beyond(
      visible.scope,
      `volume options of ${mount.destination}`,
      'they mount something of the host or the network',
    );
  }
  if (mount.source !== '' && visible.volumeIsForeign(mount.source)) {
    throw new ConflictError(
      `create ${mount.source}: a volume of that name already exists outside of the socket`,
    );
  }
  if (mount.source !== '' && visible.volumeExists(mount.source)) visible.volumeToEnter(mount.source);
  const labels = visible.scope.withLabels(mount.labels);
  if (labels === undefined) throw foreignLabel(visible);
  return { ...mount, labels };
}
