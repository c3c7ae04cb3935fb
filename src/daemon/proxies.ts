/**
 * The proxies of the daemon's own requests: its environment, with what the configuration says in front of it (Docker:
 * `proxies` of daemon.json). Containers get none of it.
 */
import { log } from '../base/log.ts';
import { maskProxy, type ProxyEnvironment, parseProxy, proxyVariable } from '../image/registry/proxy.ts';
import type { DaemonConfig } from './config.ts';

/** Throws InvalidParameter for a proxy that cannot be used. */
export function proxyEnvironment(
  config: Pick<DaemonConfig, 'httpProxy' | 'httpsProxy' | 'noProxy'>,
  env: ProxyEnvironment,
): ProxyEnvironment {
  const merged: Record<string, string> = {};
  for (const [name, configured] of [
    ['HTTP_PROXY', config.httpProxy],
    ['HTTPS_PROXY', config.httpsProxy],
    ['NO_PROXY', config.noProxy],
  ] as const) {
    const inherited = proxyVariable(env, name);
    merged[name] = configured || inherited;
    if (configured !== '' && inherited !== '' && configured !== inherited) {
      log.warn(
        { name, environment: maskProxy(inherited), configuration: maskProxy(configured) },
        'the configuration overrides a proxy variable of the environment',
      );
    }
    if (name !== 'NO_PROXY' && merged[name] !== '') parseProxy(merged[name]);
  }
  return merged;
}

/** As `info` shows them. */
export function shownProxies(env: ProxyEnvironment): {
  HttpProxy: string;
  HttpsProxy: string;
  NoProxy: string;
} {
  return {
    HttpProxy: maskProxy(proxyVariable(env, 'HTTP_PROXY')),
    HttpsProxy: maskProxy(proxyVariable(env, 'HTTPS_PROXY')),
    NoProxy: proxyVariable(env, 'NO_PROXY'),
  };
}
