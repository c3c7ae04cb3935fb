/** `GET /images/search`: the registry's results, filtered here. */
import type { SearchResultItem } from '../../../api/distribution.ts';
import { InvalidFilterError, requireKnownFilters } from '../../../api/filters.ts';
import { InvalidParameterError } from '../../../base/errors.ts';
import { decodeRegistryAuth, type RegistryAuth } from '../../../image/registry/credentials.ts';
import type { SearchRequest } from '../../../image/registry/search.ts';
import type { ApiRequest } from '../../request.ts';
import type { Handler } from '../../router.ts';
import { answerRefusal } from './registry-refusal.ts';

export interface SearchBackend {
  search(request: SearchRequest): Promise<SearchResultItem[]>;
}

const FILTERS = ['is-automated', 'is-official', 'stars'];

export function searchHandler(backend: SearchBackend): Handler {
  return async (request, response) => {
    const limit = request.text('limit');
    if (limit !== '' && !/^\+?\d{1,9}$/.test(limit))
      throw new InvalidParameterError(`invalid limit specified: "${limit}" is not a number of results`);
    const accepts = resultFilter(request);
    const wanted = {
      term: request.text('term'),
      limit: Number(limit),
      auth: credentials(request),
      signal: request.signal,
    };
    try {
      response.json(200, (await backend.search(wanted)).filter(accepts));
    } catch (error) {
      answerRefusal(response, error);
    }
  };
}

/** A search needs no credentials: those that cannot be read are left out, as Docker does. */
function credentials(request: ApiRequest): RegistryAuth {
  try {
    return decodeRegistryAuth(request.header('x-registry-auth') ?? '');
  } catch (error) {
    if (error instanceof InvalidParameterError) return {};
    throw error;
  }
}

function resultFilter(request: ApiRequest): (result: SearchResultItem) => boolean {
  const filters = request.filters();
  try {
    requireKnownFilters(filters, FILTERS);
  } catch (error) {
    throw error instanceof InvalidFilterError ? new InvalidParameterError(error.message) : error;
  }
  const official = flagOf('is-official', filters['is-official']);
  // Nothing is automated any more.
  const automated = flagOf('is-automated', filters['is-automated']) === true;
  const stars = Math.max(0, ...(filters['stars'] ?? []).map(starsOf));
  return (result) =>
    !automated && (official === undefined || result.is_official === official) && result.star_count >= stars;
}

function flagOf(name: string, values: readonly string[] | undefined): boolean | undefined {
  if (values === undefined) return undefined;
  const yes = values.some((value) => value === '1' || value === 'true');
  const no = values.some((value) => value === '0' || value === 'false');
  if (yes === no) throw new InvalidParameterError(`invalid filter '${name}=[${values.join(' ')}]'`);
  return yes;
}

function starsOf(text: string): number {
  if (/^[+-]?\d{1,15}$/.test(text)) return Number(text);
  throw new InvalidParameterError(
    `invalid filter 'stars=${text}': strconv.Atoi: parsing "${text}": invalid syntax`,
  );
}
