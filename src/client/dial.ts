/**
 * Opens one byte stream to a daemon: a Unix socket, TCP, TLS, or an ssh program whose remote end runs
 * `mydock system dial-stdio`.
 */
import { createConnection } from 'node:net';
import type { Duplex } from 'node:stream';
import { keepReading } from '../base/keep-reading.ts';
import type { Host } from './host.ts';

import type { TlsOptions } from './tls-options.ts';

export type Dial = () => Duplex;

/** A function that opens a new connection at each call; failures arrive as `error` events of the stream. */
export async function dialer(host: Host, tls: TlsOptions | undefined): Promise<Dial> {
  switch (host.kind) {
    case 'unix':
      return () => keepReading(createConnection({ path: host.path, allowHalfOpen: true }));
    case 'tcp':
      if (tls === undefined) {
        const { hostname, port } = host;
        return () =>
          keepReading(createConnection({ host: hostname, port, allowHalfOpen: true, noDelay: true }));
      }
      return await tlsDialer(host.hostname, host.port, tls);
    case 'ssh':
      return await sshDialer(host);
  }
}

async function tlsDialer(hostname: string, port: number, options: TlsOptions): Promise<Dial> {
  const { connect } = await import('node:tls');
  const { isIP } = await import('node:net');
  const { ca, cert, key, verify } = options;
  const settings = {
    host: hostname,
    port,
    ...(isIP(hostname) === 0 ? { servername: hostname } : {}),
    ...(ca === undefined ? {} : { ca }),
    ...(cert === undefined ? {} : { cert }),
    ...(key === undefined ? {} : { key }),
    rejectUnauthorized: verify,
    allowHalfOpen: true,
  };
  return () => keepReading(connect(settings));
}

async function sshDialer(host: Extract<Host, { kind: 'ssh' }>): Promise<Dial> {
  const { sshConnection } = await import('./ssh-connection.ts');
  return () => sshConnection(host);
}
