/**
 * How many clients may be connected at once. Descriptors are what containers, builds and pulls need as well: connections
 * get half of those that the process may have. One that comes when all are taken gets the place of the connection that
 * has waited longest without asking for anything; where there is none, it is closed. So is one for which the process has
 * no descriptor left, as other work has them. All of this is told in the log.
 */
import { readFileSync } from 'node:fs';
import type { Server, Socket } from 'node:net';
import { errorMessage } from '../base/errors.ts';
import { log } from '../base/log.ts';
import { giveSpareDescriptor, isOutOfDescriptors, keepSpareDescriptor } from './spare-descriptor.ts';

/** Requests of one connection that may wait for those before them; a client that sends more does not read. */
const WAITING_REQUESTS_MAX = 100;

/** What a flood makes happen is told once in so long. */
const TELL_EVERY_MS = 60_000;

export class ConnectionLimit {
  readonly #max: number;
  /** Connections without a request, in the order in which they became so. */
  readonly #idle = new Set<Socket>();
  /** Requests of each connection that are not answered. */
  readonly #waiting = new Map<Socket, number>();
  /** The next connection that comes is accepted with the spare descriptor, and must give it back. */
  #gaveSpare = false;
  readonly #toldAt = new Map<string, number>();

  /** `share`: the part of the process's descriptors that these connections may have. */
  constructor(share: number, descriptors = descriptorsMax()) {
    this.#max = Math.max(16, Math.floor(descriptors * share));
    keepSpareDescriptor();
  }

  /** Counts a server's connections from now on. With TLS they count once their handshake is done, which has its limit. */
  watch(server: Server, secure: boolean): void {
    server.on('connection', (socket: Socket) => {
      if (this.#gaveSpare) this.#takeBackSpare(socket);
      else if (!secure) this.#add(socket);
    });
    if (secure) server.on('secureConnection', (socket: Socket) => this.#add(socket));
    server.on('error', (error) => this.#notAccepted(error));
  }

  #notAccepted(error: NodeJS.ErrnoException): void {
    this.#tell({ error: errorMessage(error) }, 'a connection was not accepted');
    if (error.code === 'EMFILE' || error.code === 'ENFILE') this.#gaveSpare = giveSpareDescriptor();
  }

  #takeBackSpare(socket: Socket): void {
    this.#gaveSpare = false;
    socket.destroy();
    // Its descriptor is free when the close has been done.
    socket.once('close', keepSpareDescriptor);
  }

  /**
   * Marks a connection as one that a request of is being answered, until the result is called. Ends a connection that
   * sends more requests than it reads answers of: false.
   */
  begin(socket: Socket): (() => void) | false {
    const waiting = this.#waiting.get(socket) ?? 0;
    if (waiting >= WAITING_REQUESTS_MAX) {
      this.#tell(
        { requests: waiting },
        'a connection was closed: its client sends requests and waits for no answer',
      );
      socket.destroy();
      return false;
    }
    this.#waiting.set(socket, waiting + 1);
    this.#idle.delete(socket);
    return () => {
      const left = (this.#waiting.get(socket) ?? 0) - 1;
      if (socket.destroyed) return;
      this.#waiting.set(socket, left);
      if (left === 0) this.#idle.add(socket);
    };
  }

  /** Counts a connection that another daemon has accepted. */
  adopt(socket: Socket): void {
    this.#add(socket);
  }

  #add(socket: Socket): void {
    if (socket.destroyed) return;
    this.#lookForRoom();
    if (this.#waiting.size >= this.#max && !this.#makeRoom()) {
      this.#tell({ connections: this.#max }, 'a connection was refused: all that there may be are in use');
      socket.destroy();
      return;
    }
    this.#waiting.set(socket, 0);
    this.#idle.add(socket);
    socket.once('close', () => this.#forget(socket));
  }

  /** Where none is left, libuv closes the connections that come next by itself, and tells nobody. */
  #lookForRoom(): void {
    if (!isOutOfDescriptors()) return;
    this.#tell(
      { connections: this.#waiting.size },
      'no descriptor is left: connections are closed unanswered',
    );
  }

  #makeRoom(): boolean {
    const [oldest] = this.#idle;
    if (oldest === undefined) return false;
    this.#tell({ connections: this.#max }, 'the connection that was idle longest was closed for a new one');
    this.#forget(oldest);
    oldest.destroy();
    return true;
  }

  #forget(socket: Socket): void {
    this.#idle.delete(socket);
    this.#waiting.delete(socket);
    keepSpareDescriptor();
  }

  #tell(fields: object, message: string): void {
    const now = performance.now();
    if (now - (this.#toldAt.get(message) ?? Number.NEGATIVE_INFINITY) < TELL_EVERY_MS) return;
    this.#toldAt.set(message, now);
    log.warn(fields, message);
  }
}

/** RLIMIT_NOFILE of this process, as it is now. */
function descriptorsMax(): number {
  const limit = /^Max open files\s+(\d+)/m.exec(readFileSync('/proc/self/limits', 'utf8'))?.[1];
  return limit === undefined ? 1024 : Number(limit);
}
