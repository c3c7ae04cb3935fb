/**
 * Where an import takes its archive from: a URL that the daemon fetches. http and https only; redirects, proxies and
 * silence are the transport's (registry/transport.ts).
 */
import { errorMessage, InvalidParameterError, UnavailableError } from '../../base/errors.ts';
import { bodyChunks, releaseBody } from '../registry/body.ts';
import { TransportError } from '../registry/errors.ts';
import { type RegistryOptions, resolveRegistryOptions } from '../registry/options.ts';
import { Transport } from '../registry/transport.ts';

export interface ImportFetch {
  transport: Pick<Transport, 'send'>;
  stallTimeoutMs: number;
}

/** Fetches with the daemon's settings for registries: proxies, certificates, patience. */
export function importFetch(options: RegistryOptions): ImportFetch {
  const resolved = resolveRegistryOptions(options);
  return { transport: new Transport(resolved), stallTimeoutMs: resolved.stallTimeoutMs };
}

/** Reads `http://…`, `https://…`, and `host/path`, which is the first of them. */
export function parseImportUrl(text: string): URL {
  const url = URL.parse(/^[a-z][a-z0-9+.-]*:\/\//i.test(text) ? text : `http://${text}`);
  if (url === null || (url.protocol !== 'http:' && url.protocol !== 'https:') || url.host === '') {
    throw new InvalidParameterError(
      `cannot import from ${JSON.stringify(text)}: expected an http or https URL`,
    );
  }
  return url;
}

/** The body of the answer, as it comes. Throws Unavailable, with Docker's text for a status that is an error. */
export async function* fetchImport(
  { transport, stallTimeoutMs }: ImportFetch,
  url: URL,
  signal: AbortSignal,
): AsyncGenerator<Buffer, void, undefined> {
  try {
    const answer = await transport.send({
      method: 'GET',
      url,
      headers: {},
      insecureHosts: new Set(),
      signal,
    });
    const { status, statusText } = answer.response;
    if (status >= 400) {
      releaseBody(answer.response);
      throw new UnavailableError(`Got HTTP status code >= 400: ${status} ${statusText}`);
    }
    yield* bodyChunks(answer.response, { url: answer.url, stallTimeoutMs, signal });
  } catch (error) {
    if (error instanceof TransportError) throw new UnavailableError(errorMessage(error), error);
    throw error;
  }
}
