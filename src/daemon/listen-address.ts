/**
 * The addresses of `--host`: `unix://PATH`, `fd://` (sockets passed by systemd, sd_listen_fds(3)), `tcp://HOST:PORT`.
 */
import { readFileSync } from 'node:fs';
import { InvalidParameterError, UnavailableError } from '../base/errors.ts';
import { log } from '../base/log.ts';
import type { DaemonConfig } from './config.ts';
import type { ListenAddress, TlsFiles } from './server.ts';

export const DEFAULT_HOST = 'unix:///run/mydock.sock';
const FIRST_PASSED_FD = 3;

/** Every address to listen on. Throws InvalidParameter or Unavailable naming the host. */
export function listenAddresses(config: DaemonConfig): ListenAddress[] {
  const hosts = config.hosts.length === 0 ? [DEFAULT_HOST] : config.hosts;
  const addresses = hosts.flatMap((host) => parseHost(host, config));
  for (const address of addresses) {
    if (address.kind === 'tcp' && (address.tls === null || !address.tls.verify)) {
      log.warn(
        { host: address.host, port: address.port },
        'the API is reachable over TCP without client certificates: whoever reaches it is root on this machine',
      );
    }
  }
  return addresses;
}

function parseHost(host: string, config: DaemonConfig): ListenAddress[] {
  if (host.startsWith('unix://')) {
    const path = host.slice('unix://'.length);
    if (!path.startsWith('/'))
      throw new InvalidParameterError(`invalid --host "${host}": expected unix:///PATH`);
    return [{ kind: 'unix', path, gid: groupId(config.group) }];
  }
  if (host.startsWith('fd://')) return passedSockets(host);
  if (host.startsWith('tcp://')) {
    const url = URL.parse(host.replace(/^tcp:/, 'http:'));
    if (url === null || url.hostname === '') throw new InvalidParameterError(`invalid --host "${host}"`);
    const tls = config.tls ? readTls(config) : null;
    const port = url.port === '' ? (tls === null ? 2375 : 2376) : Number(url.port);
    return [{ kind: 'tcp', host: url.hostname.replace(/^\[|\]$/g, ''), port, tls }];
  }
  throw new InvalidParameterError(`invalid --host "${host}": expected unix://, fd:// or tcp://`);
}

function passedSockets(host: string): ListenAddress[] {
  const count = Number(process.env['LISTEN_FDS'] ?? 0);
  if (Number(process.env['LISTEN_PID'] ?? 0) !== process.pid || !(count > 0)) {
    throw new UnavailableError(`--host ${host}: no sockets were passed to this process (LISTEN_FDS)`);
  }
  return Array.from({ length: count }, (_, index) => ({ kind: 'fd', fd: FIRST_PASSED_FD + index }));
}

function readTls(config: DaemonConfig): TlsFiles {
  const read = (flag: string, path: string): Buffer => {
    try {
      return readFileSync(path);
    } catch (error) {
      throw new InvalidParameterError(`cannot read --${flag} ${path}`, error);
    }
  };
  return {
    ca: config.tlsVerify ? read('tlscacert', config.tlsCaCert) : undefined,
    cert: read('tlscert', config.tlsCert),
    key: read('tlskey', config.tlsKey),
    verify: config.tlsVerify,
  };
}

/** The group's ID from /etc/group; root's where there is no such group, so that only root may connect. */
function groupId(group: string): number {
  if (/^\d+$/.test(group)) return Number(group);
  for (const line of readFileSync('/etc/group', 'utf8').split('\n')) {
    const [name, , gid] = line.split(':');
    if (name === group) return Number(gid);
  }
  log.debug({ group }, 'no such group: only root may use the socket');
  return 0;
}
