/**
 * The name and class of every operation of the API: what scoped sockets allow by name, and what the audit log tells.
 * A route without an entry keeps the daemon from starting, so that no new one is reachable by an oversight.
 *
 * Classes: `read` tells about objects and is what `--read-only` allows. `secret` also only reads, but gives files, the
 * contents of images, volumes or programs, or makes the daemon ask a host of the client's choice; it must be allowed by
 * name. `write` changes something or runs a program. `host` is of the daemon's own socket alone.
 */
import { InternalError } from '../../base/errors.ts';
import type { Route } from '../router.ts';

export type OperationClass = 'read' | 'secret' | 'write' | 'host';

export interface Operation {
  name: string;
  kind: OperationClass;
}

/** The environment of containers in inspect: no route, but what its answer holds. */
export const SHOW_ENVIRONMENT = 'containers.env';
/** Allowed on every socket: they tell nothing of this host, and clients ask them before or beside all else. */
export const OPEN_OPERATIONS: ReadonlySet<string> = new Set(['ping', 'plugins.inspect', 'swarm']);
/** The same route as a pull, with `fromSrc`. */
export const IMPORT_IMAGE: Operation = { name: 'images.import', kind: 'write' };

const READ: Record<string, string> = {
  'GET /_ping': 'ping',
  'HEAD /_ping': 'ping',
  'GET /version': 'version',
  'GET /info': 'info',
  'GET /events': 'events',
  'GET /system/df': 'system.df',
  'GET /plugins': 'plugins.list',
  'GET /plugins/{name:.*}/json': 'plugins.inspect',
  'GET /containers/json': 'containers.list',
  'GET /containers/{id:.*}/json': 'containers.inspect',
  'GET /containers/{id}/security': 'containers.security',
  'GET /containers/{id}/logs': 'containers.logs',
  'GET /containers/{id}/top': 'containers.top',
  'GET /containers/{id}/stats': 'containers.stats',
  'GET /containers/{id}/changes': 'containers.changes',
  'POST /containers/{id}/wait': 'containers.wait',
  'GET /exec/{id}/json': 'exec.inspect',
  'GET /images/json': 'images.list',
  'GET /images/{name:.*}/json': 'images.inspect',
  'GET /images/{name:.*}/history': 'images.history',
  'GET /networks': 'networks.list',
  'GET /networks/{id}': 'networks.inspect',
  'GET /volumes': 'volumes.list',
  'GET /volumes/{name}': 'volumes.inspect',
  'GET /volumes/{name}/snapshots': 'volumes.snapshots',
};

const SECRET: Record<string, string> = {
  'GET /containers/{id}/export': 'containers.export',
  'HEAD /containers/{id}/archive': 'containers.archive',
  'GET /containers/{id}/archive': 'containers.archive',
  'GET /images/get': 'images.save',
  'GET /images/{name:.*}/get': 'images.save',
  'GET /images/search': 'images.search',
  'GET /images/difference': 'images.difference',
  'GET /distribution/{name:.*}/json': 'images.distribution',
  'GET /distribution/{name:.*}/manifests': 'images.distribution',
  'POST /volumes/{name}/export': 'volumes.export',
};

const WRITE: Record<string, string> = {
  'POST /auth': 'auth',
  'POST /session': 'images.build',
  'POST /grpc': 'images.build',
  'GET /plugins/privileges': 'plugins.change',
  'POST /plugins/{rest:.*}': 'plugins.change',
  'DELETE /plugins/{rest:.*}': 'plugins.change',
  'POST /containers/create': 'containers.create',
  'POST /containers/{id}/start': 'containers.start',
  'POST /containers/{id}/stop': 'containers.stop',
  'POST /containers/{id}/restart': 'containers.restart',
  'POST /containers/{id}/kill': 'containers.kill',
  'POST /containers/{id}/resize': 'containers.resize',
  'DELETE /containers/{id}/logs': 'containers.clearlogs',
  'DELETE /containers/{id:.*}': 'containers.remove',
  'POST /containers/{id}/attach': 'containers.attach',
  'GET /containers/{id}/attach/ws': 'containers.attach',
  'POST /containers/{id}/update': 'containers.update',
  'POST /containers/{id}/rename': 'containers.rename',
  'POST /containers/{id}/pause': 'containers.pause',
  'POST /containers/{id}/unpause': 'containers.unpause',
  'POST /containers/prune': 'containers.prune',
  'PUT /containers/{id}/archive': 'containers.copy',
  'POST /containers/{id}/exec': 'containers.exec',
  'POST /exec/{id}/start': 'containers.exec',
  'POST /exec/{id}/resize': 'containers.exec',
  'POST /commit': 'images.commit',
  'POST /images/create': 'images.pull',
  'POST /images/prune': 'images.prune',
  'POST /images/load': 'images.load',
  'POST /images/{name:.*}/tag': 'images.tag',
  'POST /images/{name:.*}/push': 'images.push',
  'DELETE /images/{name:.*}': 'images.remove',
  'POST /build': 'images.build',
  'POST /build/cancel': 'images.build',
  'POST /build/debug/{id}': 'images.build',
  'POST /build/debug/{id}/resize': 'images.build',
  'DELETE /build/debug/{id}': 'images.build',
  'POST /build/prune': 'images.prune',
  'POST /networks/create': 'networks.create',
  'POST /networks/prune': 'networks.prune',
  'DELETE /networks/{id}': 'networks.remove',
  'POST /networks/{id}/connect': 'networks.connect',
  'POST /networks/{id}/disconnect': 'networks.disconnect',
  'POST /volumes/create': 'volumes.create',
  'POST /volumes/prune': 'volumes.prune',
  'PUT /volumes/{name}': 'volumes.update',
  'DELETE /volumes/{name}': 'volumes.remove',
  'POST /volumes/{name}/import': 'volumes.import',
  'POST /volumes/{name}/clone': 'volumes.clone',
  'POST /volumes/{name}/snapshots': 'volumes.snapshot',
  'POST /volumes/{name}/snapshots/{snapshot}/restore': 'volumes.restore',
  'DELETE /volumes/{name}/snapshots/{snapshot}': 'volumes.snapshot',
};

/** What hands out access is never handed out itself; and what repairs the whole data root. */
const HOST: Record<string, string> = {
  'POST /system/check': 'system.check',
  'GET /system/diagnostics': 'system.diagnostics',
  'GET /sockets': 'sockets.list',
  'POST /sockets/create': 'sockets.create',
  'GET /sockets/{name:.*}': 'sockets.inspect',
  'DELETE /sockets/{name:.*}': 'sockets.remove',
};

const SWARM_PATH = /^\/(swarm|nodes|services|tasks|secrets|configs)(\/|$)/;

const TABLES: readonly [OperationClass, Record<string, string>][] = [
  ['read', READ],
  ['secret', SECRET],
  ['write', WRITE],
  ['host', HOST],
];

/** The operation of a route; undefined for one that nobody has classified. */
export function operationOf({ method, path }: Pick<Route, 'method' | 'path'>): Operation | undefined {
  for (const [kind, table] of TABLES) {
    const name = table[`${method} ${path}`];
    if (name !== undefined) return { name, kind };
  }
  // All of these answer that there is no swarm.
  if (SWARM_PATH.test(path)) return { name: 'swarm', kind: method === 'GET' ? 'read' : 'write' };
  return undefined;
}

/** Throws Internal for a route without an operation. */
export function requiredOperation(route: Pick<Route, 'method' | 'path'>): Operation {
  const operation = operationOf(route);
  if (operation === undefined) {
    throw new InternalError(
      `the route ${route.method} ${route.path} has no operation (access/operations.ts)`,
    );
  }
  return operation;
}

/** Every operation that a scoped socket can be given, by its name. */
export const OPERATIONS: ReadonlyMap<string, OperationClass> = new Map<string, OperationClass>([
  ...TABLES.flatMap(([kind, table]) =>
    kind === 'host' ? [] : Object.values(table).map((name): [string, OperationClass] => [name, kind]),
  ),
  ['swarm', 'read'],
  [IMPORT_IMAGE.name, IMPORT_IMAGE.kind],
  [SHOW_ENVIRONMENT, 'secret'],
]);
