/** What does the steps of builds, as clients are told of it by ListWorkers: what it is, and for which platforms it runs. */
import type { MessageInitShape } from '@bufbuild/protobuf';
import type { WorkerRecordSchema } from '../../api/buildkit/worker_pb.ts';
import { MYDOCK_VERSION } from '../../base/version.ts';
import { formatPlatform, type Platform } from '../../image/platform.ts';
import type { BuildBackend } from '../routes/build/backend.ts';

export function version(): { package: string; version: string; revision: string } {
  return { package: 'mydock', version: `v${MYDOCK_VERSION}`, revision: '' };
}

export function workerRecord(backend: BuildBackend): MessageInitShape<typeof WorkerRecordSchema> {
  return {
    id: 'mydock',
    labels: {
      'org.mobyproject.buildkit.worker.executor': 'mydock',
      // Clients put it into `--add-host name:host-gateway` themselves.
      'org.mobyproject.buildkit.worker.moby.host-gateway-ip': backend.hostGateway(),
      // Clients take it for a sign of what daemons without it cannot do: outputs and caches of all types, several platforms.
      'org.mobyproject.buildkit.worker.snapshotter': 'mydock',
    },
    platforms: announced(backend.platforms()).map(({ os, architecture, variant }) => ({
      os,
      architecture,
      ...(variant === undefined ? {} : { variant }),
    })),
    buildkitVersion: version(),
  };
}

/** With every level of amd64 below the machine's own, each of which clients look for by its name; best first. */
export function announced(platforms: readonly Platform[]): Platform[] {
  const all = platforms.flatMap((platform): Platform[] => {
    const level = platform.architecture === 'amd64' ? /^v(\d)$/.exec(platform.variant ?? '')?.[1] : undefined;
    if (level === undefined) return [platform];
    const { os, architecture } = platform;
    const levels = Array.from({ length: Number(level) }, (_, i) => i + 1);
    return levels.map((n) => (n === 1 ? { os, architecture } : { os, architecture, variant: `v${n}` }));
  });
  return [...new Map(all.map((platform) => [formatPlatform(platform), platform])).values()];
}
