/** The table of exec operations. */
import type { Route } from '../../router.ts';
import type { ExecBackend } from './backend.ts';
import { execHandlers } from './handlers.ts';

export function execRoutes(backend: ExecBackend): Route[] {
  const handlers = execHandlers(backend);
  return [
    { method: 'POST', path: '/containers/{id}/exec', handle: handlers.create },
    { method: 'POST', path: '/exec/{id}/start', handle: handlers.start },
    { method: 'POST', path: '/exec/{id}/resize', handle: handlers.resize },
    { method: 'GET', path: '/exec/{id}/json', handle: handlers.inspect },
  ];
}
