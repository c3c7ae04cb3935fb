/**
 * Takes a client's connection out of HTTP for attach and exec (Engine API, "Attach to a container": Hijacking). With
 * `Upgrade: tcp` the answer is 101 UPGRADED, without it 200 OK; the bytes after the head are the stream.
 *
 * A hijacked connection is handed to a container's supervisor as a descriptor, so that output never passes through
 * this process. Where the connection has no plain descriptor (TLS) a socket pair stands in and is copied here.
 */
import { closeSync } from 'node:fs';
import type { ServerResponse } from 'node:http';
import { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import { InvalidParameterError } from '../base/errors.ts';
import { keepReading } from '../base/keep-reading.ts';
import { addon } from '../native/addon.ts';
import { descriptorOf } from '../native/descriptor.ts';
import type { ApiRequest } from './request.ts';

export interface HijackedConnection {
  /** Writes to the client; resolves when the kernel has it. */
  write(chunk: Uint8Array): Promise<void>;
  /**
   * Gives `use` a descriptor of the stream and what was already read from it, to send on. This process reads no more
   * from it, and holds it until `release` or `close`. At most once.
   */
  lend(use: (fd: number, head: Buffer) => void): void;
  /** Lets go of the connection without ending it for whoever it was lent to. */
  release(): void;
  /** Ends the connection. */
  close(): void;
  /** Runs `callback` once if the client goes away while nobody has borrowed the connection. */
  onClose(callback: () => void): void;
}

const taken = new WeakSet<Socket>();
let relayed = 0;

/** Connections that are copied by this process, and end with it. */
export function relayedConnections(): number {
  return relayed;
}

/** True once a connection is a stream: what looks like a request on it is the stream's bytes. */
export function isHijacked(socket: Socket): boolean {
  return taken.has(socket);
}

export async function hijack(
  request: ApiRequest,
  response: ServerResponse | null,
  socket: Socket,
  contentType: string,
): Promise<HijackedConnection> {
  await request.drain();
  const upgraded = request.upgrade !== null;
  taken.add(socket);
  if (response !== null) detachFromParser(response, socket);
  const head = upgraded
    ? `HTTP/1.1 101 UPGRADED\r\nContent-Type: ${contentType}\r\nConnection: Upgrade\r\nUpgrade: ${request.header('upgrade') ?? 'tcp'}\r\n\r\n`
    : `HTTP/1.1 200 OK\r\nContent-Type: ${contentType}\r\n\r\n`;
  const connection = new Hijacked(socket, request.upgrade?.head ?? Buffer.alloc(0));
  await connection.write(Buffer.from(head, 'latin1'));
  return connection;
}

/**
 * The bare connection of an upgrade request after `101`, for a protocol that this process speaks itself. What came behind
 * the request's head is read from it first.
 */
export async function switchProtocol(request: ApiRequest, protocol: string): Promise<Socket> {
  if (request.upgrade === null) {
    throw new InvalidParameterError(`the request must ask for Connection: Upgrade, Upgrade: ${protocol}`);
  }
  await request.drain();
  const { socket, head } = request.upgrade;
  taken.add(socket);
  socket.write(`HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: ${protocol}\r\n\r\n`);
  if (head.length > 0) socket.unshift(head);
  // HTTP/2 knows no half connections: a client that has ended its half is gone, and so is all that it waits for.
  socket.once('end', () => socket.destroy());
  return socket;
}

/**
 * A descriptor of a connection whose request is being answered, for another process; this one is done with it, and
 * only copies where the connection has no plain descriptor. Undefined where it has ended.
 */
export function passConnection(response: ServerResponse, socket: Socket): number | undefined {
  if (socket.destroyed) return undefined;
  const own = socket instanceof TLSSocket ? -1 : descriptorOf(socket);
  const fd = own < 0 ? undefined : addon().duplicate(own);
  taken.add(socket);
  detachFromParser(response, socket);
  if (fd !== undefined) {
    socket.on('error', () => undefined);
    socket.destroy();
    return fd;
  }
  socket.allowHalfOpen = true;
  socket.on('error', () => socket.destroy());
  return relay(socket);
}

/** Goes on with a connection that another daemon has taken out of HTTP. `head`: what that one has read from it. */
export function adoptHijacked(fd: number, head: Buffer): HijackedConnection {
  const socket = new Socket({ fd, readable: true, writable: true, allowHalfOpen: true });
  taken.add(socket);
  return new Hijacked(socket, head);
}

/** Copies between a client and a socket pair, whose far end it gives: the caller's. */
function relay(socket: Socket): number {
  const [near, far] = addon().socketPair();
  // What the client sends as the process ends goes nowhere, and must not cost it the last output.
  const inside = keepReading(new Socket({ fd: near, readable: true, writable: true, allowHalfOpen: true }));
  inside.on('error', () => socket.destroy());
  inside.on('close', () => socket.destroySoon());
  countRelayed(socket);
  socket.on('close', () => inside.destroy());
  socket.pipe(inside);
  inside.pipe(socket);
  return far;
}

/** Counts a connection that this process copies, until it has ended. */
export function countRelayed(connection: { on(event: 'close', listener: () => void): unknown }): void {
  relayed += 1;
  connection.on('close', () => {
    relayed -= 1;
  });
}

/** Ends the HTTP parser's hold on a socket whose request it has parsed. What is still written to the answer goes nowhere. */
function detachFromParser(response: ServerResponse, socket: Socket): void {
  // At the end of an answer node:http detaches the socket, and asserts that it has it.
  response.removeAllListeners('finish');
  response.detachSocket(socket);
  // A 'data' listener makes node:http give the handle's read callback back to the socket.
  socket.on('data', () => undefined);
  for (const event of ['data', 'end', 'close', 'drain', 'error', 'timeout']) socket.removeAllListeners(event);
  socket.setTimeout(0);
  socket.pause();
}

class Hijacked implements HijackedConnection {
  readonly #socket: Socket;
  #head: Buffer;
  #lent = false;
  #relayed = false;
  #onClose: () => void = () => undefined;

  constructor(socket: Socket, head: Buffer) {
    this.#socket = socket;
    this.#head = head;
    // The client may end its half (stdin) and still read: TLS sockets do not allow that by themselves.
    socket.allowHalfOpen = true;
    socket.on('error', () => socket.destroy());
    socket.on('close', () => {
      if (!this.#lent) this.#onClose();
    });
    // Starts reading into the socket's bounded buffer, so that a client that goes away is noticed.
    socket.read(0);
  }

  write(chunk: Uint8Array): Promise<void> {
    return new Promise((resolve) => {
      if (this.#socket.destroyed) resolve();
      else this.#socket.write(chunk, () => resolve());
    });
  }

  onClose(callback: () => void): void {
    if (this.#socket.destroyed) callback();
    else this.#onClose = callback;
  }

  lend(use: (fd: number, head: Buffer) => void): void {
    if (this.#lent || this.#socket.destroyed) return;
    this.#lent = true;
    const fd = this.#socket instanceof TLSSocket ? -1 : descriptorOf(this.#socket);
    if (fd < 0) {
      this.#relay(use);
      return;
    }
    stopReading(this.#socket);
    use(fd, this.#takeHead());
  }

  release(): void {
    if (!this.#relayed) this.#socket.destroy();
  }

  close(): void {
    this.#socket.destroySoon();
  }

  #takeHead(): Buffer {
    const parts = [this.#head];
    for (let chunk = this.#socket.read(); chunk !== null; chunk = this.#socket.read()) parts.push(chunk);
    this.#head = Buffer.alloc(0);
    return Buffer.concat(parts);
  }

  /** Lends the far end of a socket pair. */
  #relay(use: (fd: number, head: Buffer) => void): void {
    this.#relayed = true;
    const head = this.#takeHead();
    const far = relay(this.#socket);
    try {
      use(far, head);
    } finally {
      closeSync(far);
    }
  }
}

/** Stops libuv's reads, so that bytes stay in the kernel for whoever borrows the descriptor. */
function stopReading(socket: Socket): void {
  socket.pause();
  const handle: unknown = Reflect.get(socket, '_handle');
  if (typeof handle === 'object' && handle !== null && 'readStop' in handle) {
    if (typeof handle.readStop === 'function') handle.readStop();
  }
}
