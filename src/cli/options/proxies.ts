/**
 * `proxies` of Docker's client configuration: for the daemon's address, or else `default`, the proxies that builds are given,
 * as the variables that programs look at, in capitals and small letters.
 */
const VARIABLES = [
  ['httpProxy', 'HTTP_PROXY'],
  ['httpsProxy', 'HTTPS_PROXY'],
  ['ftpProxy', 'FTP_PROXY'],
  ['noProxy', 'NO_PROXY'],
  ['allProxy', 'ALL_PROXY'],
] as const;

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
