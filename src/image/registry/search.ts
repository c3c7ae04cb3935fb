/**
 * Searching a registry by words: Docker Hub's v1 index, `GET /v1/search?q=&n=`, which some other registries have as
 * well. What a registry answers is checked field by field.
 */
import type { SearchResultItem } from '../../api/distribution.ts';
import {
  EngineError,
  InternalError,
  InvalidParameterError,
  UnauthorizedError,
  UnavailableError,
} from '../../base/errors.ts';
import { JsonReader } from '../json.ts';
import { DEFAULT_DOMAIN } from '../reference.ts';
import { Authorizer } from './auth.ts';
import { readBody, releaseBody } from './body.ts';
import type { RegistryAuth } from './credentials.ts';
import { type Endpoint, mayFallBack, registryEndpoints } from './endpoints.ts';
import { RegistryError, TransportError } from './errors.ts';
import { type RegistryOptions, type ResolvedRegistryOptions, resolveRegistryOptions } from './options.ts';
import { Transport } from './transport.ts';

const HUB_INDEX: Endpoint = { baseUrl: 'https://index.docker.io', mirror: false, insecure: false };
const DEFAULT_LIMIT = 25;
const MAX_LIMIT = 100;
const MAX_ANSWER_BYTES = 4 << 20;

export interface SearchRequest {
  /** Words, or `HOST/words` for another registry. */
  term: string;
  /** 1 to 100; 0 is the default, 25. */
  limit: number;
  auth: RegistryAuth;
  signal: AbortSignal;
}

/** The results in the registry's order. Throws InvalidParameter, Unauthorized, Unavailable or Internal. */
export async function searchRegistry(
  request: SearchRequest,
  options: RegistryOptions,
): Promise<SearchResultItem[]> {
  const limit = request.limit === 0 ? DEFAULT_LIMIT : request.limit;
  if (limit < 1 || limit > MAX_LIMIT)
    throw new InvalidParameterError(`limit ${limit} is outside the range of [1, ${MAX_LIMIT}]`);
  const { domain, words } = splitTerm(request.term);
  const registry = resolveRegistryOptions(options);
  const transport = new Transport(registry);
  const endpoints =
    domain === DEFAULT_DOMAIN ? [HUB_INDEX] : await registryEndpoints(domain, registry.insecureRegistries);
  let failure: unknown = new InternalError(`no endpoints found for ${domain}`);
  try {
    for (const endpoint of endpoints) {
      const search = new Search(endpoint, request, registry, transport);
      try {
        return (await search.run(words, limit)).slice(0, limit);
      } catch (error) {
        request.signal.throwIfAborted();
        failure = error;
        if (!mayFallBack(error, endpoint, search.reached)) break;
      }
    }
  } finally {
    transport.reset();
  }
  throw translate(failure);
}

/** Throws InvalidParameter, with Docker's text, for a URL. */
export function splitTerm(term: string): { domain: string; words: string } {
  if (/^https?:\/\//.test(term)) {
    throw new InvalidParameterError(
      `invalid repository name: repository name (${term}) should not have a scheme`,
    );
  }
  const slash = term.indexOf('/');
  const first = term.slice(0, Math.max(slash, 0));
  const named = slash > 0 && (/[.:]/.test(first) || first === 'localhost');
  if (!named || first === DEFAULT_DOMAIN || first === 'index.docker.io') {
    const words = named ? term.slice(slash + 1) : term;
    return { domain: DEFAULT_DOMAIN, words: words.replace(/^library\//, '') };
  }
  if (!/^(?:[a-z\d.-]+|\[[a-f\d:]+\])(?::\d{1,5})?$/i.test(first))
    throw new InvalidParameterError(`invalid registry "${first}" in search term "${term}"`);
  return { domain: first, words: term.slice(slash + 1) };
}

class Search {
  reached = false;
  readonly #endpoint: Endpoint;
  readonly #request: SearchRequest;
  readonly #registry: ResolvedRegistryOptions;
  readonly #transport: Transport;

  constructor(
    endpoint: Endpoint,
    request: SearchRequest,
    registry: ResolvedRegistryOptions,
    transport: Transport,
  ) {
    this.#endpoint = endpoint;
    this.#request = request;
    this.#registry = registry;
    this.#transport = transport;
  }

  async run(words: string, limit: number): Promise<SearchResultItem[]> {
    const { signal, auth: credentials } = this.#request;
    const baseUrl = new URL(this.#endpoint.baseUrl);
    const url = new URL(`${this.#endpoint.baseUrl}/v1/search`);
    url.searchParams.set('q', words);
    url.searchParams.set('n', String(limit));
    const insecureHosts = new Set(this.#endpoint.insecure ? [baseUrl.host] : []);
    const registry = this.#registry;
    const transport = this.#transport;
    const authorizer = new Authorizer({
      transport,
      registry,
      baseUrl,
      scope: '',
      credentials,
      insecureHosts,
    });
    for (let first = true; ; first = false) {
      const header = await authorizer.header(signal);
      const headers: Record<string, string> = header === undefined ? {} : { Authorization: header };
      const answer = await transport.send({ method: 'GET', url, headers, insecureHosts, signal });
      this.reached = true;
      const { response } = answer;
      if (response.ok) {
        const { stallTimeoutMs } = registry;
        const tooLong = (): Error => new InternalError(`search result of ${baseUrl.host} is too large`);
        const body = { url: answer.url, signal, stallTimeoutMs, maxBytes: MAX_ANSWER_BYTES, tooLong };
        return readResults(await readBody(response, body));
      }
      const challenge = response.headers.get('www-authenticate') ?? '';
      releaseBody(response);
      const again = response.status === 401 && first;
      if (again && (await authorizer.answer(challenge, header, signal))) continue;
      throw new RegistryError(response.status, '', `Unexpected status code ${response.status}`);
    }
  }
}

function readResults(bytes: Buffer): SearchResultItem[] {
  const results = JsonReader.parse(bytes, 'search result').objects('results') ?? [];
  return results.map((json) => ({
    star_count: json.integer('star_count') ?? 0,
    is_official: json.boolean('is_official') ?? false,
    name: json.string('name') ?? '',
    // The Hub has no automated builds any more.
    is_automated: false,
    description: json.string('description') ?? '',
  }));
}

function translate(error: unknown): unknown {
  if (error instanceof InvalidParameterError) return new InternalError(error.message, error);
  if (error instanceof EngineError) return error;
  if (error instanceof TransportError) return new UnavailableError(error.message.replace(/^GET /, 'Get '));
  if (!(error instanceof RegistryError)) return error;
  if (error.status === 401) return new UnauthorizedError(error.message, error);
  return error.status === 429 || error.status >= 500
    ? new UnavailableError(error.message, error)
    : new InternalError(error.message, error);
}
