/**
 * The API while the data root changes hands. The daemon that has let go of it answers `/_ping`, which asks for nothing
 * but a sign of life; every other connection is kept as it is, with what was read of it, and goes to whoever serves
 * next: the successor, or this daemon again. So nobody is refused, and nobody is answered from what may have changed.
 *
 * For Unix sockets without TLS. Who has not been accepted waits in the queue of the listening socket, as ever.
 */
import { createServer, type Server, Socket } from 'node:net';
import { errorMessage } from '../../base/errors.ts';
import { log } from '../../base/log.ts';
import { addon } from '../../native/addon.ts';
import { descriptorOf } from '../../native/descriptor.ts';
import { listenOnDescriptor } from '../socket-file.ts';

/** More wait in the queues of the sockets. */
const CONNECTIONS_MAX = 1000;
const READ_BYTES = 16 * 1024;

/** A whole request that asks for a sign of life, and nothing behind it. */
const PING = /^(GET|HEAD) \/_ping HTTP\/1\.1\r\n((?:[^\r\n]+\r\n)*)\r\n$/;
/** Headers of requests that are more than that. */
const NO_PING = /^(?:upgrade|expect|transfer-encoding|content-length: *[1-9])/im;
const CLOSES = /^connection:[^\r\n]*\bclose\b/im;

/** A connection as it was found, by JSON of this. */
export interface BegunConnection {
  /** Key of what the client has connected to. */
  readonly listener: string;
  /** What was read of it and not answered, in base64. */
  readonly head: string;
  /** Tells connections of one takeover apart. */
  readonly serial: number;
}

/** What `/_ping` is answered with: the whole answer, for a connection that stays or closes. */
export type PingAnswer = (method: 'GET' | 'HEAD', closes: boolean) => string;

interface Kept {
  readonly listener: string;
  readonly socket: Socket;
  /** Empty while only pings have come. */
  head: Buffer;
}

export class PauseService {
  readonly #ping: PingAnswer;
  readonly #servers = new Set<Server>();
  readonly #kept = new Set<Kept>();
  #serial = 0;

  constructor(ping: PingAnswer) {
    this.#ping = ping;
  }

  /** Accepts on a socket that listens; takes over `fd`. */
  listen(listener: string, fd: number): void {
    const server = createServer({ pauseOnConnect: true, allowHalfOpen: true }, (socket) => {
      const own = duplicateOf(socket);
      socket.destroy();
      if (own === undefined) return;
      this.keep(listener, own);
      if (this.#kept.size >= CONNECTIONS_MAX) this.#stop();
    });
    server.on('error', (error) => log.warn({ error: errorMessage(error) }, 'a connection was not accepted'));
    void listenOnDescriptor(server, fd);
    this.#servers.add(server);
  }

  /** Takes over a connection on which no request is under way. */
  keep(listener: string, fd: number): void {
    const socket = new Socket({
      fd,
      readable: true,
      writable: true,
      allowHalfOpen: true,
      onread: {
        buffer: Buffer.alloc(READ_BYTES),
        callback: (bytes, buffer) => this.#read(kept, Buffer.from(buffer.subarray(0, bytes))),
      },
    });
    const kept: Kept = { listener, socket, head: Buffer.alloc(0) };
    this.#kept.add(kept);
    socket.on('error', () => socket.destroy());
    socket.on('end', () => socket.destroy());
    socket.on('close', () => this.#kept.delete(kept));
    // Without a reader node:net does not tell of the end.
    socket.resume();
  }

  get connections(): number {
    return this.#kept.size;
  }

  /** Those of them on which something was read that is not answered. */
  get waiting(): number {
    return [...this.#kept].filter(({ head }) => head.length > 0).length;
  }

  /** Lets go of everything, and gives second descriptors of the connections, by JSON of `BegunConnection`. */
  pass(): Map<string, number> {
    this.#stop();
    const passed = new Map<string, number>();
    for (const { listener, socket, head } of [...this.#kept]) {
      const fd = socket.writableLength > 0 ? undefined : duplicateOf(socket);
      socket.destroy();
      if (fd === undefined) continue;
      this.#serial += 1;
      const begun: BegunConnection = { listener, head: head.toString('base64'), serial: this.#serial };
      passed.set(JSON.stringify(begun), fd);
    }
    this.#kept.clear();
    return passed;
  }

  #stop(): void {
    for (const server of this.#servers) server.close();
    this.#servers.clear();
  }

  /** False: nothing more is to be read here. */
  #read(kept: Kept, bytes: Buffer): boolean {
    const text = bytes.toString('latin1');
    const [, method, headers = ''] = PING.exec(text) ?? [];
    if (method === undefined || NO_PING.test(headers)) {
      kept.head = bytes;
      return false;
    }
    const closes = CLOSES.test(headers);
    const answer = this.#ping(method === 'HEAD' ? 'HEAD' : 'GET', closes);
    if (closes) kept.socket.end(answer, 'latin1');
    else kept.socket.write(answer, 'latin1');
    return true;
  }
}

/** Undefined where the connection is gone, or no descriptor is left: its client meets the end. */
function duplicateOf(socket: Socket): number | undefined {
  const fd = socket.destroyed ? -1 : descriptorOf(socket);
  if (fd < 0) return undefined;
  try {
    return addon().duplicate(fd);
  } catch (error) {
    log.warn({ error: errorMessage(error) }, 'a connection cannot be kept');
    return undefined;
  }
}

/** A connection that another daemon, or this one before, has kept; `serve` is given it as if it had just come. */
export function continueBegun(
  key: string,
  fd: number,
  serve: (listener: string, socket: Socket) => boolean,
): void {
  const { listener, head } = JSON.parse(key) as BegunConnection;
  const socket = new Socket({ fd, readable: true, writable: true, allowHalfOpen: true });
  if (head !== '') socket.unshift(Buffer.from(head, 'base64'));
  if (!serve(listener, socket)) socket.destroy();
}
