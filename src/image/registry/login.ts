/**
 * Checks credentials against a registry, as `docker login` asks for it: `GET /v2/` with them (OCI distribution-spec,
 * "Determining Support"). Nothing is kept: clients store credentials and send them along.
 */
import { EngineError, InternalError, InvalidParameterError, UnauthorizedError } from '../../base/errors.ts';
import { Authorizer } from './auth.ts';
import { releaseBody } from './body.ts';
import type { RegistryAuth } from './credentials.ts';
import { type Endpoint, mayFallBack, registryEndpoints } from './endpoints.ts';
import { RegistryError, TransportError } from './errors.ts';
import { REGISTRY } from './mirrors.ts';
import { type RegistryOptions, type ResolvedRegistryOptions, resolveRegistryOptions } from './options.ts';
import { serverDomain } from './server-domain.ts';
import { Transport } from './transport.ts';

/**
 * Returns the refresh token that the registry's token server gives in exchange for the password, empty where it gives
 * none: clients store it in the password's place. Throws InvalidParameter for an address that is none, Unauthorized
 * where the registry refuses the credentials, Internal where it cannot be asked, in Docker's words.
 */
export async function checkCredentials(
  auth: RegistryAuth,
  options: RegistryOptions,
  signal: AbortSignal,
): Promise<string> {
  const registry = resolveRegistryOptions(options);
  const transport = new Transport(registry);
  const domain = serverDomain(auth.serveraddress ?? '');
  // Not quoted: it may hold a password.
  if (!REGISTRY.test(domain))
    throw new InvalidParameterError('invalid server address: it must be HOST[:PORT]');
  let failure: unknown = new InternalError(`no endpoints found for ${domain}`);
  try {
    for (const endpoint of await registryEndpoints(domain, registry.insecureRegistries)) {
      const attempt = new Attempt(endpoint, auth, registry, transport);
      try {
        return await attempt.run(signal);
      } catch (error) {
        signal.throwIfAborted();
        failure = translate(error, attempt.url);
        if (!mayFallBack(error, endpoint, attempt.reached)) break;
      }
    }
  } finally {
    transport.reset();
  }
  throw failure;
}

class Attempt {
  readonly url: URL;
  reached = false;
  readonly #transport: Transport;
  readonly #insecureHosts: ReadonlySet<string>;
  readonly #authorizer: Authorizer;

  constructor(
    endpoint: Endpoint,
    credentials: RegistryAuth,
    registry: ResolvedRegistryOptions,
    transport: Transport,
  ) {
    const baseUrl = new URL(endpoint.baseUrl);
    this.url = new URL(`${endpoint.baseUrl}/v2/`);
    this.#transport = transport;
    this.#insecureHosts = new Set(endpoint.insecure ? [baseUrl.host] : []);
    const insecureHosts = this.#insecureHosts;
    this.#authorizer = new Authorizer({
      transport,
      registry,
      baseUrl,
      scope: '',
      credentials,
      insecureHosts,
      offline: true,
    });
  }

  async run(signal: AbortSignal): Promise<string> {
    const { url } = this;
    const insecureHosts = this.#insecureHosts;
    for (let first = true; ; first = false) {
      const header = await this.#authorizer.header(signal);
      const headers: Record<string, string> = header === undefined ? {} : { Authorization: header };
      const { response } = await this.#transport.send({ method: 'GET', url, headers, insecureHosts, signal });
      this.reached = true;
      const challenge = response.headers.get('www-authenticate') ?? '';
      releaseBody(response);
      if (response.ok) return this.#authorizer.refreshToken ?? '';
      const { status } = response;
      if (status === 401 && first && (await this.#authorizer.answer(challenge, header, signal))) continue;
      const message = `login attempt to ${url.href} failed with status: ${status} ${response.statusText}`;
      throw status === 401 ? new UnauthorizedError(message) : new InternalError(message);
    }
  }
}

/** The token server's refusal is told as the registry's: the user knows only that one. */
function translate(error: unknown, url: URL): unknown {
  const cause = error instanceof Error ? error.cause : undefined;
  if (error instanceof UnauthorizedError && cause instanceof RegistryError)
    return new UnauthorizedError(`Get "${url.href}": ${cause.message}`, cause);
  if (error instanceof EngineError) return error;
  if (error instanceof TransportError) return new InternalError(error.message.replace(/^GET /, 'Get '));
  if (error instanceof RegistryError) return new InternalError(`Get "${url.href}": ${error.message}`, error);
  return new InternalError(`login to ${url.host} failed`, error);
}
