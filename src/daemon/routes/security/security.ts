/** `GET /containers/{id}/security` (mydock's own): what a container can and cannot do. */
import type { ContainerSecurity } from '../../../api/security.ts';
import type { Route } from '../../router.ts';

/** By name or ID. Throws NotFound. */
export type SecurityBackend = (reference: string) => Promise<ContainerSecurity> | ContainerSecurity;

export function securityRoute(backend: SecurityBackend): Route {
  return {
    method: 'GET',
    path: '/containers/{id}/security',
    handle: async (request, response) => response.json(200, await backend(request.param('id'))),
  };
}
