/**
 * `proxies` of Docker's client configuration: for the daemon's address, or else `default`, the proxies that builds and
 * containers are given, as the variables that programs look at, in capitals and small letters.
 */
import type { Io } from '../io.ts';
import { ConfigFile } from '../registry/config-file.ts';

const VARIABLES = [
  ['httpProxy', 'HTTP_PROXY'],
  ['httpsProxy', 'HTTPS_PROXY'],
  ['ftpProxy', 'FTP_PROXY'],
  ['noProxy', 'NO_PROXY'],
  ['allProxy', 'ALL_PROXY'],
] as const;

/** Those of the user's configuration. `warn` is told why where it cannot be read; it has none then. */
export function configuredProxies(
  daemonAddress: string,
  env: Io['env'],
  warn: (text: string) => void,
): Record<string, string> {
  return proxyVariables(ConfigFile.readOrWarn(env, warn).proxies, daemonAddress);
}

/** Empty where nothing is configured. `proxies` is as it stands in the file, whatever that is. */
export function proxyVariables(
  proxies: Readonly<Record<string, unknown>>,
  daemonAddress: string,
): Record<string, string> {
  const found = Object.hasOwn(proxies, daemonAddress) ? proxies[daemonAddress] : proxies['default'];
  if (typeof found !== 'object' || found === null) return {};
  const values = found as Readonly<Record<string, unknown>>;
  const variables: Record<string, string> = {};
  for (const [key, name] of VARIABLES) {
    const value = values[key];
    if (typeof value !== 'string' || value === '') continue;
    variables[name] = value;
    variables[name.toLowerCase()] = value;
  }
  return variables;
}

/** `variables` (`NAME=value`, or `NAME` for one that is to be unset) and those of `proxies` that they do not name. */
export function withProxies(
  variables: readonly string[],
  proxies: Readonly<Record<string, string>>,
): string[] {
  const given = new Set(variables.map((variable) => variable.split('=', 1)[0]));
  const others = Object.entries(proxies).filter(([name]) => !given.has(name));
  return [...variables, ...others.map(([name, value]) => `${name}=${value}`)];
}
