/**
 * `POST /session` and `POST /grpc`: connections that become HTTP/2, by `Upgrade: h2c`. On the first the daemon calls the
 * client, on the second the client calls the daemon. All that speaks this protocol is loaded when the first client does.
 */
import { InvalidParameterError } from '../../base/errors.ts';
import type { ApiRequest } from '../request.ts';
import type { Route } from '../router.ts';
import type { BuildBackend } from '../routes/build/backend.ts';
import type { BuildkitConnections } from './connections.ts';

const PROTOCOL = 'h2c';

/** The connections of one socket's clients, made when the first of them comes. */
export type LazyConnections = () => Promise<BuildkitConnections>;

export function buildkitConnections(backend: BuildBackend): LazyConnections {
  let made: Promise<BuildkitConnections> | undefined;
  const make = async (): Promise<BuildkitConnections> => {
    const { BuildkitConnections } = await import('./connections.ts');
    return new BuildkitConnections(backend);
  };
  return () => {
    made ??= make();
    return made;
  };
}

export function buildkitRoutes(connections: LazyConnections): Route[] {
  return [
    {
      method: 'POST',
      path: '/session',
      handle: async (request, response) => {
        requireProtocol(request);
        const headers = {
          id: request.header('x-docker-expose-session-uuid') ?? '',
          sharedKey: request.header('x-docker-expose-session-sharedkey') ?? '',
          methods: request.message.headersDistinct['x-docker-expose-session-grpc-method'] ?? [],
        };
        await (await connections()).session(headers, () => response.switchProtocol(request, PROTOCOL));
      },
    },
    {
      method: 'POST',
      path: '/grpc',
      handle: async (request, response) => {
        requireProtocol(request);
        await (await connections()).serve(() => response.switchProtocol(request, PROTOCOL));
      },
    },
  ];
}

function requireProtocol(request: ApiRequest): void {
  const protocol = request.header('upgrade') ?? '';
  if (protocol === '') throw new InvalidParameterError('no upgrade proto in request');
  if (protocol.toLowerCase() !== PROTOCOL) {
    throw new InvalidParameterError(`protocol ${protocol} not supported`);
  }
}
