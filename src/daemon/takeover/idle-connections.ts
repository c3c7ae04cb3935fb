/**
 * Connections of clients that have asked for nothing yet, or have had their answers and keep the connection: they go to
 * the next daemon as they are. One that was closed instead would meet the request that its client is just sending.
 */
import { type Server, Socket } from 'node:net';
import { addon } from '../../native/addon.ts';
import { descriptorOf } from '../../native/descriptor.ts';

/** While a request is answered, and after one whose bytes cannot be told from those of the next. */
const BUSY = -1;

export class IdleConnections {
  /** Bytes that had been read when the connection became idle: with more than that, a request is on its way. */
  readonly #idleAt = new Map<Socket, number>();

  /** Of a server without TLS, whose state is in this process. */
  watch(server: Server): void {
    server.on('connection', (socket: Socket) => {
      this.#idleAt.set(socket, socket.bytesRead);
      socket.once('close', () => this.#idleAt.delete(socket));
    });
  }

  begin(socket: Socket): void {
    if (this.#idleAt.has(socket)) this.#idleAt.set(socket, BUSY);
  }

  /** `whole`: nothing of the request is left to be read. */
  answered(socket: Socket, whole: boolean): void {
    if (this.#idleAt.has(socket)) this.#idleAt.set(socket, whole ? socket.bytesRead : BUSY);
  }

  /** Second descriptors of those that are idle; this process is done with them. */
  pass(): number[] {
    const passed: number[] = [];
    for (const [socket, idleAt] of this.#idleAt) {
      const fd = isIdle(socket, idleAt) ? descriptorOf(socket) : -1;
      if (fd < 0) continue;
      try {
        passed.push(addon().duplicate(fd));
      } catch {
        // EMFILE: the rest are closed as idle ones.
        break;
      }
      this.#idleAt.delete(socket);
      socket.destroy();
    }
    return passed;
  }
}

function isIdle(socket: Socket, idleAt: number): boolean {
  // node:http keeps the answer that is being written there.
  const answering = Reflect.get(socket, '_httpMessage');
  return (
    !socket.destroyed &&
    socket.bytesRead === idleAt &&
    socket.writableLength === 0 &&
    (answering === undefined || answering === null)
  );
}

/** Goes on with a connection that another daemon has passed. */
export function adoptConnection(server: Server, fd: number): void {
  server.emit('connection', new Socket({ fd, readable: true, writable: true, allowHalfOpen: true }));
}
