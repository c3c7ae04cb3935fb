/** Scoped sockets (mydock's own; docs/security.md): made, listed, looked at, removed. */
import type { ScopedSocket, SocketCreateRequest, SocketCreateResponse } from '../../../api/sockets.ts';
import { InvalidParameterError } from '../../../base/errors.ts';
import type { Route } from '../../router.ts';
import { checkShape, type Shape } from '../../shape.ts';

export interface SocketsBackend {
  create(request: SocketCreateRequest): Promise<SocketCreateResponse>;
  list(): ScopedSocket[];
  /** By name or path. Throws NotFound. */
  inspect(reference: string): ScopedSocket;
  remove(reference: string): Promise<void>;
}

const CREATE: { object: Record<string, Shape> } = {
  object: {
    Name: 'string',
    Path: 'string',
    ReadOnly: 'boolean',
    Allow: { list: 'string' },
    Labels: { list: 'string' },
    MountRoots: { list: 'string' },
    Images: { list: 'string' },
    Networks: { list: 'string' },
    Mode: 'string',
    Uid: 'integer',
    Group: 'string',
  },
};

export function socketRoutes(backend: SocketsBackend): Route[] {
  return [
    { method: 'GET', path: '/sockets', handle: (_, response) => response.json(200, backend.list()) },
    {
      method: 'POST',
      path: '/sockets/create',
      handle: async (request, response) =>
        response.json(201, await backend.create(checkSocketCreate(await request.json()))),
    },
    {
      method: 'GET',
      path: '/sockets/{name:.*}',
      handle: (request, response) => response.json(200, backend.inspect(request.param('name'))),
    },
    {
      method: 'DELETE',
      path: '/sockets/{name:.*}',
      handle: async (request, response) => {
        await backend.remove(request.param('name'));
        response.empty(204);
      },
    },
  ];
}

/** A limit that is misspelt would be no limit: unknown fields are refused. */
function checkSocketCreate(body: unknown): SocketCreateRequest {
  const given = Object.entries((body ?? {}) as object).filter(([, value]) => value !== null);
  const unknown = given.find(([field]) => !Object.hasOwn(CREATE.object, field));
  if (unknown !== undefined)
    throw new InvalidParameterError(`unknown field "${unknown[0].slice(0, 80)}" of a socket`);
  const request = Object.fromEntries(given);
  checkShape(request, CREATE, '');
  return request as unknown as SocketCreateRequest;
}
