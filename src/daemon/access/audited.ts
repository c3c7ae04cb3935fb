/** Which routes the audit log tells of: all that change something, run a program or give away contents. */
import type { Route } from '../router.ts';
import { requiredOperation } from './operations.ts';

export function audited(routes: readonly Route[]): Route[] {
  return routes.map((route) => {
    const { name, kind } = requiredOperation(route);
    const reads = kind === 'read' || (kind === 'host' && route.method === 'GET');
    return reads ? route : { ...route, audit: name };
  });
}
