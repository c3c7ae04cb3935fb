/**
 * Where a repository can be pulled from, in the order to try: the registry's mirrors, the registry over HTTPS, and for
 * insecure registries the same without certificate checks and then plain HTTP. Which failures lead on to the next,
 * and whose credentials each of them may see.
 */
import { lookup } from 'node:dns/promises';
import { isIP } from 'node:net';
import { errnoCode, isDiskFull } from '../../base/errors.ts';
import { DEFAULT_DOMAIN } from '../reference.ts';
import type { RegistryAuth } from './credentials.ts';
import { RegistryError, TransportError } from './errors.ts';
import { mirrorsOf } from './mirrors.ts';
import { bareHost, inRange } from './proxy.ts';
import { serverDomain } from './server-domain.ts';

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

/** The endpoints for a registry of a reference (`docker.io`, `host:5000`). */
export async function pullEndpoints(
  domain: string,
  options: { mirrors: readonly string[]; insecureRegistries: readonly string[] },
): Promise<Endpoint[]> {
  const mirrors = await Promise.all(
    mirrorsOf(domain, options.mirrors).map(async ({ baseUrl }) => ({
      baseUrl,
      mirror: true,
      insecure: await isInsecure(new URL(baseUrl).host, options.insecureRegistries),
    })),
  );
  return [...mirrors, ...(await registryEndpoints(domain, options.insecureRegistries))];
}

/** The registry itself, without its mirrors. */
export async function registryEndpoints(
  domain: string,
  insecureRegistries: readonly string[],
): Promise<Endpoint[]> {
  if (domain === DEFAULT_DOMAIN) return [{ baseUrl: HUB_REGISTRY, mirror: false, insecure: false }];
  if (!(await isInsecure(domain, insecureRegistries))) {
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
 * Whether what failed at one endpoint is tried at the next. A mirror may fail in any way: it may lack the image, lie
 * about it, refuse, be overloaded or gone; what fails on this machine (a full disk, a file that cannot be written)
 * would fail with the next as well. The registry itself leads on only where no HTTP was spoken at all (`reached`), so
 * that a registry that once answered over TLS is never asked again in plain text.
 */
export function mayFallBack(error: unknown, endpoint: Endpoint, reached: boolean): boolean {
  if (!endpoint.mirror) return !reached && error instanceof TransportError;
  if (error instanceof TransportError || error instanceof RegistryError) return true;
  return !isDiskFull(error) && errnoCode(error) === undefined;
}

/** What a client sent along: for the registry that it asks for, and for others by their address. */
export interface ClientCredentials {
  auth?: RegistryAuth;
  authConfigs?: Readonly<Record<string, RegistryAuth>>;
}

/**
 * The credentials for one endpoint of the registry `domain`. A mirror is another party: it sees those that were given
 * for its own host and never the registry's.
 */
export function endpointAuth(
  endpoint: Endpoint,
  domain: string,
  { auth, authConfigs = {} }: ClientCredentials,
): RegistryAuth {
  const host = endpoint.mirror ? serverDomain(new URL(endpoint.baseUrl).host) : domain.toLowerCase();
  if (auth !== undefined) {
    // Without an address they are for the registry that was asked for.
    const meant = auth.serveraddress === undefined ? domain.toLowerCase() : serverDomain(auth.serveraddress);
    if (meant === host || !endpoint.mirror) return auth;
  }
  return Object.entries(authConfigs).find(([address]) => serverDomain(address) === host)?.[1] ?? {};
}
