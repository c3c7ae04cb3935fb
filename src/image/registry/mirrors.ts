/**
 * Mirrors as the configuration names them: `URL` is one of Docker Hub, as Docker has it; `HOST=URL` one of any
 * registry. Several of one registry are tried in the order in which they stand.
 */
import { InvalidParameterError } from '../../base/errors.ts';
import { DEFAULT_DOMAIN } from '../reference.ts';
import { serverDomain } from './server-domain.ts';

export interface Mirror {
  /** The registry that it stands in for: `docker.io`, `ghcr.io`, `host:5000`. */
  readonly registry: string;
  /** Scheme, host, port, and the path before `/v2/`, without a slash at the end. */
  readonly baseUrl: string;
}

/** `host[:port]` of a registry. */
export const REGISTRY =
  /^(?:[a-z\d](?:[a-z\d-]*[a-z\d])?(?:\.[a-z\d](?:[a-z\d-]*[a-z\d])?)*|\[[a-f\d:]+\])(?::\d{1,5})?$/i;

/** Throws InvalidParameter, with Docker's texts, for a value of `--registry-mirror` that cannot be used. */
export function parseMirror(value: string): Mirror {
  const equals = value.indexOf('=');
  // In a URL without a registry before it, the first `=` stands behind the slashes.
  const named = equals >= 0 && !value.slice(0, equals).includes('/');
  if (!named) return { registry: DEFAULT_DOMAIN, baseUrl: parseUrl(value) };
  const registry = value.slice(0, equals);
  if (!REGISTRY.test(registry)) {
    throw new InvalidParameterError(`invalid mirror: "${registry}" in "${value}" is not a registry's host`);
  }
  return { registry: serverDomain(registry), baseUrl: parseUrl(value.slice(equals + 1)) };
}

/** The mirrors of one registry, in order. */
export function mirrorsOf(registry: string, values: readonly string[]): Mirror[] {
  return values.map(parseMirror).filter((mirror) => mirror.registry === registry.toLowerCase());
}

function parseUrl(value: string): string {
  let url: URL;
  try {
    url = new URL(value);
  } catch (error) {
    throw new InvalidParameterError(`invalid mirror: "${value}" is not a valid URI`, error);
  }
  if (url.protocol !== 'http:' && url.protocol !== 'https:') {
    throw new InvalidParameterError(
      `invalid mirror: no scheme specified for "${value}": must use either 'https://' or 'http://'`,
    );
  }
  if (url.search !== '' || url.hash !== '') {
    throw new InvalidParameterError(`invalid mirror: query or fragment at end of the URI "${value}"`);
  }
  if (url.username !== '' || url.password !== '') {
    throw new InvalidParameterError('invalid mirror: username/password not allowed in URI');
  }
  return url.href.replace(/\/+$/, '');
}
