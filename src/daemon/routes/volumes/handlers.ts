/** The handlers of volumes: requests parsed, one call of the engine, answers written. */
import type { VolumeCreateRequest } from '../../../api/volumes.ts';
import { NotFoundError, UnavailableError } from '../../../base/errors.ts';
import type { Handler } from '../../router.ts';
import { checkShape, type Shape } from '../../shape.ts';
import type { VolumesBackend } from './backend.ts';
import { listFilter, pruneFilter } from './filter.ts';

const CREATE: Shape = {
  object: {
    Name: 'string',
    Driver: 'string',
    DriverOpts: { map: 'string' },
    Labels: { map: 'string' },
    ClusterVolumeSpec: 'object',
  },
};

/** Volumes of a swarm came with this version. */
const CLUSTER_VOLUMES_VERSION = '1.42';

export function listVolumes(backend: VolumesBackend): Handler {
  return (request, response) => {
    const inUse = ({ Name }: { Name: string }): boolean => backend.references(Name).length > 0;
    const matches = listFilter(request.filters(), inUse);
    response.json(200, { Volumes: backend.list().filter(matches), Warnings: null });
  };
}

export function createVolume(backend: VolumesBackend): Handler {
  return async (request, response) => {
    const body = (await request.json()) ?? {};
    checkShape(body, CREATE, '');
    const { ClusterVolumeSpec: cluster, ...volume } = body as VolumeCreateRequest & {
      ClusterVolumeSpec?: unknown;
    };
    if (cluster !== undefined && cluster !== null && request.atLeast(CLUSTER_VOLUMES_VERSION)) {
      throw new UnavailableError(
        'This node is not a swarm manager: ClusterVolumeSpec asks for a cluster volume, and mydock has no swarm mode',
      );
    }
    response.json(201, backend.create(volume));
  };
}

export function inspectVolume(backend: VolumesBackend): Handler {
  return (request, response) => response.json(200, backend.get(request.param('name')));
}

/** There are only volumes of this host, and nothing of theirs can be updated. */
export function updateVolume(): Handler {
  return (request) => {
    if (!request.atLeast(CLUSTER_VOLUMES_VERSION)) throw new NotFoundError('page not found');
    throw new UnavailableError('volume update only valid for cluster volumes, but swarm is unavailable');
  };
}

export function removeVolume(backend: VolumesBackend): Handler {
  return async (request, response) => {
    await backend.remove(request.param('name'), request.flag('force'));
    response.empty(204);
  };
}

export function pruneVolumes(backend: VolumesBackend): Handler {
  return async (request, response) => {
    const filters = request.filters();
    // Older clients know no anonymous volumes: all that are unused are meant.
    if (!request.atLeast('1.42')) filters['all'] = ['true'];
    response.json(200, await backend.prune(pruneFilter(filters), request.signal));
  };
}
