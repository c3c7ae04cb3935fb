/**
 * Checks credentials against a registry, as `docker login` asks for it: `GET /v2/` with them (OCI distribution-spec,
 * "Determining Support"). Nothing is kept: clients store credentials and send them along.
 */
import { EngineError, InternalError, UnauthorizedError } from '../../base/errors.ts';
import { DEFAULT_DOMAIN } from '../reference.ts';
import { Authorizer } from './auth.ts';
import { releaseBody } from './body.ts';
import type { RegistryAuth } from './credentials.ts';
import { type Endpoint, mayFallBack, pullEndpoints } from './endpoints.ts';
import { RegistryError, TransportError } from './errors.ts';
import { type RegistryOptions, type ResolvedRegistryOptions, resolveRegistryOptions } from './options.ts';
import { Transport } from './transport.ts';

const HUB_NAMES = new Set([
  '',
  'docker.io',
  'index.docker.io',
  'registry-1.docker.io',
  'registry.hub.docker.com',
]);

/** Throws Unauthorized where the registry refuses the credentials, Internal where it cannot be asked, in Docker's words. */
export async function checkCredentials(
  auth: RegistryAuth,
  options: RegistryOptions,
  signal: AbortSignal,
): Promise<void> {
  const registry = resolveRegistryOptions({ ...options, mirrors: [] });
  const transport = new Transport(registry);
  let failure: unknown = new InternalError(`no endpoints found for ${auth.serveraddress}`);
  for (const endpoint of await pullEndpoints(serverDomain(auth.serveraddress ?? ''), registry)) {
    try {
      return await tryEndpoint(endpoint, auth, { registry, transport, signal });
    } catch (error) {
      signal.throwIfAborted();
      failure = error;
      if (!mayFallBack(error, endpoint, false)) break;
    }
  }
  throw translate(failure);
}

/** The registry behind what users write: `https://index.docker.io/v1/` and an empty address are Docker Hub. */
export function serverDomain(address: string): string {
  const host = address.replace(/^https?:\/\//i, '').split('/', 1)[0] ?? '';
  return HUB_NAMES.has(host) ? DEFAULT_DOMAIN : host;
}

async function tryEndpoint(
  endpoint: Endpoint,
  auth: RegistryAuth,
  {
    registry,
    transport,
    signal,
  }: { registry: ResolvedRegistryOptions; transport: Transport; signal: AbortSignal },
): Promise<void> {
  const baseUrl = new URL(endpoint.baseUrl);
  const insecureHosts = new Set(endpoint.insecure ? [baseUrl.host] : []);
  const options = { transport, registry, baseUrl, scope: '', credentials: auth, insecureHosts };
  const authorizer = new Authorizer(options);
  const url = new URL(`${endpoint.baseUrl}/v2/`);
  for (let attempt = 0; attempt < 2; attempt += 1) {
    const header = await authorizer.header(signal);
    const headers: Record<string, string> = header === undefined ? {} : { Authorization: header };
    const { response } = await transport.send({ method: 'GET', url, headers, insecureHosts, signal });
    const challenge = response.headers.get('www-authenticate') ?? '';
    releaseBody(response);
    if (response.ok) return;
    if (response.status !== 401) {
      throw new InternalError(
        `login attempt to ${url.href} failed with status: ${response.status} ${response.statusText}`,
      );
    }
    if (attempt > 0 || !(await authorizer.answer(challenge, header, signal))) break;
  }
  throw new UnauthorizedError(`Get "${url.href}": unauthorized: authentication required`);
}

function translate(error: unknown): unknown {
  if (error instanceof EngineError) return error;
  if (error instanceof TransportError)
    return new InternalError(error.message.replace(/^GET /, 'Get '), error);
  if (error instanceof RegistryError && error.status === 401)
    return new UnauthorizedError(error.message, error);
  return new InternalError('login failed', error);
}
