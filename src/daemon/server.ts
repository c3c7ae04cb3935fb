/**
 * The HTTP side of the socket: listeners (Unix, inherited descriptor, TCP with TLS), and the way from a request to
 * its handler and from an error to its answer. Requests with `Upgrade:` leave node:http right after their headers, so
 * that no byte that follows is lost; all others take the normal way.
 */
import { constants } from 'node:crypto';
import http, { type IncomingMessage, type ServerResponse } from 'node:http';
import https from 'node:https';
import type { Server, Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { API_VERSION } from '../api/version.ts';
import { errorMessage, InvalidParameterError } from '../base/errors.ts';
import { log } from '../base/log.ts';
import { isHijacked } from './hijack.ts';
import { httpStatus } from './http-status.ts';
import { peerOf } from './peer.ts';
import { ApiRequest } from './request.ts';
import { ApiResponse } from './response.ts';
import { type Router, splitVersion } from './router.ts';
import { listenOnPath, makeSocketFolder, type SocketOwner } from './socket-file.ts';

/** Clients are let in with a certificate that `ca` has signed, and no others. */
export interface TlsFiles {
  ca: Buffer;
  cert: Buffer;
  key: Buffer;
}

export type ListenAddress =
  | { kind: 'unix'; path: string; gid: number }
  /** A listening socket that was passed to this process; with TLS where it is no Unix socket. */
  | { kind: 'fd'; fd: number; tls: TlsFiles | null }
  | { kind: 'tcp'; host: string; port: number; tls: TlsFiles };

/** One more way in, with routes of its own. */
export interface Listener {
  /** Stops listening, removes the socket's file, and ends its connections. */
  close(): void;
}

/** What the requests of one listener have in common. */
interface Entrance {
  readonly router: Router;
  /** Name of the scoped socket, for the log; empty for the daemon's own. */
  readonly socket: string;
}

const OPTIONS = {
  maxHeaderSize: 128 * 1024,
  requestTimeout: 0,
  headersTimeout: 60_000,
  keepAliveTimeout: 60_000,
};

/** Headers that every answer bears; clients negotiate the version from them. */
export const STANDARD_HEADERS = {
  'Api-Version': API_VERSION,
  'Docker-Experimental': 'false',
  Ostype: 'linux',
  Server: 'mydock (linux)',
} as const;

export class ApiServer {
  readonly #own: Entrance;
  readonly #servers: Server[] = [];
  /** The request of each connection that is being answered, behind those that came before it. */
  readonly #current = new WeakMap<Socket, Promise<void>>();

  constructor(router: Router) {
    this.#own = { router, socket: '' };
  }

  /** Starts listening. Throws, naming the address, where it is taken. */
  async listen(address: ListenAddress): Promise<void> {
    const server = this.#createServer(this.#own, address.kind === 'unix' ? null : address.tls);
    if (address.kind === 'unix') {
      makeSocketFolder(address.path);
      await listenOnPath(server, address.path, { uid: 0, gid: address.gid, mode: 0o660 });
    } else {
      await new Promise<void>((resolve, reject) => {
        server.once('error', reject);
        const ready = (): void => {
          server.off('error', reject);
          resolve();
        };
        if (address.kind === 'fd') server.listen({ fd: address.fd }, ready);
        else server.listen({ host: address.host, port: address.port, backlog: 4096 }, ready);
      });
    }
    this.#servers.push(server);
  }

  /** A Unix socket with other routes than the daemon's own. Throws as `listenOnPath`. */
  async listenScoped(path: string, owner: SocketOwner, entrance: Entrance): Promise<Listener> {
    const server = this.#createServer(entrance, null);
    const connections = new Set<Socket>();
    server.on('connection', (socket: Socket) => {
      connections.add(socket);
      socket.once('close', () => connections.delete(socket));
    });
    await listenOnPath(server, path, owner);
    this.#servers.push(server);
    return {
      close: () => {
        this.#servers.splice(this.#servers.indexOf(server), 1);
        server.close();
        // Also those that are streams by now; what a supervisor has taken over ends with its program.
        for (const socket of connections) socket.destroy();
      },
    };
  }

  /** Stops listening and ends all connections that are not hijacked. */
  close(): void {
    for (const server of this.#servers) {
      server.close();
      if (server instanceof http.Server) server.closeAllConnections();
    }
  }

  #createServer(entrance: Entrance, tls: TlsFiles | null): Server {
    const server = tls === null ? http.createServer(OPTIONS) : createTlsServer(tls);
    server.on('request', (message: IncomingMessage, response: ServerResponse) => {
      this.#inOrder(message, message.socket, () =>
        this.#dispatch(entrance, message, response, message.socket, null),
      );
    });
    server.on('upgrade', (message: IncomingMessage, socket: Socket, head: Buffer) => {
      socket.on('error', () => socket.destroy());
      this.#inOrder(message, socket, () => this.#dispatch(entrance, message, null, socket, { socket, head }));
    });
    return server;
  }

  /**
   * A request that came before the one ahead of it was answered waits for that (RFC 9112, section 9.3.2). Where the
   * connection has become a stream meanwhile it was not a request at all but input for a container, which nobody may
   * run as one.
   */
  #inOrder(message: IncomingMessage, socket: Socket, dispatch: () => Promise<void>): void {
    const before = this.#current.get(socket);
    const run = async (): Promise<void> => {
      if (before !== undefined) await before;
      if (isHijacked(socket)) {
        log.warn(
          { method: message.method, url: message.url },
          'input that came before the connection was a stream is lost',
        );
        return;
      }
      await dispatch();
    };
    const done = run().finally(() => {
      if (this.#current.get(socket) === done) this.#current.delete(socket);
    });
    this.#current.set(socket, done);
  }

  async #dispatch(
    { router, socket: name }: Entrance,
    message: IncomingMessage,
    response: ServerResponse | null,
    socket: Socket,
    upgrade: { socket: Socket; head: Buffer } | null,
  ): Promise<void> {
    const controller = new AbortController();
    if (response !== null) {
      for (const [name, value] of Object.entries(STANDARD_HEADERS)) response.setHeader(name, value);
      response.on('close', () => {
        if (!response.writableFinished) controller.abort();
      });
    } else {
      socket.on('close', () => controller.abort());
    }
    const answer = new ApiResponse(response, socket);
    const started = performance.now();
    try {
      const url = URL.parse(message.url ?? '/', 'http://mydock');
      if (url === null) throw new InvalidParameterError('the request target is no URL');
      const { version, path } = splitVersion(url.pathname);
      const match = router.match(message.method ?? 'GET', path);
      if (match.audit !== undefined) audit(match.audit, message, path, socket, name);
      const request = new ApiRequest({
        message,
        path,
        version,
        query: url.searchParams,
        params: match.params,
        signal: controller.signal,
        upgrade,
      });
      await match.handle(request, answer);
      log.debug({ method: message.method, url: pathOf(message), ms: performance.now() - started }, 'request');
    } catch (error) {
      // What ends because its client has gone is no failure, and nobody is left to be told.
      if (controller.signal.aborted && error === controller.signal.reason) socket.destroy();
      else this.#fail(name, message, answer, socket, error);
    }
  }

  #fail(name: string, message: IncomingMessage, answer: ApiResponse, socket: Socket, error: unknown): void {
    const { status } = httpStatus(error);
    const fields = { method: message.method, url: pathOf(message), status, error: errorMessage(error) };
    if (status === 403 && name !== '') {
      log.warn({ socket: name, ...fields, ...peerOf(socket) }, 'audit: refused');
    }
    if (status === 500)
      log.error({ ...fields, stack: error instanceof Error ? error.stack : undefined }, 'failed');
    else log.debug(fields, 'request refused');
    if (answer.answered) socket.destroy();
    else answer.error(error);
  }
}

/** Who is about to do what. Queries are left out: build arguments and the like may be secret. */
function audit(
  operation: string,
  message: IncomingMessage,
  path: string,
  socket: Socket,
  name: string,
): void {
  const fields = { operation, method: message.method, path, ...peerOf(socket) };
  log.info(name === '' ? fields : { socket: name, ...fields }, 'audit');
}

function pathOf({ url = '/' }: IncomingMessage): string {
  return url.split('?', 1)[0] ?? '/';
}

/** A handshake that has not ended by then is given up. */
const HANDSHAKE_MAX_MS = 10_000;

function createTlsServer({ ca, cert, key }: TlsFiles): Server {
  const server = https.createServer({
    ...OPTIONS,
    ca,
    cert,
    key,
    requestCert: true,
    rejectUnauthorized: true,
    minVersion: 'TLSv1.2',
    handshakeTimeout: HANDSHAKE_MAX_MS,
    // A resumed session brings no certificate: every connection shows its own.
    secureOptions: constants.SSL_OP_NO_TICKET,
  });
  server.on('tlsClientError', (error: Error, socket: TLSSocket) => {
    log.info({ address: socket.remoteAddress, error: errorMessage(error) }, 'a TLS client was refused');
  });
  return server;
}
