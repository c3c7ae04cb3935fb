/** Ping, version and info; the rest of the system group is named as not there yet. */
import type { SystemInfo, SystemVersion } from '../../../api/system.ts';
import { NotFoundError, UnavailableError } from '../../../base/errors.ts';
import { type Handler, notImplemented, type Route } from '../../router.ts';
import { type EventsBackend, eventsHandler } from './events.ts';

export interface SystemBackend {
  version(): SystemVersion;
  info(): SystemInfo;
  events: EventsBackend;
}

/** `Builder-Version` 1: clients use `POST /build`, the classic builder. */
const PING_HEADERS = {
  'Builder-Version': '1',
  Swarm: 'inactive',
  'Cache-Control': 'no-cache, no-store, must-revalidate',
  Pragma: 'no-cache',
  'Content-Type': 'text/plain; charset=utf-8',
};

export function systemRoutes(backend: SystemBackend): Route[] {
  const ping: Handler = (request, response) => {
    if (request.method === 'HEAD') response.bytes(200, '', PING_HEADERS);
    else response.bytes(200, 'OK', PING_HEADERS);
  };
  return [
    { method: 'GET', path: '/_ping', handle: ping },
    { method: 'HEAD', path: '/_ping', handle: ping },
    { method: 'GET', path: '/version', handle: (_, response) => response.json(200, backend.version()) },
    { method: 'GET', path: '/info', handle: (_, response) => response.json(200, backend.info()) },
    notImplemented('POST', '/auth'),
    { method: 'GET', path: '/events', handle: eventsHandler(backend.events) },
    notImplemented('GET', '/system/df'),
    notImplemented('POST', '/session'),
    notImplemented('POST', '/grpc'),
    ...swarmRoutes(),
    { method: 'GET', path: '/plugins', handle: (_, response) => response.json(200, []) },
    { method: 'GET', path: '/plugins/{name:.*}/json', handle: noPlugin },
    notImplemented('GET', '/plugins/privileges'),
    notImplemented('POST', '/plugins/{rest:.*}'),
    notImplemented('DELETE', '/plugins/{rest:.*}'),
  ];
}

const SWARM_PATHS = ['/swarm', '/nodes', '/services', '/tasks', '/secrets', '/configs'];

/** Clients that look a name up in every kind of object know this answer, and go on. */
function swarmRoutes(): Route[] {
  const handle: Handler = () => {
    throw new UnavailableError('This node is not a swarm manager: mydock has no swarm mode');
  };
  return SWARM_PATHS.flatMap((path): Route[] => [
    { method: 'GET', path, handle },
    ...(['GET', 'POST', 'DELETE'] as const).map((method) => ({
      method,
      path: `${path}/{rest:.*}`,
      handle,
    })),
  ]);
}

const noPlugin: Handler = (request) => {
  throw new NotFoundError(`plugin "${request.param('name')}" not found`);
};
