/** The table of container operations. */
import type { Route } from '../../router.ts';
import type { ContainersBackend } from './backend.ts';
import { changeHandlers } from './change-handlers.ts';
import { fileHandlers } from './file-handlers.ts';
import { containerHandlers } from './handlers.ts';
import { streamHandlers } from './streams.ts';
import { attachWebSocket } from './websocket.ts';

export function containerRoutes(backend: ContainersBackend): Route[] {
  const handlers = containerHandlers(backend);
  const streams = streamHandlers(backend);
  const changes = changeHandlers(backend);
  const files = fileHandlers(backend.files);
  return [
    { method: 'GET', path: '/containers/json', handle: handlers.list },
    { method: 'POST', path: '/containers/create', handle: handlers.create },
    // `PARENT/ALIAS` names a container by a link.
    { method: 'GET', path: '/containers/{id:.*}/json', handle: handlers.inspect },
    { method: 'POST', path: '/containers/{id}/start', handle: handlers.start },
    { method: 'POST', path: '/containers/{id}/stop', handle: handlers.stop },
    { method: 'POST', path: '/containers/{id}/restart', handle: handlers.restart },
    { method: 'POST', path: '/containers/{id}/kill', handle: handlers.kill },
    { method: 'POST', path: '/containers/{id}/wait', handle: handlers.wait },
    { method: 'POST', path: '/containers/{id}/resize', handle: handlers.resize },
    { method: 'GET', path: '/containers/{id}/logs', handle: streams.logs },
    { method: 'DELETE', path: '/containers/{id}/logs', handle: streams.clearLogs },
    { method: 'DELETE', path: '/containers/{id:.*}', handle: handlers.remove },
    { method: 'POST', path: '/containers/{id}/attach', handle: streams.attach },
    { method: 'GET', path: '/containers/{id}/attach/ws', handle: attachWebSocket(backend) },
    { method: 'GET', path: '/containers/{id}/top', handle: changes.top },
    { method: 'GET', path: '/containers/{id}/stats', handle: changes.stats },
    { method: 'POST', path: '/containers/{id}/update', handle: changes.update },
    { method: 'POST', path: '/containers/{id}/rename', handle: changes.rename },
    { method: 'POST', path: '/containers/{id}/pause', handle: changes.pause },
    { method: 'POST', path: '/containers/{id}/unpause', handle: changes.unpause },
    { method: 'POST', path: '/containers/prune', handle: changes.prune },
    { method: 'GET', path: '/containers/{id}/changes', handle: files.changes },
    { method: 'GET', path: '/containers/{id}/export', handle: files.export },
    { method: 'HEAD', path: '/containers/{id}/archive', handle: files.stat },
    { method: 'GET', path: '/containers/{id}/archive', handle: files.copyOut },
    { method: 'PUT', path: '/containers/{id}/archive', handle: files.copyIn },
    { method: 'POST', path: '/commit', handle: files.commit },
  ];
}
