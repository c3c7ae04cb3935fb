/** `POST /build/prune`. */
import { InvalidParameterError } from '../../../base/errors.ts';
import type { CachePruneRequest } from '../../../build/builder.ts';
import type { ApiRequest } from '../../request.ts';
import type { Handler } from '../../router.ts';
import type { BuildBackend } from './backend.ts';

export function pruneHandler(backend: BuildBackend): Handler {
  return async (request, response) => {
    const { entries, freedBytes } = await backend.prune(pruneRequest(request), request.signal);
    response.json(200, { CachesDeleted: entries.map(({ id }) => id), SpaceReclaimed: freedBytes });
  };
}

function pruneRequest(request: ApiRequest): CachePruneRequest {
  const reserved = bytes(request, 'reserved-space') ?? bytes(request, 'keep-storage');
  const used = bytes(request, 'max-used-space');
  const free = bytes(request, 'min-free-space');
  return {
    all: request.flag('all'),
    filters: request.filters(),
    ...(reserved === undefined ? {} : { reservedSpaceBytes: reserved }),
    ...(used === undefined ? {} : { maxUsedSpaceBytes: used }),
    ...(free === undefined ? {} : { minFreeSpaceBytes: free }),
  };
}

function bytes(request: ApiRequest, name: string): number | undefined {
  const text = request.query.get(name) ?? '';
  if (text === '') return undefined;
  if (/^\d{1,18}$/.test(text)) return Number(text);
  throw new InvalidParameterError(`${name} is in bytes and expects an integer, got "${text}"`);
}
