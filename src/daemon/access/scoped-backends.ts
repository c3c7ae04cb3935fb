/**
 * The engine as one scoped socket has it: every object is looked up among those that the socket sees, and every
 * request is held against its limits before the engine gets it. An operation that is not named here does not exist.
 */
import type { Container } from '../../container/container.ts';
import type { Runtimes } from '../../container/runtimes.ts';
import type { Backends } from '../backends.ts';
import { beyond } from './guard.ts';
import type { AccessScope } from './scope.ts';
import { type ContainerEngineBackend, scopedContainers, scopedExec } from './scoped-containers.ts';
import { scopedBuild, scopedImages } from './scoped-images.ts';
import { scopedNetworks } from './scoped-networks.ts';
import { scopedSystem } from './scoped-system.ts';
import { scopedSnapshots, scopedTransfers, scopedVolumes } from './scoped-volumes.ts';
import { VisibleObjects } from './visible.ts';

export interface ScopedEngine {
  backends: Backends;
  containers: ContainerEngineBackend & { all(): Container[] };
  runtimes: Pick<Runtimes, 'isDefault'>;
}

export function scopedBackends(engine: ScopedEngine, scope: AccessScope): Backends {
  const { backends, containers, runtimes } = engine;
  const volumes = backends.volumes;
  const visible = new VisibleObjects(scope, {
    containers: () => containers.all(),
    networks: () => backends.networks.list(),
    volume: (name) => volumes.list().find(({ Name }) => Name === name),
    images: backends.images,
    isDefaultRuntime: (name) => runtimes.isDefault(name),
  });
  const scopedSources = {
    system: backends.system,
    containerStates: () =>
      containers
        .all()
        .filter((one) => visible.hasContainer(one))
        .map(({ record }) => record.state.status),
    network: (id: string) => backends.networks.list().find(({ Id }) => Id === id),
  };
  return {
    system: scopedSystem(scopedSources, visible),
    containers: scopedContainers(containers, visible),
    exec: scopedExec(backends.exec, visible),
    security: (reference) => backends.security(visible.container(reference).id),
    images: scopedImages(backends.images, visible),
    // It takes names of containers as well as of images.
    difference: async (request) => {
      if (scope.limitsObjects || scope.limitsImages) {
        throw beyond(scope, 'comparing images', 'it cannot be limited to labels and patterns');
      }
      return await backends.difference(request);
    },
    build: scopedBuild(backends.build, visible),
    networks: scopedNetworks(backends.networks, visible),
    volumes: scopedVolumes(volumes, visible),
    transfers: scopedTransfers(backends.transfers, visible),
    snapshots: scopedSnapshots(backends.snapshots, visible),
  };
}
