/**
 * UDP forwarding: one socket towards the container for each client, so that answers find their way back. A client
 * that is silent for a while is forgotten, as connection tracking does.
 */
import type { Socket } from 'node:dgram';
import { createSocket } from 'node:dgram';
import { isIPv6 } from 'node:net';
import { log } from '../../base/log.ts';
import { addon } from '../../native/addon.ts';
import type { DescriptorBudget } from './descriptor-budget.ts';
import type { ForwardTarget, PortSocket } from './port-socket.ts';

const CLIENT_IDLE_MS = 90_000;
/** More clients than this at a time: the one that was first is forgotten. */
const CLIENTS_MAX = 1024;

/**
 * Takes over `fd`, a UDP socket bound to an address of the host. Datagrams of a new client for which `budget` has no
 * socket left are lost.
 */
export function forwardDatagrams(
  fd: number,
  hostIp: string,
  first: ForwardTarget,
  budget: DescriptorBudget,
): PortSocket {
  let target = first;
  const clients = new Map<string, { socket: Socket; timer: NodeJS.Timeout }>();
  const listener = createSocket(isIPv6(hostIp) ? 'udp6' : 'udp4');

  const forget = (key: string): void => {
    const client = clients.get(key);
    if (client === undefined) return;
    clients.delete(key);
    clearTimeout(client.timer);
    client.socket.close();
    budget.give(1);
  };
  const open = (key: string, address: string, port: number): Socket | undefined => {
    for (const oldest of clients.keys()) {
      if (clients.size < CLIENTS_MAX) break;
      forget(oldest);
    }
    if (!budget.take(1)) return undefined;
    const socket = createSocket(target.family === 6 ? 'udp6' : 'udp4');
    socket.on('message', (data) => {
      clients.get(key)?.timer.refresh();
      listener.send(data, port, address);
    });
    // The container refuses the port: nothing listens there yet.
    socket.on('error', () => forget(key));
    socket.unref();
    const timer = setTimeout(forget, CLIENT_IDLE_MS, key).unref();
    clients.set(key, { socket, timer });
    return socket;
  };

  listener.on('message', (data, from) => {
    const key = `${from.address} ${from.port}`;
    const socket = clients.get(key)?.socket ?? open(key, from.address, from.port);
    clients.get(key)?.timer.refresh();
    socket?.send(data, target.port, target.address);
  });
  listener.on('error', (error) =>
    log.warn({ err: error, target }, 'published port: cannot receive datagrams'),
  );
  listener.bind({ fd });
  addon().keepPort(fd);
  listener.unref();
  return {
    close() {
      listener.close();
      for (const key of clients.keys()) forget(key);
    },
    retarget(next) {
      target = next;
      for (const key of clients.keys()) forget(key);
    },
  };
}
