/**
 * The file descriptor of a Node socket or server. Node has no public way to ask for it; libuv's handle carries it as `fd`.
 */
import type { Server, Socket } from 'node:net';

/** -1 where the socket is closed, or is not a plain socket (TLS). */
export function descriptorOf(socket: Socket | Server): number {
  const handle: unknown = Reflect.get(socket, '_handle');
  if (typeof handle !== 'object' || handle === null || !('fd' in handle)) return -1;
  return typeof handle.fd === 'number' ? handle.fd : -1;
}
