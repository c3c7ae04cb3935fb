/**
 * Which daemon to talk to: `-H`, MYDOCK_HOST, DOCKER_HOST, else the local socket; and how an address is written.
 */

export const DEFAULT_SOCKET = '/run/mydock.sock';

/** A daemon's address. `url` is as the user wrote it, for messages. */
export type Host =
  | { readonly kind: 'unix'; readonly url: string; readonly path: string }
  | {
      readonly kind: 'tcp';
      readonly url: string;
      readonly hostname: string;
      readonly port: number;
      readonly basePath: string;
    }
  | {
      readonly kind: 'ssh';
      readonly url: string;
      readonly destination: string;
      readonly port: number | undefined;
      readonly socket: string | undefined;
    };

export interface HostChoice {
  readonly host: Host;
  /** False where the default was taken: only then may the client start a daemon by itself. */
  readonly configured: boolean;
}

/** Throws where the address cannot be read. An empty variable counts as unset. */
export function chooseHost(flag: string | undefined, env: Record<string, string | undefined>): HostChoice {
  const url = flag || env['MYDOCK_HOST'] || env['DOCKER_HOST'];
  if (!url) return { host: parseHost(`unix://${DEFAULT_SOCKET}`), configured: false };
  return { host: parseHost(url), configured: true };
}

/** Reads `unix:///path`, `tcp://host[:port][/base]`, `ssh://[user@]host[:port][/socket]` or a bare `host:port`. */
export function parseHost(url: string): Host {
  const scheme = /^([a-z]+):\/\//.exec(url)?.[1] ?? 'tcp';
  const rest = url.replace(/^[a-z]+:\/\//, '');
  switch (scheme) {
    case 'unix':
      return { kind: 'unix', url, path: rest === '' ? DEFAULT_SOCKET : rest };
    case 'tcp':
    case 'http':
    case 'https':
      return parseTcp(url, rest);
    case 'ssh':
      return parseSsh(url, rest);
    default:
      throw new Error(`unable to parse docker host \`${url}\`: protocol ${scheme} is not supported`);
  }
}

function parseTcp(url: string, rest: string): Host {
  const parsed = parseAuthority(url, rest);
  if (parsed.username !== '') throw new Error(`unable to parse docker host \`${url}\``);
  const hostname = parsed.hostname === '' ? '127.0.0.1' : unbracket(parsed.hostname);
  // URL drops the default port of its scheme; under the made-up one nothing is dropped.
  const port = parsed.port === '' ? 2375 : Number(parsed.port);
  return { kind: 'tcp', url, hostname, port, basePath: parsed.pathname === '/' ? '' : parsed.pathname };
}

function parseSsh(url: string, rest: string): Host {
  const parsed = parseAuthority(url, rest);
  if (parsed.hostname === '') throw new Error(`unable to parse docker host \`${url}\`: no host specified`);
  if (parsed.password !== '')
    throw new Error(`unable to parse docker host \`${url}\`: plain-text password is not supported`);
  const hostname = unbracket(parsed.hostname);
  // ssh would take a name that begins with a dash for an option.
  if (hostname.startsWith('-') || parsed.username.startsWith('-')) {
    throw new Error(`unable to parse docker host \`${url}\`: invalid host name`);
  }
  return {
    kind: 'ssh',
    url,
    destination: parsed.username === '' ? hostname : `${decodeURIComponent(parsed.username)}@${hostname}`,
    port: parsed.port === '' ? undefined : Number(parsed.port),
    socket: parsed.pathname === '' || parsed.pathname === '/' ? undefined : parsed.pathname,
  };
}

function parseAuthority(url: string, rest: string): URL {
  try {
    return new URL(`mydock://${rest}`);
  } catch (cause) {
    throw new Error(`unable to parse docker host \`${url}\``, { cause });
  }
}

function unbracket(hostname: string): string {
  return hostname.startsWith('[') ? hostname.slice(1, -1) : hostname;
}
