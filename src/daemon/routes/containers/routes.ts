/** The table of container operations. */
import { notImplemented, type Route } from '../../router.ts';
import type { ContainersBackend } from './backend.ts';
import { containerHandlers } from './handlers.ts';
import { streamHandlers } from './streams.ts';

export function containerRoutes(backend: ContainersBackend): Route[] {
  const handlers = containerHandlers(backend);
  const streams = streamHandlers(backend);
  return [
    { method: 'GET', path: '/containers/json', handle: handlers.list },
    { method: 'POST', path: '/containers/create', handle: handlers.create },
    { method: 'GET', path: '/containers/{id}/json', handle: handlers.inspect },
    { method: 'POST', path: '/containers/{id}/start', handle: handlers.start },
    { method: 'POST', path: '/containers/{id}/stop', handle: handlers.stop },
    { method: 'POST', path: '/containers/{id}/restart', handle: handlers.restart },
    { method: 'POST', path: '/containers/{id}/kill', handle: handlers.kill },
    { method: 'POST', path: '/containers/{id}/wait', handle: handlers.wait },
    { method: 'POST', path: '/containers/{id}/resize', handle: handlers.resize },
    { method: 'DELETE', path: '/containers/{id}', handle: handlers.remove },
    { method: 'GET', path: '/containers/{id}/logs', handle: streams.logs },
    { method: 'POST', path: '/containers/{id}/attach', handle: streams.attach },
    notImplemented('GET', '/containers/{id}/attach/ws'),
    notImplemented('GET', '/containers/{id}/top'),
    notImplemented('GET', '/containers/{id}/changes'),
    notImplemented('GET', '/containers/{id}/export'),
    { method: 'DELETE', path: '/containers/{id}/logs', handle: streams.clearLogs },
    notImplemented('GET', '/containers/{id}/stats'),
    notImplemented('POST', '/containers/{id}/update'),
    notImplemented('POST', '/containers/{id}/rename'),
    notImplemented('POST', '/containers/{id}/pause'),
    notImplemented('POST', '/containers/{id}/unpause'),
    notImplemented('GET', '/containers/{id}/archive'),
    notImplemented('PUT', '/containers/{id}/archive'),
    notImplemented('POST', '/containers/prune'),
    notImplemented('POST', '/commit'),
  ];
}
