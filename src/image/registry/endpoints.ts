/**
 * Where a repository can be pulled from, in the order to try: Docker Hub's mirrors, the registry over HTTPS, and for
 * insecure registries the same without certificate checks and then plain HTTP.
 */
import { lookup } from 'node:dns/promises';
import { isIP } from 'node:net';
import { InvalidParameterError } from '../../base/errors.ts';
import { DEFAULT_DOMAIN } from '../reference.ts';
import { TransportError } from './errors.ts';
import { bareHost, inRange } from './proxy.ts';

const HUB_REGISTRY = 'https://registry-1.docker.io';
const LOOPBACK_RANGES: readonly string[] = ['127.0.0.0/8', '::1/128'];

export interface Endpoint {
  /** Scheme, host, port, and the path before `/v2/`, without a slash at the end. */
  baseUrl: string;
  /** A mirror's failures of every kind lead on to the next endpoint. */
  mirror: boolean;
  /** Certificates are not checked. */
  insecure: boolean;
}

/** Throws InvalidParameter, with Docker's texts, for a value of `--registry-mirror` that cannot be used. */
export function parseMirror(value: string): string {
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

/** The endpoints for a registry of a reference (`docker.io`, `host:5000`). */
export async function pullEndpoints(
  domain: string,
  options: { mirrors: readonly string[]; insecureRegistries: readonly string[] },
): Promise<Endpoint[]> {
  if (domain === DEFAULT_DOMAIN) {
    const mirrors = await Promise.all(
      options.mirrors.map(async (value) => {
        const baseUrl = parseMirror(value);
        return {
          baseUrl,
          mirror: true,
          insecure: await isInsecure(new URL(baseUrl).host, options.insecureRegistries),
        };
      }),
    );
    return [...mirrors, { baseUrl: HUB_REGISTRY, mirror: false, insecure: false }];
  }
  if (!(await isInsecure(domain, options.insecureRegistries))) {
    return [{ baseUrl: `https://${domain}`, mirror: false, insecure: false }];
  }
  return ['https', 'http'].map((scheme) => ({
    baseUrl: `${scheme}://${domain}`,
    mirror: false,
    insecure: true,
  }));
}

/**
 * Whether `host[:port]` may be used without a valid certificate: it is listed, or one of its addresses lies in a
 * listed range or on loopback.
 */
export async function isInsecure(host: string, insecureRegistries: readonly string[]): Promise<boolean> {
  const entries = insecureRegistries.map((entry) => entry.replace(/^https?:\/\//i, '').replace(/\/$/, ''));
  if (entries.includes(host)) return true;
  const name = bareHost(/^(.*?)(?::\d+)?$/.exec(host)?.[1] ?? host);
  const ranges = [...LOOPBACK_RANGES, ...entries.filter((entry) => entry.includes('/'))];
  const addresses = await addressesOf(name);
  return addresses.some((address) => ranges.some((range) => inRange(address, range)));
}

async function addressesOf(name: string): Promise<string[]> {
  if (isIP(name) !== 0) return [name];
  if (name.toLowerCase() === 'localhost') return ['127.0.0.1'];
  try {
    return (await lookup(name, { all: true })).map(({ address }) => address);
  } catch {
    // A name that does not resolve matches no range; the request itself will report it.
    return [];
  }
}

/**
 * Whether a pull that failed at one endpoint goes on at the next. A mirror may fail in any way. The registry itself
 * leads on only where no HTTP was spoken at all (`reached`), so that a registry that once answered over TLS is never
 * asked again in plain text.
 */
export function mayFallBack(error: unknown, endpoint: Endpoint, reached: boolean): boolean {
  return endpoint.mirror || (!reached && error instanceof TransportError);
}
