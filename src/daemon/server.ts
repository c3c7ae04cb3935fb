/**
 * The HTTP side of the socket: listeners (Unix, inherited descriptor, TCP with TLS), and the way from a request to
 * its handler and from an error to its answer. Requests with `Upgrade:` leave node:http right after their headers, so
 * that no byte that follows is lost; all others take the normal way.
 */
import { constants } from 'node:crypto';
import { closeSync } from 'node:fs';
import http, { type IncomingMessage, type ServerResponse } from 'node:http';
import https from 'node:https';
import { Server, type Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { API_VERSION } from '../api/version.ts';
import { errorMessage, InvalidParameterError, UnavailableError } from '../base/errors.ts';
import { log } from '../base/log.ts';
import { beginSpan } from '../base/spans.ts';
import { addon } from '../native/addon.ts';
import { descriptorOf } from '../native/descriptor.ts';
import { ConnectionLimit } from './connection-limit.ts';
import { isHijacked } from './hijack.ts';
import { httpStatus } from './http-status.ts';
import { peerOf } from './peer.ts';
import { ApiRequest } from './request.ts';
import { noteRequest } from './request-log.ts';
import { ApiResponse } from './response.ts';
import { type Router, splitVersion } from './router.ts';
import { PING_HEADERS } from './routes/system/routes.ts';
import {
  listenOnDescriptor,
  listenOnPath,
  makeSocketFolder,
  removeSocketFile,
  removeUnused,
  type SocketFile,
  type SocketOwner,
} from './socket-file.ts';
import {
  ContinuedBody,
  type HandedStream,
  messageAgain,
  type StreamRequest,
} from './takeover/continued-streams.ts';
import { adoptConnection, IdleConnections } from './takeover/idle-connections.ts';
import { continueBegun, PauseService } from './takeover/pause-service.ts';
import { RequestsUnderWay } from './takeover/under-way.ts';

/** Clients are let in with a certificate that `ca` has signed, and no others. */
export interface TlsFiles {
  ca: Buffer;
  cert: Buffer;
  key: Buffer;
}

export type ListenAddress =
  | { kind: 'unix'; path: string; gid: number }
  /**
   * A listening socket that was passed to this process, or, where it is not open here, to one that hands it over; with
   * TLS where it is no Unix socket.
   */
  | { kind: 'fd'; fd: number; isOpen: boolean; tls: TlsFiles | null }
  | { kind: 'tcp'; host: string; port: number; tls: TlsFiles };

/** One more way in, with routes of its own. */
export interface Listener {
  /** Stops listening, removes the socket's file, and ends its connections. */
  close(): void;
}

/** A request as it came. */
interface Asked {
  message: IncomingMessage;
  socket: Socket;
  /** Null for one without `Upgrade:`. */
  upgrade: { socket: Socket; head: Buffer } | null;
}

/** What the requests of one listener have in common. */
interface Entrance {
  readonly router: Router;
  /** Name of the scoped socket, for the log; empty for the daemon's own. */
  readonly socket: string;
}

/** Of the descriptors of this process: what the daemon's own listeners may have together, and each scoped socket. */
const OWN_CONNECTIONS_SHARE = 1 / 2;
const SCOPED_CONNECTIONS_SHARE = 1 / 32;

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

interface ListeningPart {
  readonly key: string;
  readonly entrance: Entrance;
  readonly limit: ConnectionLimit;
  readonly idle: IdleConnections;
}

/** One socket that is listened on. `file` is null where it has none, or where it is not this process's to remove. */
interface Listening extends ListeningPart {
  readonly server: Server;
  readonly file: SocketFile | null;
}

/** The way of node:http ends connections as well, those among them that are streams and wait for a start. */
function stopListening(server: Server): void {
  if (server.listening) Server.prototype.close.call(server);
}

/** What a daemon that takes over knows an address by. */
export function listenKey(address: ListenAddress): string {
  switch (address.kind) {
    case 'unix':
      return `unix:${address.path}`;
    case 'fd':
      return `fd:${address.fd}`;
    case 'tcp':
      return `tcp:${address.host}:${address.port}`;
  }
}

/** Handlers are told so long before the end of their connection, and may still say something to the client. */
const FAREWELL_MS = 500;

export class ApiServer {
  readonly #own: Entrance;
  readonly #ownConnections = new ConnectionLimit(OWN_CONNECTIONS_SHARE);
  readonly #servers: Listening[] = [];
  readonly #handed: Map<string, number>;
  readonly underWay = new RequestsUnderWay();
  readonly #connections = new Set<Socket>();
  #passed = 0;
  /** The request of each connection that is being answered, behind those that came before it. */
  readonly #current = new WeakMap<Socket, Promise<void>>();

  /** `handed`: sockets that listen already, by `listenKey`; those that are not listened on are closed by `dropHanded`. */
  constructor(router: Router, handed: ReadonlyMap<string, number> = new Map()) {
    this.#own = { router, socket: '' };
    this.#handed = new Map(handed);
  }

  /** Starts listening. Throws, naming the address, where it is taken. */
  async listen(address: ListenAddress): Promise<void> {
    const idle = new IdleConnections();
    const tls = address.kind === 'unix' ? null : address.tls;
    const key = listenKey(address);
    const part = { key, entrance: this.#own, limit: this.#ownConnections, idle };
    const server = this.#createServer(part, tls);
    const handed = this.#takeHanded(key);
    let file: SocketFile | null = null;
    if (address.kind === 'unix') {
      makeSocketFolder(address.path);
      file = await listenOnPath(server, address.path, { uid: 0, gid: address.gid, mode: 0o660 }, handed);
    } else if (address.kind === 'fd' && address.isOpen) {
      // The same socket as what was handed over under its number, or another one, which is meant then.
      if (handed !== undefined) closeSync(handed);
      await listenOnDescriptor(server, address.fd);
    } else if (handed !== undefined) {
      await listenOnDescriptor(server, handed);
    } else if (address.kind === 'fd') {
      throw new UnavailableError(`cannot listen on fd:// (descriptor ${address.fd}): it was not handed over`);
    } else {
      await new Promise<void>((resolve, reject) => {
        server.once('error', reject);
        server.listen({ host: address.host, port: address.port, backlog: 4096 }, () => {
          server.off('error', reject);
          resolve();
        });
      });
    }
    this.#servers.push({ ...part, server, file });
  }

  /** A Unix socket with other routes than the daemon's own. Throws as `listenOnPath`. */
  async listenScoped(path: string, owner: SocketOwner, entrance: Entrance): Promise<Listener> {
    const idle = new IdleConnections();
    const key = `scoped:${path}`;
    const part = { key, entrance, limit: new ConnectionLimit(SCOPED_CONNECTIONS_SHARE), idle };
    const server = this.#createServer(part, null);
    const connections = new Set<Socket>();
    server.on('connection', (socket: Socket) => {
      connections.add(socket);
      socket.once('close', () => connections.delete(socket));
    });
    const file = await listenOnPath(server, path, owner, this.#takeHanded(key));
    const listening = { ...part, server, file };
    this.#servers.push(listening);
    return {
      close: () => {
        this.#servers.splice(this.#servers.indexOf(listening), 1);
        server.close();
        removeSocketFile(listening.file);
        // Also those that are streams by now; what a supervisor has taken over ends with its program.
        for (const socket of connections) socket.destroy();
      },
    };
  }

  /** By what a successor knows them. */
  keys(): string[] {
    return this.#servers.map(({ key }) => key);
  }

  /** Second descriptors of all listening sockets, by key. */
  duplicates(): Map<string, number> {
    const handles = this.#servers.map(({ key, server }) => [key, descriptorOf(server)] as const);
    return new Map(handles.map(([key, fd]) => [key, addon().duplicate(fd)]));
  }

  /** Takes idle connections away from this process: descriptors by a key that `adopt` knows. May be called again. */
  passIdle(): Map<string, number> {
    const passed = this.#servers.flatMap(({ key, idle }) => idle.pass().map((fd) => ({ key, fd })));
    this.#passed += passed.length;
    return new Map(passed.map(({ key, fd }, index) => [`${this.#passed - index}#${key}`, fd]));
  }

  /**
   * Serves on the daemon's own sockets while nobody else does (takeover/pause-service.ts); takes those of `idle` that
   * are theirs. To be called before `stopAccepting`.
   */
  standIn(idle: Map<string, number>): PauseService {
    const service = new PauseService(pingAnswer);
    for (const { key, entrance, server } of this.#servers) {
      if (entrance !== this.#own || server instanceof https.Server) continue;
      try {
        service.listen(key, addon().duplicate(descriptorOf(server)));
      } catch (error) {
        log.warn(
          { listener: key, error: errorMessage(error) },
          'who connects waits until a successor serves',
        );
      }
    }
    this.keepIdle(service, idle);
    return service;
  }

  keepIdle(service: PauseService, idle: Map<string, number>): void {
    for (const [name, fd] of idle) {
      const key = name.slice(name.indexOf('#') + 1);
      if (!this.#servers.some((one) => one.key === key && one.entrance === this.#own)) continue;
      service.keep(key, fd);
      idle.delete(name);
    }
  }

  /** Goes on with connections that came while nobody served. */
  continueBegun(begun: ReadonlyMap<string, number>): void {
    for (const [text, fd] of begun) {
      continueBegun(text, fd, (key, socket) => {
        const listening = this.#servers.find((one) => one.key === key);
        return listening?.server.emit('connection', socket) === true;
      });
    }
  }

  /** Goes on with idle connections of another daemon. */
  adopt(connections: ReadonlyMap<string, number>): void {
    for (const [name, fd] of connections) {
      const key = name.slice(name.indexOf('#') + 1);
      const listening = this.#servers.find((one) => one.key === key);
      if (listening === undefined) closeSync(fd);
      else adoptConnection(listening.server, fd);
    }
  }

  /** Closes the sockets of the daemon before that are not listened on any more. */
  dropHanded(): void {
    for (const [key, fd] of this.#handed) {
      closeSync(fd);
      removeUnused(key.slice(key.indexOf(':') + 1));
    }
    this.#handed.clear();
  }

  /** Stops listening. `keepFiles`: somebody else listens on the sockets by now. Connections go on. */
  stopAccepting({ keepFiles = false } = {}): void {
    for (const { server, file } of this.#servers) {
      stopListening(server);
      if (file !== null && !keepFiles) removeSocketFile(file);
    }
  }

  /**
   * Ends what is under way with `reason`, and all connections that are not hijacked. Gives what is still being done
   * after `timeoutMs`.
   */
  async close(reason = new UnavailableError('mydockd ends'), timeoutMs = 0): Promise<string[]> {
    const left = await this.underWay.end(reason, FAREWELL_MS, timeoutMs);
    for (const { server } of this.#servers) stopListening(server);
    for (const socket of this.#connections) if (!isHijacked(socket)) socket.destroy();
    return left;
  }

  #takeHanded(key: string): number | undefined {
    const fd = this.#handed.get(key);
    this.#handed.delete(key);
    return fd;
  }

  #createServer(part: ListeningPart, tls: TlsFiles | null): Server {
    const { limit, idle } = part;
    const server = tls === null ? http.createServer(OPTIONS) : createTlsServer(tls);
    if (tls === null) idle.watch(server);
    limit.watch(server, tls !== null);
    server.on(tls === null ? 'connection' : 'secureConnection', (socket: Socket) => {
      this.#connections.add(socket);
      socket.once('close', () => this.#connections.delete(socket));
    });
    server.on('request', (message: IncomingMessage, response: ServerResponse) => {
      this.#inOrder({ limit, idle }, message, message.socket, () =>
        this.#dispatch(part, message, response, message.socket, null),
      );
    });
    server.on('upgrade', (message: IncomingMessage, socket: Socket, head: Buffer) => {
      socket.on('error', () => socket.destroy());
      this.#inOrder({ limit, idle }, message, socket, () =>
        this.#dispatch(part, message, null, socket, { socket, head }),
      );
    });
    return server;
  }

  /**
   * A request that came before the one ahead of it was answered waits for that (RFC 9112, section 9.3.2). Where the
   * connection has become a stream meanwhile it was not a request at all but input for a container, which nobody may
   * run as one.
   */
  #inOrder(
    { limit, idle }: { limit: ConnectionLimit; idle: IdleConnections },
    message: IncomingMessage,
    socket: Socket,
    dispatch: () => Promise<void>,
  ): void {
    const before = this.#current.get(socket);
    const answered = limit.begin(socket);
    if (answered === false) return;
    idle.begin(socket);
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
      // A stream goes on after its request.
      if (!isHijacked(socket)) answered();
      if (this.#current.get(socket) !== done) return;
      this.#current.delete(socket);
      idle.answered(socket, message.complete && !isHijacked(socket));
    });
    this.#current.set(socket, done);
  }

  /** Goes on with streams of another daemon. What one of them asks for may be gone by now: that is its end. */
  continueStreams(streams: ReadonlyMap<string, number>): void {
    for (const [text, fd] of streams) {
      const handed = JSON.parse(text) as HandedStream;
      const listening = this.#servers.find(({ key }) => key === handed.listener);
      if (listening === undefined) {
        closeSync(fd);
        continue;
      }
      const body = new ContinuedBody(fd, handed.chunked);
      listening.limit.adopt(body.socket);
      const answered = listening.limit.begin(body.socket);
      if (answered === false) continue;
      const controller = new AbortController();
      body.gone.addEventListener('abort', () => controller.abort(), { once: true });
      const message = messageAgain(handed, body.socket);
      const answer = ApiResponse.continuing(body, handed.state);
      const cut = (): void => void body.socket.destroy();
      void this.#answer(listening, { message, socket: body.socket, upgrade: null }, answer, {
        controller,
        cut,
      }).finally(answered);
    }
  }

  async #dispatch(
    part: ListeningPart,
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
    const cut = (): void => {
      if (!message.complete) socket.destroy();
    };
    await this.#answer(part, { message, socket, upgrade }, answer, { controller, cut });
  }

  async #answer(
    { key, entrance: { router, socket: name } }: ListeningPart,
    { message, socket, upgrade }: Asked,
    answer: ApiResponse,
    { controller, cut }: { controller: AbortController; cut: () => void },
  ): Promise<void> {
    const started = performance.now();
    const ended = beginSpan('request', `${message.method} ${pathOf(message)}`);
    const title = { method: message.method ?? 'GET', path: pathOf(message) };
    const asked: StreamRequest = {
      listener: key,
      url: message.url ?? '/',
      accept: message.headers.accept ?? '',
    };
    const done = this.underWay.begin(title, { controller, answer, cut, asked });
    const noted = noteRequest(message.method ?? 'GET', pathOf(message));
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
      const gone = controller.signal.aborted && error === controller.signal.reason;
      if (gone && !(error instanceof UnavailableError)) socket.destroy();
      else this.#fail(name, message, answer, socket, error);
    } finally {
      ended({
        ...(answer.status === undefined ? {} : { status: answer.status }),
        ...(name === '' ? {} : { socket: name }),
      });
      done();
      noted();
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

/** As the routes answer `/_ping`. */
function pingAnswer(method: 'GET' | 'HEAD', closes: boolean): string {
  const body = method === 'GET' ? 'OK' : '';
  const headers = {
    ...STANDARD_HEADERS,
    ...PING_HEADERS,
    'Content-Length': String(body.length),
    Date: new Date().toUTCString(),
    Connection: closes ? 'close' : 'keep-alive',
  };
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  return `HTTP/1.1 200 OK\r\n${lines.join('')}\r\n${body}`;
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
