/**
 * `GET /images/difference?from=&to=`: what two images or containers do not have in common. Not in Docker's API.
 * `only` names the parts to compare (`packages`, `files`, `config`; default all), `content=0` trusts equal sizes,
 * `times=1` takes modification times for differences.
 */
import type { ImageDifference } from '../../../api/image-difference.ts';
import { InvalidParameterError } from '../../../base/errors.ts';
import type { DifferenceRequest } from '../../../container/image-difference.ts';
import { Semaphore } from '../../../image/semaphore.ts';
import type { ApiRequest } from '../../request.ts';
import type { Route } from '../../router.ts';

/** Comparisons at a time: each reads the disk as fast as it can. */
const MAX_COMPARISONS = 2;
const PARTS = ['packages', 'files', 'config'];

export type DifferenceBackend = (request: DifferenceRequest) => Promise<ImageDifference>;

export function differenceRoute(compare: DifferenceBackend): Route {
  const slots = new Semaphore(MAX_COMPARISONS);
  return {
    method: 'GET',
    path: '/images/difference',
    handle: async (request, response) => {
      const wanted = differenceRequest(request);
      await slots.acquire(request.signal);
      try {
        response.json(200, await compare(wanted));
      } finally {
        slots.release();
      }
    },
  };
}

function differenceRequest(request: ApiRequest): DifferenceRequest {
  const from = request.text('from');
  if (from === '')
    throw new InvalidParameterError('image diff: "from" is empty: name an image or a container');
  const only = request
    .text('only')
    .split(',')
    .filter((part) => part !== '');
  const unknown = only.find((part) => !PARTS.includes(part));
  if (unknown !== undefined)
    throw new InvalidParameterError(`image diff: unknown part "${unknown}": use packages, files or config`);
  const isWanted = (part: string): boolean => only.length === 0 || only.includes(part);
  return {
    from,
    to: request.text('to'),
    options: {
      packages: isWanted('packages'),
      files: isWanted('files'),
      config: isWanted('config'),
      content: request.flag('content', true),
      times: request.flag('times'),
    },
    signal: request.signal,
  };
}
