/** TCP forwarding: each connection of a published port is joined to one towards the container. */
import type { Socket } from 'node:net';
import { createConnection, createServer } from 'node:net';
import { log } from '../../base/log.ts';
import type { DescriptorBudget } from './descriptor-budget.ts';
import type { ForwardTarget, PortSocket } from './port-socket.ts';

/** Of one connection: the client's socket and the one towards the container. */
const SOCKETS = 2;

/** Takes over `fd`, a listening TCP socket. Connections for which `budget` has no sockets left are reset. */
export function forwardConnections(fd: number, first: ForwardTarget, budget: DescriptorBudget): PortSocket {
  let target = first;
  const connections = new Set<Socket>();
  const track = (socket: Socket): void => {
    connections.add(socket);
    socket.once('close', () => {
      connections.delete(socket);
      budget.give(1);
    });
  };
  const server = createServer({ allowHalfOpen: true, noDelay: true }, (client) => {
    if (!budget.take(SOCKETS)) {
      client.on('error', () => undefined);
      client.resetAndDestroy();
      return;
    }
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
    close(keepCarried = false) {
      server.close();
      if (keepCarried) return;
      for (const socket of connections) socket.destroy();
    },
    retarget(next) {
      target = next;
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
