/** The table of image operations. */
import { notImplemented, type Route } from '../../router.ts';
import { archiveHandlers } from './archive.ts';
import type { ImagesBackend } from './backend.ts';
import { imageHandlers } from './handlers.ts';
import { pullHandler } from './pull.ts';

export function imageRoutes(backend: ImagesBackend): Route[] {
  const handlers = imageHandlers(backend);
  const archives = archiveHandlers(backend.archives);
  return [
    { method: 'GET', path: '/images/json', handle: handlers.list },
    { method: 'POST', path: '/images/create', handle: pullHandler(backend) },
    notImplemented('GET', '/images/search'),
    { method: 'POST', path: '/images/prune', handle: handlers.prune },
    { method: 'GET', path: '/images/get', handle: archives.saveMany },
    { method: 'POST', path: '/images/load', handle: archives.load },
    { method: 'GET', path: '/images/{name:.*}/json', handle: handlers.inspect },
    { method: 'GET', path: '/images/{name:.*}/history', handle: handlers.history },
    { method: 'POST', path: '/images/{name:.*}/tag', handle: handlers.tag },
    notImplemented('POST', '/images/{name:.*}/push'),
    { method: 'GET', path: '/images/{name:.*}/get', handle: archives.saveOne },
    { method: 'DELETE', path: '/images/{name:.*}', handle: handlers.remove },
    notImplemented('GET', '/distribution/{name:.*}/json'),
  ];
}
