/** Ping, version, info, events, disk usage and the check of credentials. */
import type { SystemDiagnostics } from '../../../api/diagnostics.ts';
import type { DiskUsage, SystemInfo, SystemVersion } from '../../../api/system.ts';
import { InvalidParameterError, NotFoundError, UnavailableError } from '../../../base/errors.ts';
import type { RegistryAuth } from '../../../image/registry/credentials.ts';
import { DISK_OBJECTS, type DiskObject } from '../../disk-usage.ts';
import { type Handler, notImplemented, type Route } from '../../router.ts';
import { checkShape, type Shape } from '../../shape.ts';
import { type CheckBackend, checkHandler } from './check.ts';
import { type EventsBackend, eventsHandler } from './events.ts';

export interface SystemBackend {
  version(): SystemVersion;
  info(): Promise<SystemInfo>;
  events: EventsBackend;
  check: CheckBackend;
  diagnostics(): SystemDiagnostics;
  diskUsage(wanted: ReadonlySet<DiskObject>): Promise<DiskUsage>;
  /** Returns a refresh token, or nothing where the registry gives none. Throws Unauthorized where it refuses. */
  login(auth: RegistryAuth, signal: AbortSignal): Promise<string>;
}

/** `Builder-Version` 2: clients build by BuildKit's protocol (`/session`, `/grpc`) where they can. */
export const PING_HEADERS = {
  'Builder-Version': '2',
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
    { method: 'GET', path: '/info', handle: async (_, response) => response.json(200, await backend.info()) },
    { method: 'POST', path: '/auth', handle: authHandler(backend) },
    { method: 'GET', path: '/events', handle: eventsHandler(backend.events) },
    { method: 'GET', path: '/system/df', handle: diskUsageHandler(backend) },
    { method: 'POST', path: '/system/check', handle: checkHandler(backend.check) },
    {
      method: 'GET',
      path: '/system/diagnostics',
      handle: (_, response) => response.json(200, backend.diagnostics()),
    },
    ...swarmRoutes(),
    { method: 'GET', path: '/plugins', handle: (_, response) => response.json(200, []) },
    { method: 'GET', path: '/plugins/{name:.*}/json', handle: noPlugin },
    notImplemented('GET', '/plugins/privileges'),
    notImplemented('POST', '/plugins/{rest:.*}'),
    notImplemented('DELETE', '/plugins/{rest:.*}'),
  ];
}

const AUTH: Shape = {
  object: {
    username: 'string',
    password: 'string',
    email: 'string',
    serveraddress: 'string',
    identitytoken: 'string',
    registrytoken: 'string',
    auth: 'string',
  },
};

function authHandler(backend: SystemBackend): Handler {
  return async (request, response) => {
    const body = (await request.json()) ?? {};
    checkShape(body, AUTH, '');
    const given = Object.entries(body).filter(([, value]) => typeof value === 'string' && value !== '');
    const token = await backend.login(Object.fromEntries(given) as RegistryAuth, request.signal);
    response.json(200, { Status: 'Login Succeeded', IdentityToken: token });
  };
}

function diskUsageHandler(backend: SystemBackend): Handler {
  return async (request, response) => {
    const types = request.query.getAll('type');
    for (const type of types) {
      if (!(DISK_OBJECTS as readonly string[]).includes(type))
        throw new InvalidParameterError(`unknown object type: ${type}`);
    }
    const usage = await backend.diskUsage(
      new Set((types.length === 0 ? DISK_OBJECTS : types) as DiskObject[]),
    );
    response.json(200, request.atLeast('1.42') ? usage : { ...usage, BuilderSize: 0 });
  };
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
