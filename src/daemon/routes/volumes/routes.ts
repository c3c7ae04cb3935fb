/** Volumes: made, listed, looked at, removed. What other engines do not have stands in transfer.ts. */
import type { Route } from '../../router.ts';
import type { VolumesBackend } from './backend.ts';
import {
  createVolume,
  inspectVolume,
  listVolumes,
  pruneVolumes,
  removeVolume,
  updateVolume,
} from './handlers.ts';

export function volumeRoutes(backend: VolumesBackend): Route[] {
  return [
    { method: 'GET', path: '/volumes', handle: listVolumes(backend) },
    { method: 'POST', path: '/volumes/create', handle: createVolume(backend) },
    { method: 'POST', path: '/volumes/prune', handle: pruneVolumes(backend) },
    { method: 'GET', path: '/volumes/{name}', handle: inspectVolume(backend) },
    { method: 'PUT', path: '/volumes/{name}', handle: updateVolume() },
    { method: 'DELETE', path: '/volumes/{name}', handle: removeVolume(backend) },
  ];
}
