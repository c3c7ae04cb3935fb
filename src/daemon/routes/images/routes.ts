/** The table of image operations. */
import type { Route } from '../../router.ts';
import { archiveHandlers } from './archive.ts';
import type { ImagesBackend } from './backend.ts';
import { distributionHandlers } from './distribution.ts';
import { imageHandlers } from './handlers.ts';
import { pullHandler } from './pull.ts';
import { pushHandler } from './push.ts';
import { searchHandler } from './search.ts';

export function imageRoutes(backend: ImagesBackend): Route[] {
  const handlers = imageHandlers(backend);
  const distribution = distributionHandlers(backend.registry);
  const archives = archiveHandlers(backend.archives);
  return [
    { method: 'GET', path: '/images/json', handle: handlers.list },
    { method: 'POST', path: '/images/create', handle: pullHandler(backend) },
    { method: 'GET', path: '/images/search', handle: searchHandler(backend.registry) },
    { method: 'POST', path: '/images/prune', handle: handlers.prune },
    { method: 'GET', path: '/images/get', handle: archives.saveMany },
    { method: 'POST', path: '/images/load', handle: archives.load },
    { method: 'GET', path: '/images/{name:.*}/json', handle: handlers.inspect },
    { method: 'GET', path: '/images/{name:.*}/history', handle: handlers.history },
    { method: 'POST', path: '/images/{name:.*}/tag', handle: handlers.tag },
    { method: 'POST', path: '/images/{name:.*}/push', handle: pushHandler(backend) },
    { method: 'GET', path: '/images/{name:.*}/get', handle: archives.saveOne },
    { method: 'DELETE', path: '/images/{name:.*}', handle: handlers.remove },
    { method: 'GET', path: '/distribution/{name:.*}/json', handle: distribution.inspect },
    { method: 'GET', path: '/distribution/{name:.*}/manifests', handle: distribution.manifests },
  ];
}
