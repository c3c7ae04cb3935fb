/**
 * A listening socket on the host for a published port. It keeps other programs off the port, and carries on what the
 * kernel does not translate: IPv6 to a container that only has IPv4, and IPv4 where somebody removed the rules. What
 * the kernel translates never arrives here.
 */
import { closeSync } from 'node:fs';
import type { Socket } from 'node:net';
import { createConnection, createServer, isIPv6 } from 'node:net';
import { log } from '../base/log.ts';
import { addon } from '../native/addon.ts';
import { forwardDatagrams } from './datagram-forwarder.ts';

export interface ForwardTarget {
  address: string;
  port: number;
}

export interface ListenAddress {
  protocol: 'tcp' | 'udp';
  address: string;
  port: number;
}

export interface PortForwarder {
  /** Frees the port and ends what is being carried. */
  close(): void;
}

/** Binds and forwards to `target`. Throws the system error (EADDRINUSE, EADDRNOTAVAIL, EACCES) of the bind. */
export function openForwarder(listen: ListenAddress, target: ForwardTarget): PortForwarder {
  const fd = addon().bindPort(listen.protocol, listen.address, listen.port);
  try {
    return listen.protocol === 'tcp'
      ? forwardConnections(fd, target)
      : forwardDatagrams(fd, isIPv6(listen.address), target);
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}

/** Takes over `fd`, a listening TCP socket. */
function forwardConnections(fd: number, target: ForwardTarget): PortForwarder {
  const connections = new Set<Socket>();
  const track = (socket: Socket): void => {
    connections.add(socket);
    socket.once('close', () => connections.delete(socket));
  };
  const server = createServer({ allowHalfOpen: true, noDelay: true }, (client) => {
    const upstream = createConnection({
      host: target.address,
      port: target.port,
      allowHalfOpen: true,
      noDelay: true,
    });
    track(client);
    track(upstream);
    join(client, upstream);
  });
  server.on('error', (error) =>
    log.warn({ err: error, target }, 'published port: cannot accept connections'),
  );
  server.listen({ fd });
  // The daemon's own sockets keep it running; ports alone do not.
  server.unref();
  return {
    close() {
      server.close();
      for (const socket of connections) socket.destroy();
    },
  };
}

/** Copies both ways, each way ended by its own end, so that a half-closed connection goes on in the other way. */
function join(a: Socket, b: Socket): void {
  for (const [from, to] of [
    [a, b],
    [b, a],
  ] as const) {
    from.pipe(to);
    // A reset on one side is a reset on the other.
    from.on('error', () => to.resetAndDestroy());
    from.on('close', () => to.destroySoon());
  }
}
