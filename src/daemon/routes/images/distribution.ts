/**
 * What registries have: `GET /distribution/{name}/json` of the Engine API, and `GET /distribution/{name}/manifests`,
 * which is ours: the manifests' bytes for `mydock manifest inspect`.
 */
import type {
  DistributionInspect,
  DistributionManifests,
  RemoteManifestBody,
} from '../../../api/distribution.ts';
import { InvalidParameterError } from '../../../base/errors.ts';
import { decodeRegistryAuth, decodeRegistryConfig } from '../../../image/registry/credentials.ts';
import type {
  RemoteManifest,
  RemoteManifests,
  RemoteRequest,
} from '../../../image/registry/remote-images.ts';
import type { ApiRequest } from '../../request.ts';
import type { Handler } from '../../router.ts';

export interface DistributionBackend {
  describe(request: RemoteRequest): Promise<DistributionInspect>;
  manifests(request: RemoteRequest & { details: boolean }): Promise<RemoteManifests>;
}

export function distributionHandlers(backend: DistributionBackend): Record<'inspect' | 'manifests', Handler> {
  return {
    inspect: async (request, response) => {
      response.json(200, await backend.describe(remoteRequest(request)));
    },

    manifests: async (request, response) => {
      const { top, children } = await backend.manifests({
        ...remoteRequest(request),
        insecure: request.flag('insecure'),
        details: request.flag('details'),
      });
      const answer: DistributionManifests = { ...body(top), Manifests: children?.map(body) ?? null };
      response.json(200, answer);
    },
  };
}

function body({ descriptor, bytes }: RemoteManifest): RemoteManifestBody {
  return { Descriptor: descriptor, Raw: bytes.toString('base64') };
}

function remoteRequest(request: ApiRequest): RemoteRequest {
  const reference = request.param('name');
  if (/^(?:sha256:)?[a-f\d]{64}$/.test(reference))
    throw new InvalidParameterError(`unknown image reference format: ${reference}`);
  return {
    reference,
    ...optional('auth', request.header('x-registry-auth'), decodeRegistryAuth),
    ...optional('authConfigs', request.header('x-registry-config'), decodeRegistryConfig),
    signal: request.signal,
  };
}

function optional<Key extends string, T>(
  key: Key,
  header: string | undefined,
  decode: (header: string) => T,
): { [K in Key]?: T } {
  return (header === undefined ? {} : { [key]: decode(header) }) as { [K in Key]?: T };
}
