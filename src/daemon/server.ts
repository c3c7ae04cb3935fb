/**
 * The HTTP side of the socket: listeners (Unix, inherited descriptor, TCP with TLS), and the way from a request to
 * its handler and from an error to its answer. Requests with `Upgrade:` leave node:http right after their headers, so
 * that no byte that follows is lost; all others take the normal way.
 */
import { chmodSync, chownSync, mkdirSync, rmSync, statSync } from 'node:fs';
import http, { type IncomingMessage, type ServerResponse } from 'node:http';
import https from 'node:https';
import { connect, type Server, type Socket } from 'node:net';
import { dirname } from 'node:path';
import { API_VERSION } from '../api/version.ts';
import { errorMessage } from '../base/errors.ts';
import { log } from '../base/log.ts';
import { isHijacked } from './hijack.ts';
import { httpStatus } from './http-status.ts';
import { ApiRequest } from './request.ts';
import { ApiResponse } from './response.ts';
import { type Router, splitVersion } from './router.ts';

export interface TlsFiles {
  ca: Buffer | undefined;
  cert: Buffer;
  key: Buffer;
  /** Only clients whose certificate `ca` has signed. */
  verify: boolean;
}

export type ListenAddress =
  | { kind: 'unix'; path: string; gid: number }
  | { kind: 'fd'; fd: number }
  | { kind: 'tcp'; host: string; port: number; tls: TlsFiles | null };

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
  readonly #router: Router;
  readonly #servers: Server[] = [];
  /** The request of each connection that is being answered, behind those that came before it. */
  readonly #current = new WeakMap<Socket, Promise<void>>();

  constructor(router: Router) {
    this.#router = router;
  }

  /** Starts listening. Throws, naming the address, where it is taken. */
  async listen(address: ListenAddress): Promise<void> {
    const server = this.#createServer(address);
    if (address.kind === 'unix') await prepareSocketPath(address.path);
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      const ready = (): void => {
        server.off('error', reject);
        resolve();
      };
      if (address.kind === 'unix') server.listen({ path: address.path, backlog: 4096 }, ready);
      else if (address.kind === 'fd') server.listen({ fd: address.fd }, ready);
      else server.listen({ host: address.host, port: address.port, backlog: 4096 }, ready);
    });
    if (address.kind === 'unix') {
      chownSync(address.path, 0, address.gid);
      chmodSync(address.path, 0o660);
    }
    this.#servers.push(server);
  }

  /** Stops listening and ends all connections that are not hijacked. */
  close(): void {
    for (const server of this.#servers) {
      server.close();
      if (server instanceof http.Server) server.closeAllConnections();
    }
  }

  #createServer(address: ListenAddress): Server {
    const server =
      address.kind === 'tcp' && address.tls !== null
        ? https.createServer({
            ...OPTIONS,
            cert: address.tls.cert,
            key: address.tls.key,
            ...(address.tls.ca === undefined ? {} : { ca: address.tls.ca }),
            requestCert: address.tls.verify,
            rejectUnauthorized: address.tls.verify,
            minVersion: 'TLSv1.2',
          })
        : http.createServer(OPTIONS);
    server.on('request', (message: IncomingMessage, response: ServerResponse) => {
      this.#inOrder(message, message.socket, () => this.#dispatch(message, response, message.socket, null));
    });
    server.on('upgrade', (message: IncomingMessage, socket: Socket, head: Buffer) => {
      socket.on('error', () => socket.destroy());
      this.#inOrder(message, socket, () => this.#dispatch(message, null, socket, { socket, head }));
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
      const url = new URL(message.url ?? '/', 'http://mydock');
      const { version, path } = splitVersion(url.pathname);
      const match = this.#router.match(message.method ?? 'GET', path);
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
      log.debug({ method: message.method, url: message.url, ms: performance.now() - started }, 'request');
    } catch (error) {
      // What ends because its client has gone is no failure, and nobody is left to be told.
      if (controller.signal.aborted && error === controller.signal.reason) socket.destroy();
      else this.#fail(message, answer, socket, error);
    }
  }

  #fail(message: IncomingMessage, answer: ApiResponse, socket: Socket, error: unknown): void {
    const { status } = httpStatus(error);
    const fields = { method: message.method, url: message.url, status, error: errorMessage(error) };
    if (status === 500)
      log.error({ ...fields, stack: error instanceof Error ? error.stack : undefined }, 'failed');
    else log.debug(fields, 'request refused');
    if (answer.answered) socket.destroy();
    else answer.error(error);
  }
}

/** Takes a stale socket file away; throws where somebody still listens on it. */
async function prepareSocketPath(path: string): Promise<void> {
  mkdirSync(dirname(path), { recursive: true, mode: 0o755 });
  const stat = statSync(path, { throwIfNoEntry: false });
  if (stat === undefined) return;
  if (!stat.isSocket()) throw new Error(`cannot listen on ${path}: it exists and is not a socket`);
  const alive = await new Promise<boolean>((resolve) => {
    const probe = connect(path);
    probe.once('connect', () => {
      probe.destroy();
      resolve(true);
    });
    probe.once('error', () => resolve(false));
  });
  if (alive) throw new Error(`cannot listen on ${path}: another process listens there`);
  rmSync(path);
}
