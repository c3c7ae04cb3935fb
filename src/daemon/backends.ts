/**
 * All that the routes of the API need of the engine, and the routes over it. The daemon's own socket gets the engine
 * itself; a scoped socket gets one that shows a part of it (access/scoped-backends.ts).
 */

import { buildkitConnections, buildkitRoutes } from './buildkit/routes.ts';
import type { Route } from './router.ts';
import type { BuildBackend } from './routes/build/backend.ts';
import { buildRoutes } from './routes/build/routes.ts';
import type { ContainersBackend } from './routes/containers/backend.ts';
import { containerRoutes } from './routes/containers/routes.ts';
import type { ExecBackend } from './routes/exec/backend.ts';
import { execRoutes } from './routes/exec/routes.ts';
import type { ImagesBackend } from './routes/images/backend.ts';
import { type DifferenceBackend, differenceRoute } from './routes/images/difference.ts';
import { imageRoutes } from './routes/images/routes.ts';
import type { NetworksBackend } from './routes/networks/backend.ts';
import { networkRoutes } from './routes/networks/routes.ts';
import { type SecurityBackend, securityRoute } from './routes/security/security.ts';
import { type SystemBackend, systemRoutes } from './routes/system/routes.ts';
import type { VolumesBackend } from './routes/volumes/backend.ts';
import { volumeRoutes } from './routes/volumes/routes.ts';
import {
  type VolumeSnapshotsBackend,
  type VolumeTransfersBackend,
  volumeTransferRoutes,
} from './routes/volumes/transfer.ts';

export interface Backends {
  system: SystemBackend;
  containers: ContainersBackend;
  exec: ExecBackend;
  security: SecurityBackend;
  images: ImagesBackend;
  difference: DifferenceBackend;
  build: BuildBackend;
  networks: NetworksBackend;
  volumes: VolumesBackend;
  transfers: VolumeTransfersBackend;
  snapshots: VolumeSnapshotsBackend;
}

/** Every route of the API but those of the daemon's own socket alone. */
export function apiRoutes(backends: Backends): Route[] {
  const buildkit = buildkitConnections(backends.build);
  return [
    ...systemRoutes(backends.system),
    ...containerRoutes(backends.containers),
    securityRoute(backends.security),
    ...execRoutes(backends.exec),
    ...imageRoutes(backends.images),
    differenceRoute(backends.difference),
    ...buildRoutes(backends.build, buildkit),
    ...buildkitRoutes(buildkit),
    ...networkRoutes(backends.networks),
    ...volumeTransferRoutes(backends.transfers, backends.snapshots),
    ...volumeRoutes(backends.volumes),
  ];
}
