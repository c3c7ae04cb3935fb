/**
 * The addresses of `--host`: `unix://PATH`, `fd://` (sockets passed by systemd, sd_listen_fds(3)), `tcp://HOST:PORT`.
 * Over TCP only with TLS that knows its clients: whoever reaches the API is root on this machine.
 */
import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createSecureContext } from 'node:tls';
import { InvalidParameterError, UnavailableError } from '../base/errors.ts';
import { log } from '../base/log.ts';
import { addon } from '../native/addon.ts';
import { type DaemonConfig, DEFAULT_GROUP } from './config.ts';
import type { ListenAddress, TlsFiles } from './server.ts';
import { groupId } from './socket-file.ts';

export const DEFAULT_HOST = 'unix:///run/mydock.sock';
const FIRST_PASSED_FD = 3;
const TLS_PORT = 2376;

/**
 * Every address to listen on; of a daemon that takes over, those of `fd://` are known later where none was passed to it
 * (`inheritedAddresses`). Throws InvalidParameter or Unavailable naming the host.
 */
export function listenAddresses(config: DaemonConfig, { takeover = false } = {}): ListenAddress[] {
  return hostsOf(config).flatMap((host) =>
    takeover && isFd(host) && passedCount() === 0 ? [] : parseHost(host, config),
  );
}

/** Whether the addresses of `fd://` have to be those of the daemon that is taken over. */
export function wantsInherited(config: DaemonConfig): boolean {
  return hostsOf(config).some(isFd) && passedCount() === 0;
}

/** Those that another daemon was passed and hands over: sockets by `listenKey`. Throws as `listenAddresses`, and for none. */
export function inheritedAddresses(
  handed: ReadonlyMap<string, number>,
  config: DaemonConfig,
): ListenAddress[] {
  const addresses = [...handed].flatMap(([key, fd]): ListenAddress[] => {
    const number = /^fd:(\d+)$/.exec(key)?.[1];
    return number === undefined ? [] : [passedSocket(fd, Number(number), false, config)];
  });
  if (addresses.length === 0)
    throw new UnavailableError('--host fd://: no sockets were passed or handed over to this process');
  return addresses;
}

function hostsOf({ hosts }: DaemonConfig): readonly string[] {
  return hosts.length === 0 ? [DEFAULT_HOST] : hosts;
}

function isFd(host: string): boolean {
  return host.startsWith('fd://');
}

function parseHost(host: string, config: DaemonConfig): ListenAddress[] {
  if (host.startsWith('unix://')) {
    const path = host.slice('unix://'.length);
    if (!path.startsWith('/'))
      throw new InvalidParameterError(`invalid --host "${host}": expected unix:///PATH`);
    return [{ kind: 'unix', path, gid: socketGroup(config.group) }];
  }
  if (isFd(host)) return passedSockets(host, config);
  if (host.startsWith('tcp://')) {
    const url = URL.parse(host.replace(/^tcp:/, 'http:'));
    if (url === null || url.hostname === '') throw new InvalidParameterError(`invalid --host "${host}"`);
    // The default port of the scheme that stands in for tcp is dropped by the parser.
    const port = url.port === '' ? (/:80\/?$/.test(host) ? 80 : TLS_PORT) : Number(url.port);
    return [
      { kind: 'tcp', host: url.hostname.replace(/^\[|\]$/g, ''), port, tls: requiredTls(host, config) },
    ];
  }
  throw new InvalidParameterError(`invalid --host "${host}": expected unix://, fd:// or tcp://`);
}

function passedCount(): number {
  const count = Number(process.env['LISTEN_FDS'] ?? 0);
  return Number(process.env['LISTEN_PID'] ?? 0) === process.pid && count > 0 ? count : 0;
}

function passedSockets(host: string, config: DaemonConfig): ListenAddress[] {
  const count = passedCount();
  if (count === 0) {
    throw new UnavailableError(`--host ${host}: no sockets were passed to this process (LISTEN_FDS)`);
  }
  return Array.from({ length: count }, (_, index) => FIRST_PASSED_FD + index).map((fd) =>
    passedSocket(fd, fd, true, config),
  );
}

function passedSocket(fd: number, number: number, isOpen: boolean, config: DaemonConfig): ListenAddress {
  const isUnix = addon().socketInfo(fd).family === 'unix';
  const tls = isUnix ? null : requiredTls(`fd:// (descriptor ${number}, not a Unix socket)`, config);
  return { kind: 'fd', fd: number, isOpen, tls };
}

function requiredTls(host: string, config: DaemonConfig): TlsFiles {
  if (!config.tlsVerify) {
    throw new InvalidParameterError(
      `--host ${host}: the API is served over TCP only with TLS that verifies its clients: use --tlsverify with --tlscacert, --tlscert and --tlskey, or reach the Unix socket over ssh:// instead`,
    );
  }
  return readTls(config);
}

/** Everything is looked at now: a daemon that starts with unfit files would refuse its clients without a word. */
function readTls(config: DaemonConfig): TlsFiles {
  const read = (flag: string, path: string): Buffer => {
    try {
      return readFileSync(path);
    } catch (error) {
      throw new InvalidParameterError(`cannot read --${flag} ${path}`, error);
    }
  };
  const ca = read('tlscacert', config.tlsCaCert);
  const cert = read('tlscert', config.tlsCert);
  const key = read('tlskey', config.tlsKey);
  requireCertificate('tlscacert', config.tlsCaCert, ca);
  requireCertificate('tlscert', config.tlsCert, cert);
  try {
    createSecureContext({ cert, key });
  } catch (error) {
    throw new InvalidParameterError(
      `--tlscert ${config.tlsCert} and --tlskey ${config.tlsKey} cannot be used together`,
      error,
    );
  }
  return { ca, cert, key };
}

/** Without one in the CA's file every client would be refused, and without one of our own too. */
function requireCertificate(flag: string, path: string, pem: Buffer): void {
  try {
    new X509Certificate(pem);
  } catch (error) {
    throw new InvalidParameterError(`--${flag} ${path} holds no certificate in PEM form`, error);
  }
}

/** The group whose members may connect. The default group need not exist: then only root may. */
function socketGroup(group: string): number {
  const gid = groupId(group);
  if (gid !== undefined) return gid;
  if (group !== DEFAULT_GROUP) {
    throw new InvalidParameterError(
      `group "${group}" does not exist: make it, or name another with --group (root for root alone)`,
    );
  }
  log.debug({ group }, 'no such group: only root may use the socket');
  return 0;
}
