/** `POST /build`, the classic builder. */
import { notImplemented, type Route } from '../../router.ts';
import type { BuildBackend } from './backend.ts';
import { buildHandler } from './handlers.ts';

export function buildRoutes(backend: BuildBackend): Route[] {
  return [
    { method: 'POST', path: '/build', handle: buildHandler(backend) },
    notImplemented('POST', '/build/prune'),
  ];
}
