/** The repository of a registry that a cache lies in: which of its endpoints answers, with whose credentials. */
import { InternalError } from '../../base/errors.ts';
import { log } from '../../base/log.ts';
import { familiarString, parseReference, type Reference, withDefaultTag } from '../../image/reference.ts';
import { RepositoryClient } from '../../image/registry/client.ts';
import {
  type ClientCredentials,
  endpointAuth,
  mayFallBack,
  pullEndpoints,
  registryEndpoints,
} from '../../image/registry/endpoints.ts';
import type { ResolvedRegistryOptions } from '../../image/registry/options.ts';
import type { Transport } from '../../image/registry/transport.ts';

export interface CacheRegistry {
  options: ResolvedRegistryOptions;
  transport: Transport;
}

/** Calls `use` with the first endpoint that can be talked to. `actions`: mirrors are only read. */
export async function withRepository<T>(
  { options, transport }: CacheRegistry,
  name: string,
  actions: 'pull' | 'pull,push',
  credentials: ClientCredentials,
  signal: AbortSignal,
  use: (client: RepositoryClient, reference: Reference) => Promise<T>,
): Promise<T> {
  const reference = withDefaultTag(parseReference(name));
  const { domain, path } = reference;
  const endpoints =
    actions === 'pull'
      ? await pullEndpoints(domain, options)
      : await registryEndpoints(domain, options.insecureRegistries);
  let failure: unknown = new InternalError(`no endpoints found for ${familiarString(reference)}`);
  for (const endpoint of endpoints) {
    const auth = endpointAuth(endpoint, domain, credentials);
    const client = new RepositoryClient({ endpoint, path, auth, transport, registry: options, actions });
    try {
      return await use(client, reference);
    } catch (error) {
      signal.throwIfAborted();
      failure = error;
      if (!mayFallBack(error, endpoint, client.reached)) break;
      log.debug({ endpoint: endpoint.baseUrl, error: String(error) }, 'cache: trying the next endpoint');
    }
  }
  throw failure;
}
