import assert from 'node:assert/strict';
import { test } from 'node:test';
import { apiRoutes, type Backends } from '../backends.ts';
import type { Route } from '../router.ts';
import { socketRoutes } from '../routes/sockets/routes.ts';
import { guardRoutes } from './guard.ts';
import { OPERATIONS, operationOf, requiredOperation } from './operations.ts';
import { AccessScope } from './scope.ts';

/** Routes ask nothing of the engine before a request comes. */
const nothing: unknown = new Proxy(() => undefined, { get: () => nothing });

function allRoutes(): Route[] {
  return [...apiRoutes(nothing as Backends), ...socketRoutes(nothing as never)];
}

test('every route has exactly one operation, with a class', () => {
  const routes = allRoutes();
  assert.ok(routes.length > 80, `${routes.length} routes`);
  const unclassified = routes.filter((route) => operationOf(route) === undefined);
  assert.deepEqual(
    unclassified.map(({ method, path }) => `${method} ${path}`),
    [],
  );
});

test('a route that nobody has classified keeps the daemon from starting', () => {
  const route: Route = { method: 'POST', path: '/containers/{id}/teleport', handle: () => undefined };
  assert.throws(() => requiredOperation(route), {
    kind: 'Internal',
    message: /POST \/containers\/\{id\}\/teleport/,
  });
  const scope = new AccessScope({ ...EMPTY, readOnly: true });
  assert.throws(() => guardRoutes([route], scope), { kind: 'Internal' });
});

test('no operation is named that no route has', () => {
  const named = new Set(allRoutes().map((route) => requiredOperation(route).name));
  const unused = [...OPERATIONS.keys()].filter((name) => !named.has(name));
  assert.deepEqual(unused, ['images.import', 'containers.env']);
});

test('what is of the daemon’s own socket is refused by name before its handler, whatever is allowed', () => {
  const scope = new AccessScope({ ...EMPTY, readOnly: true, allow: [...OPERATIONS.keys()] });
  const host = allRoutes().filter((route) => requiredOperation(route).kind === 'host');
  assert.equal(host.length, 6);
  for (const route of host) {
    const handle = () => assert.fail(route.path);
    const [guarded] = guardRoutes([{ ...route, handle }], scope);
    assert.throws(() => guarded?.handle(nothing as never, nothing as never), {
      kind: 'Forbidden',
      message: `operation ${requiredOperation(route).name} is not allowed on socket "test": it is only there on the daemon's own socket`,
    });
  }
});

test('--read-only allows no operation that changes, runs or gives contents away', () => {
  const scope = new AccessScope({ ...EMPTY, readOnly: true });
  for (const route of allRoutes()) {
    const { name, kind } = requiredOperation(route);
    assert.equal(scope.allows(name), kind === 'read' || name === 'swarm', `${route.method} ${route.path}`);
    // Of what is not GET, only a wait and what answers that there is no swarm.
    const harmless = /^\/containers\/\{id\}\/wait$|^\/(swarm|nodes|services|tasks|secrets|configs)/.test(
      route.path,
    );
    if (kind === 'read' && !['GET', 'HEAD'].includes(route.method)) assert.ok(harmless, route.path);
  }
  for (const secret of ['containers.env', 'containers.archive', 'containers.export', 'containers.attach']) {
    assert.equal(scope.allows(secret), false, secret);
  }
});

const EMPTY = {
  name: 'test',
  readOnly: false,
  allow: [],
  labels: [],
  mountRoots: [],
  images: [],
  networks: [],
};
