/**
 * Which proxy a request goes through: HTTP_PROXY, HTTPS_PROXY and NO_PROXY, upper or lower case, with the meaning that
 * Docker users know: loopback never goes through a proxy; NO_PROXY holds hosts, domains (with or without a leading
 * dot), `host:port`, addresses and CIDR ranges, or `*`.
 */
import { BlockList, isIP } from 'node:net';
import { InvalidParameterError } from '../../base/errors.ts';

export type ProxyEnvironment = Readonly<Record<string, string | undefined>>;

/** Upper case goes before lower case; empty counts as absent. */
export function proxyVariable(
  env: ProxyEnvironment,
  name: 'HTTP_PROXY' | 'HTTPS_PROXY' | 'NO_PROXY',
): string {
  return env[name] || env[name.toLowerCase()] || '';
}

/** The proxy's URL, or undefined for a direct connection. Throws InvalidParameter for a proxy that is not HTTP's. */
export function proxyFor(url: URL, env: ProxyEnvironment): string | undefined {
  const proxy = proxyVariable(env, url.protocol === 'https:' ? 'HTTPS_PROXY' : 'HTTP_PROXY');
  if (proxy === '' || isLoopbackHost(url.hostname)) return undefined;
  const excluded = proxyVariable(env, 'NO_PROXY')
    .split(',')
    .map((entry) => entry.trim().toLowerCase())
    .filter((entry) => entry !== '');
  const host = bareHost(url.hostname).toLowerCase();
  const port = url.port || (url.protocol === 'https:' ? '443' : '80');
  if (excluded.some((entry) => matches(entry, host, port))) return undefined;
  return parseProxy(proxy);
}

/** The proxy as a URL; one without a scheme is HTTP's. Throws InvalidParameter, without its password. */
export function parseProxy(proxy: string): string {
  const text = /^[a-z\d+.-]+:\/\//i.test(proxy) ? proxy : `http://${proxy}`;
  let url: URL;
  try {
    url = new URL(text);
  } catch {
    // The cause would quote the password.
    throw new InvalidParameterError(`invalid proxy "${maskProxy(proxy)}": it is not a URL`);
  }
  if (url.protocol !== 'http:' && url.protocol !== 'https:') {
    throw new InvalidParameterError(
      `invalid proxy "${maskProxy(proxy)}": only http:// and https:// proxies are supported`,
    );
  }
  return text;
}

/** The proxy as it may be shown: name and password are `xxxxx`, as in Docker. */
export function maskProxy(proxy: string): string {
  return proxy.replace(/^([a-z\d+.-]+:\/\/)?[^/]*@/i, '$1xxxxx:xxxxx@');
}

function matches(entry: string, host: string, port: string): boolean {
  if (entry === '*') return true;
  if (entry.includes('/')) return inRange(host, entry);
  const withPort = /^(.*):(\d+)$/.exec(entry);
  const isAddress = isIP(entry) !== 0;
  const name = bareHost(withPort !== null && !isAddress ? (withPort[1] ?? '') : entry);
  if (withPort !== null && !isAddress && withPort[2] !== port) return false;
  const domain = name.replace(/^\*?\./, '');
  if (host === name) return true;
  return isIP(host) === 0 && host.endsWith(`.${domain}`);
}

/** `[::1]` as `::1`. */
export function bareHost(hostname: string): string {
  return hostname.replace(/^\[(.*)\]$/, '$1');
}

export function isLoopbackHost(hostname: string): boolean {
  const host = bareHost(hostname).toLowerCase();
  return host === 'localhost' || (isIP(host) === 4 && host.startsWith('127.')) || host === '::1';
}

/** Whether an address lies in a range `10.0.0.0/8`. False where either is not what it should be. */
export function inRange(address: string, range: string): boolean {
  const [network = '', bits = ''] = range.split('/');
  const family = isIP(network);
  if (family === 0 || isIP(address) !== family || !/^\d{1,3}$/.test(bits)) return false;
  if (Number(bits) > (family === 4 ? 32 : 128)) return false;
  const type = family === 4 ? 'ipv4' : 'ipv6';
  const list = new BlockList();
  list.addSubnet(network, Number(bits), type);
  return list.check(address, type);
}
