/** `POST /build` and the build cache. */
import type { LazyConnections } from '../../buildkit/routes.ts';
import type { Route } from '../../router.ts';
import type { BuildBackend } from './backend.ts';
import { debugHandlers } from './debug.ts';
import { buildHandler } from './handlers.ts';
import { pruneHandler } from './prune.ts';

export function buildRoutes(backend: BuildBackend, buildkit: LazyConnections): Route[] {
  const debug = debugHandlers(backend);
  return [
    { method: 'POST', path: '/build', handle: buildHandler(backend, buildkit) },
    {
      method: 'POST',
      path: '/build/cancel',
      handle: async (request, response) => {
        (await buildkit()).traces.cancel(request.text('id'));
        response.empty(200);
      },
    },
    { method: 'POST', path: '/build/debug/{id}', handle: debug.open },
    { method: 'POST', path: '/build/debug/{id}/resize', handle: debug.resize },
    { method: 'DELETE', path: '/build/debug/{id}', handle: debug.release },
    { method: 'POST', path: '/build/prune', handle: pruneHandler(backend) },
  ];
}
