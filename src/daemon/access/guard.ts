/**
 * The routes of a scoped socket: each asks first whether the scope allows its operation. It stands at the resolved
 * route, so that versions, escapes, HEAD and upgrades of a path are all the same request. What an allowed operation
 * may see and ask for is decided by the engine that the handlers get (scoped-backends.ts).
 */
import { ForbiddenError } from '../../base/errors.ts';
import type { ApiRequest } from '../request.ts';
import type { Route } from '../router.ts';
import { IMPORT_IMAGE, type Operation, requiredOperation } from './operations.ts';
import type { AccessScope } from './scope.ts';

export function guardRoutes(routes: readonly Route[], scope: AccessScope): Route[] {
  return routes.map((route) => {
    const operation = requiredOperation(route);
    return {
      ...route,
      handle: (request, response) => {
        requireOperation(scope, refined(operation, request));
        return route.handle(request, response);
      },
    };
  });
}

/** `POST /images/create` is two operations, told apart as its handler does. */
function refined(operation: Operation, request: ApiRequest): Operation {
  return operation.name === 'images.pull' && request.text('fromSrc') !== '' ? IMPORT_IMAGE : operation;
}

/** Throws Forbidden with what would allow it. */
export function requireOperation(scope: AccessScope, { name, kind }: Operation): void {
  if (kind === 'host') {
    throw new ForbiddenError(
      `operation ${name} is not allowed on socket "${scope.name}": it is only there on the daemon's own socket`,
    );
  }
  if (scope.allows(name)) return;
  const readOnly = kind === 'read' ? ' (or --read-only)' : '';
  throw new ForbiddenError(
    `operation ${name} is not allowed on socket "${scope.name}": it needs --allow ${name}${readOnly}`,
  );
}

/** For what an allowed operation asks for beyond the socket's limits. */
export function beyond(scope: AccessScope, what: string, remedy = ''): ForbiddenError {
  return new ForbiddenError(
    `${what} is not allowed on socket "${scope.name}"${remedy === '' ? '' : `: ${remedy}`}`,
  );
}
