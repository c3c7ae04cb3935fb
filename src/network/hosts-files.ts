/**
 * What stands in a container's /etc/hosts and /etc/resolv.conf. Text in, text out; only `hostResolvConf` reads a
 * file. Both follow Docker: the same localhost lines, loopback name servers of the host left out (they cannot be
 * reached from another network namespace), public ones where none is left.
 */
import { readFileSync } from 'node:fs';
import { isIP } from 'node:net';
import { InvalidParameterError } from '../base/errors.ts';

const LOCALHOST_LINES = [
  '127.0.0.1\tlocalhost',
  '::1\tlocalhost ip6-localhost ip6-loopback',
  'fe00::\tip6-localnet',
  'ff00::\tip6-mcastprefix',
  'ff02::1\tip6-allnodes',
  'ff02::2\tip6-allrouters',
];

/** Used where the host has no name server that a container could reach. */
const PUBLIC_NAME_SERVERS = ['8.8.8.8', '8.8.4.4'];

/** Where containers of user-defined networks find the daemon's resolver. */
const INTERNAL_NAME_SERVER = '127.0.0.11';

/** Where systemd-resolved lists the servers that stand behind its stub 127.0.0.53. */
const RESOLVED_CONF = '/run/systemd/resolve/resolv.conf';

export interface HostsRequest {
  /** The file to extend instead of the localhost lines: the host's own, for `--network host`. */
  base?: string | undefined;
  /** `name:address` as `--add-host` gives them; the address may be `host-gateway`, or IPv6 with or without brackets. */
  extraHosts: readonly string[];
  /** What `host-gateway` stands for. */
  hostGateway: string;
  /** The lines of the container's own addresses, and of those that it is linked to. */
  own: readonly string[];
}

/** The whole of /etc/hosts. Throws InvalidParameter on an extra host that is no `name:address`. */
export function buildHosts(request: HostsRequest): string {
  const base = request.base === undefined ? LOCALHOST_LINES : [request.base.replace(/\n+$/, '')];
  const extra = request.extraHosts.map((entry) => extraHostLine(entry, request.hostGateway));
  return `${[...base, ...extra, ...request.own].join('\n')}\n`;
}

/**
 * One line for each address. Of a name with dots, wherever it was given, the first part is a name too; empty names
 * give no lines.
 */
export function ownHostLines(addresses: readonly string[], hostname: string, domainname: string): string[] {
  if (hostname === '') return [];
  const full = domainname === '' ? hostname : `${hostname}.${domainname}`;
  const names = full.includes('.') ? `${full} ${full.split('.', 1)[0]}` : full;
  return addresses.filter((address) => address !== '').map((address) => `${address}\t${names}`);
}

/**
 * Takes lines out of a hosts file and puts others in, where the first one was taken out or at the end. What else the
 * file has stays as it is; a line that is to come and is there already is left where it is.
 */
export function replaceHostLines(text: string, remove: readonly string[], add: readonly string[]): string {
  const trimmed = text.replace(/\n+$/, '');
  const lines = trimmed === '' ? [] : trimmed.split('\n');
  const gone = new Set(remove.filter((line) => !add.includes(line)));
  const missing = add.filter((line) => !lines.includes(line));
  const place = lines.findIndex((line) => gone.has(line));
  const kept = lines.filter((line) => !gone.has(line));
  kept.splice(place === -1 ? kept.length : place, 0, ...missing);
  return `${kept.join('\n')}\n`;
}

function extraHostLine(entry: string, hostGateway: string): string {
  const separator = entry.search(/[:=]/);
  const name = entry.slice(0, separator);
  const address = entry.slice(separator + 1).replace(/^\[(.*)\]$/, '$1');
  const resolved = address === 'host-gateway' ? hostGateway : address;
  if (separator <= 0 || /\s/.test(name) || isIP(resolved) === 0) {
    throw new InvalidParameterError(`bad format for add-host: "${entry}": want name:address`);
  }
  return `${resolved}\t${name}`;
}

export interface ResolvConfRequest {
  /** `--network host`: the host's file unchanged where nothing is overridden. */
  host: boolean;
  /** The resolver at 127.0.0.11 answers: it stands in place of all servers, and asks them. */
  internal?: boolean;
  /** `--dns`, `--dns-search`, `--dns-option`; an empty list keeps what the host has. A search of `.` means none. */
  servers: readonly string[];
  search: readonly string[];
  options: readonly string[];
  /** The host's file; read by `hostResolvConf` where left out. */
  hostFile?: string | undefined;
}

/** The whole of /etc/resolv.conf. Throws InvalidParameter on a server that is no IP address. */
export function buildResolvConf(request: ResolvConfRequest): string {
  for (const server of request.servers) {
    if (isIP(server) === 0) throw new InvalidParameterError(`${server} is not an ip address`);
  }
  const hostFile = request.hostFile ?? hostResolvConf(request.host);
  const overridden = request.servers.length + request.search.length + request.options.length > 0;
  if (request.host && !overridden) return hostFile;

  const inherited = parseResolvConf(hostFile);
  const reachable = request.host
    ? inherited.servers
    : inherited.servers.filter((server) => !isLoopback(server) && !isLinkLocal(server));
  const servers =
    request.internal === true
      ? [INTERNAL_NAME_SERVER]
      : firstNotEmpty(request.servers, reachable, request.host ? [] : PUBLIC_NAME_SERVERS);
  const search = firstNotEmpty(request.search, inherited.search).filter((domain) => domain !== '.');
  const given = firstNotEmpty(request.options, inherited.options);
  // Names without dots are those of containers: they go to the resolver before any search domain is tried.
  const dots = request.internal === true && !given.some((option) => option.startsWith('ndots:'));
  const options = dots ? [...given, 'ndots:0'] : given;
  const lines = [
    ...servers.map((server) => `nameserver ${server}`),
    ...(search.length === 0 ? [] : [`search ${search.join(' ')}`]),
    ...(options.length === 0 ? [] : [`options ${options.join(' ')}`]),
  ];
  return lines.map((line) => `${line}\n`).join('');
}

/**
 * The host's /etc/resolv.conf; for containers with a network of their own, systemd-resolved's list where that file
 * names only its stub. Empty where neither can be read.
 */
export function hostResolvConf(forHostNetwork: boolean): string {
  const own = readOrEmpty('/etc/resolv.conf');
  if (forHostNetwork) return own;
  const { servers } = parseResolvConf(own);
  if (servers.length !== 1 || servers[0] !== '127.0.0.53') return own;
  return readOrEmpty(RESOLVED_CONF) || own;
}

function readOrEmpty(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    // A host without the file resolves nothing by DNS; containers then get the public servers.
    return '';
  }
}

interface ResolvConf {
  servers: string[];
  search: string[];
  options: string[];
}

/** resolv.conf(5): of several `search` or `domain` lines the last one counts, `options` add up. */
function parseResolvConf(text: string): ResolvConf {
  const result: ResolvConf = { servers: [], search: [], options: [] };
  for (const line of text.split('\n')) {
    if (/^[#;]/.test(line)) continue;
    const [keyword, ...values] = line.trim().split(/\s+/);
    if (keyword === 'nameserver' && values[0] !== undefined) result.servers.push(values[0]);
    if (keyword === 'search' || keyword === 'domain') result.search = values;
    if (keyword === 'options') result.options.push(...values);
  }
  return result;
}

function firstNotEmpty(...lists: (readonly string[])[]): readonly string[] {
  return lists.find((list) => list.length > 0) ?? [];
}

function isLoopback(server: string): boolean {
  return server.startsWith('127.') || server === '::1';
}

/** `fe80::1%eth0` names an interface that a container does not have. */
function isLinkLocal(server: string): boolean {
  return /^fe[89ab]/i.test(server);
}
