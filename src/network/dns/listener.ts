/**
 * The sockets of a container's resolver: UDP and TCP on 127.0.0.11 inside its namespace. What arrives goes to a
 * handler, and what that returns goes back; connections, what they send at once, and what waits to be read by the
 * client are limited.
 */

import type { Socket as DatagramSocket } from 'node:dgram';
import { createSocket } from 'node:dgram';
import { closeSync } from 'node:fs';
import type { AddressInfo, Server, Socket } from 'node:net';
import { createServer } from 'node:net';
import { errnoCode, errorMessage } from '../../base/errors.ts';
import { log } from '../../base/log.ts';
import { addon } from '../../native/addon.ts';
import { bindPort, offer, withdraw } from '../../native/bound-ports.ts';
import type { DnsPorts } from './dns-sandbox.ts';
import { framed, MessageReader } from './framing.ts';
import { QUERY_BYTES_MAX } from './message.ts';
import { DNS_ADDRESS } from './redirection.ts';

const CONNECTIONS_MAX = 32;
const CONNECTION_IDLE_MS = 10_000;
/** Of one connection, under way at a time: what comes behind them is not read before. */
const PIPELINED_MAX = 64;
/**
 * Of all connections of a container together, in each slice of time: as its datagrams (redirection.ts), so that it
 * cannot keep the daemon busy.
 */
const QUERIES_PER_SLICE = 100;
const SLICE_MS = 20;
/** A client that does not read its answers. */
const UNREAD_BYTES_MAX = 512 * 1024;

/** Of datagrams that wait: about a thousand queries, which arrive at once when a program starts. */
const RECEIVE_BUFFER_BYTES = 512 * 1024;

export type Transport = 'udp' | 'tcp';

/** Gives the answer, or undefined for none. Must not throw or reject. */
export type MessageHandler = (
  packet: Buffer,
  transport: Transport,
) => Buffer | undefined | Promise<Buffer | undefined>;

export class Listener {
  readonly ports: DnsPorts;
  readonly #handle: MessageHandler;
  readonly #descriptors: readonly number[];
  readonly #udp: DatagramSocket;
  readonly #tcp: Server;
  readonly #connections = new Set<Socket>();
  /** Connections with queries that wait for the next slice, in the order of their turns. */
  readonly #line = new Set<() => void>();
  #slice = 0;
  #leftOfSlice = 0;
  #closed = false;

  private constructor(netnsPath: string, udpFd: number, tcpFd: number, handle: MessageHandler) {
    this.#handle = handle;
    this.#descriptors = [udpFd, tcpFd];
    this.#udp = listenUdp(udpFd, (packet, port, address) => this.#datagram(packet, port, address));
    this.#tcp = listenTcp(tcpFd, (connection) => this.#connection(connection));
    this.ports = { udpPort: this.#udp.address().port, tcpPort: (this.#tcp.address() as AddressInfo).port };
    const place = { address: DNS_ADDRESS, netnsPath };
    offer({ ...place, protocol: 'udp', port: this.ports.udpPort }, udpFd);
    offer({ ...place, protocol: 'tcp', port: this.ports.tcpPort }, tcpFd);
  }

  /** On `ports` where those are free, else on others. Throws the system error of what cannot be opened. */
  static open(netnsPath: string, ports: DnsPorts | undefined, handle: MessageHandler): Listener {
    const udpFd = bind('udp', ports?.udpPort, netnsPath);
    let tcpFd: number;
    try {
      tcpFd = bind('tcp', ports?.tcpPort, netnsPath);
    } catch (error) {
      closeSync(udpFd);
      throw error;
    }
    return new Listener(netnsPath, udpFd, tcpFd, handle);
  }

  /** Idempotent. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    for (const fd of this.#descriptors) withdraw(fd);
    this.#udp.close();
    this.#tcp.close();
    for (const connection of this.#connections) connection.destroy();
    this.#line.clear();
  }

  #datagram(packet: Buffer, port: number, address: string): void {
    const send = (answer: Buffer | undefined): void => {
      if (answer !== undefined && !this.#closed) this.#udp.send(answer, port, address, ignoreSendError);
    };
    const answer = this.#handle(packet, 'udp');
    if (answer instanceof Promise) void answer.then(send);
    else send(answer);
  }

  #connection(connection: Socket): void {
    const reader = new MessageReader(QUERY_BYTES_MAX);
    const waiting: Buffer[] = [];
    let underWay = 0;
    let ended = false;
    const answer = async (message: Buffer): Promise<void> => {
      underWay += 1;
      const reply = await this.#handle(message, 'tcp');
      underWay -= 1;
      if (connection.destroyed) return;
      if (reply !== undefined) connection.write(framed(reply));
      if (connection.writableLength > UNREAD_BYTES_MAX) connection.destroy();
      else proceed();
    };
    const proceed = (): void => {
      while (waiting.length > 0 && underWay < PIPELINED_MAX && !connection.destroyed) {
        if (!this.#takeTurn()) {
          this.#waitForSlice(proceed);
          break;
        }
        const message = waiting.shift();
        if (message !== undefined) void answer(message);
      }
      if (waiting.length > 0) connection.pause();
      else if (ended && underWay === 0) connection.end();
      else if (underWay < PIPELINED_MAX) connection.resume();
      else connection.pause();
    };
    this.#connections.add(connection);
    connection.setTimeout(CONNECTION_IDLE_MS, () => connection.destroy());
    connection.on('close', () => {
      this.#connections.delete(connection);
      this.#line.delete(proceed);
    });
    // A client that resets its connection has what it wanted.
    connection.on('error', () => connection.destroy());
    connection.on('end', () => {
      ended = true;
      proceed();
    });
    connection.on('data', (chunk) => {
      waiting.push(...reader.push(chunk));
      proceed();
      if (reader.overflowed) connection.destroy();
    });
  }

  /** Whether one more query of a connection may be answered now. */
  #takeTurn(): boolean {
    const slice = Math.floor(performance.now() / SLICE_MS);
    if (slice !== this.#slice) {
      this.#slice = slice;
      this.#leftOfSlice = QUERIES_PER_SLICE;
    }
    if (this.#leftOfSlice === 0) return false;
    this.#leftOfSlice -= 1;
    return true;
  }

  #waitForSlice(proceed: () => void): void {
    const isFirst = this.#line.size === 0;
    this.#line.add(proceed);
    if (isFirst) setTimeout(() => this.#serveLine(), SLICE_MS).unref();
  }

  /** Who gets no turn of this slice is in line again before those who had one. */
  #serveLine(): void {
    const line = [...this.#line];
    this.#line.clear();
    for (const proceed of line) proceed();
  }
}

function bind(transport: Transport, port: number | undefined, netnsPath: string): number {
  if (port !== undefined) {
    try {
      return bindPort(transport, DNS_ADDRESS, port, netnsPath);
    } catch (error) {
      // A program of the container took it while no daemon ran.
      if (errnoCode(error) !== 'EADDRINUSE') throw error;
    }
  }
  return addon().bindPort(transport, DNS_ADDRESS, 0, netnsPath);
}

/** Takes over `fd`. */
function listenUdp(
  fd: number,
  receive: (packet: Buffer, port: number, address: string) => void,
): DatagramSocket {
  const socket = createSocket({ type: 'udp4', lookup: sameAddress as never });
  socket.on('message', (packet, from) => receive(packet, from.port, from.address));
  socket.on('error', (error) => log.warn({ reason: errorMessage(error) }, 'dns: cannot receive queries'));
  socket.bind({ fd });
  addon().keepPort(fd);
  addon().setReceiveBuffer(fd, RECEIVE_BUFFER_BYTES);
  socket.unref();
  return socket;
}

/** Takes over `fd`, which listens. */
function listenTcp(fd: number, accept: (connection: Socket) => void): Server {
  const server = createServer({ allowHalfOpen: true, noDelay: true }, accept);
  server.maxConnections = CONNECTIONS_MAX;
  server.on('error', (error) => log.warn({ reason: errorMessage(error) }, 'dns: cannot accept connections'));
  server.listen({ fd });
  server.unref();
  return server;
}

/** Clients are told apart by addresses, which need no look-up. */
function sameAddress(
  host: string,
  _options: unknown,
  callback: (error: null, address: string, family: number) => void,
): void {
  callback(null, host, 4);
}

/** A client that is gone: the kernel refuses the datagram. */
function ignoreSendError(): void {}
