/** `POST /build` and the build cache. */
import type { LazyConnections } from '../../buildkit/routes.ts';
import type { Route } from '../../router.ts';
import type { BuildBackend } from './backend.ts';
import { buildHandler } from './handlers.ts';
import { pruneHandler } from './prune.ts';

export function buildRoutes(backend: BuildBackend, buildkit: LazyConnections): Route[] {
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
    { method: 'POST', path: '/build/prune', handle: pruneHandler(backend) },
  ];
}
