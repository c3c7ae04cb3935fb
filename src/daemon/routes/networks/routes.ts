/** The table of network operations. */
import type { Route } from '../../router.ts';
import type { NetworksBackend } from './backend.ts';
import { networkHandlers } from './handlers.ts';

export function networkRoutes(backend: NetworksBackend): Route[] {
  const handlers = networkHandlers(backend);
  return [
    { method: 'GET', path: '/networks', handle: handlers.list },
    { method: 'POST', path: '/networks/create', handle: handlers.create },
    { method: 'POST', path: '/networks/prune', handle: handlers.prune },
    { method: 'GET', path: '/networks/{id}', handle: handlers.inspect },
    { method: 'DELETE', path: '/networks/{id}', handle: handlers.remove },
    { method: 'POST', path: '/networks/{id}/connect', handle: handlers.connect },
    { method: 'POST', path: '/networks/{id}/disconnect', handle: handlers.disconnect },
  ];
}
