/**
 * The answers that handlers give: JSON, nothing, a stream of bytes or of JSON messages with its headers sent at once,
 * or the bare connection (hijack).
 */

import { once } from 'node:events';
import type { ServerResponse } from 'node:http';
import { Socket } from 'node:net';
import type { Writable } from 'node:stream';
import { type HijackedConnection, hijack, passConnection, switchProtocol } from './hijack.ts';
import { httpStatus } from './http-status.ts';
import type { ApiRequest } from './request.ts';
import type { ContinuedBody } from './takeover/continued-streams.ts';
import type { PendingWait } from './takeover/pending-waits.ts';

export class ApiResponse {
  readonly #response: ServerResponse | null;
  readonly #socket: Socket;
  #answered = false;
  #pending: (() => PendingWait) | undefined;
  #state: (() => unknown) | undefined;
  #continued: { body: ContinuedBody; state: unknown } | undefined;

  /** `response` is null for an upgrade request: what is not a hijack is then written to the bare socket. */
  constructor(response: ServerResponse | null, socket: Socket) {
    this.#response = response;
    this.#socket = socket;
  }

  /** The rest of a stream that another daemon has begun; `state` is what `canContinue` gave there. */
  static continuing(body: ContinuedBody, state: unknown): ApiResponse {
    const answer = new ApiResponse(null, body.socket);
    answer.#answered = true;
    answer.#continued = { body, state };
    return answer;
  }

  /** How far another daemon has come with this stream; undefined where this one begins it. */
  get resumed(): unknown {
    return this.#continued?.state;
  }

  /** True once a status was sent, so that an error can only end the stream. */
  get answered(): boolean {
    return this.#answered;
  }

  /** Undefined where it is not known here: after an upgrade, and of a stream of another daemon. */
  get status(): number | undefined {
    return this.#response?.statusCode;
  }

  json(status: number, body: unknown, headers: Record<string, string> = {}): void {
    this.bytes(status, `${JSON.stringify(body)}\n`, { 'Content-Type': 'application/json', ...headers });
  }

  empty(status: number, headers: Record<string, string> = {}): void {
    this.bytes(status, '', headers);
  }

  bytes(status: number, body: string, headers: Record<string, string>): void {
    this.#answered = true;
    const length = Buffer.byteLength(body);
    const all = status === 204 || status === 304 ? headers : { ...headers, 'Content-Length': String(length) };
    if (this.#response === null) {
      endConnection(this.#socket, `${rawHead(status, { ...all, Connection: 'close' })}${body}`);
      return;
    }
    this.#response.writeHead(status, all);
    this.#response.end(status === 204 || status === 304 ? undefined : body);
  }

  /** Starts a streaming answer; its headers are on the wire when this returns. */
  stream(status: number, contentType: string, headers: Record<string, string> = {}): ResponseStream {
    this.#answered = true;
    if (this.#continued !== undefined) return new ResponseStream(this.#continued.body);
    if (this.#response === null) {
      this.#socket.write(rawHead(status, { 'Content-Type': contentType, ...headers, Connection: 'close' }));
      // As node:http has it: a client that has ended its half is gone, which only who reads is told.
      this.#socket.once('end', () => this.#socket.destroy()).resume();
      return new ResponseStream(this.#socket);
    }
    this.#response.writeHead(status, { 'Content-Type': contentType, ...headers });
    this.#response.flushHeaders();
    return new ResponseStream(this.#response);
  }

  /** Takes the connection out of HTTP; `contentType` is that of the stream that follows. */
  hijack(request: ApiRequest, contentType: string): Promise<HijackedConnection> {
    this.#answered = true;
    return hijack(request, this.#response, this.#socket, contentType);
  }

  /** Takes the connection of an upgrade request out of HTTP, for a protocol that is spoken here (`h2c`). */
  switchProtocol(request: ApiRequest, protocol: string): Promise<Socket> {
    this.#answered = true;
    return switchProtocol(request, protocol);
  }

  /** Of an answer whose head has gone out: what another daemon must know to give the rest of it. */
  canPass(pending: () => PendingWait): void {
    this.#pending = pending;
  }

  /**
   * Takes the connection away from this process: a descriptor for the daemon that goes on with the answer, and what it
   * must know. Undefined where the connection has no plain descriptor (TLS), or is not at such a point.
   */
  pass(): { fd: number; pending: PendingWait; chunked: boolean } | undefined {
    const response = this.#response;
    if (this.#pending === undefined || response === null || response.writableLength > 0) return undefined;
    // An answer that has been given is nobody's to go on with.
    if (response.writableEnded) return undefined;
    const pending = this.#pending();
    const chunked = response.req.httpVersion !== '1.0';
    const fd = passConnection(response, this.#socket);
    return fd === undefined ? undefined : { fd, pending, chunked };
  }

  /** Of a stream whose head has gone out: what the same handler of another daemon must know to give the rest. */
  canContinue(state: () => unknown): void {
    this.#state = state;
  }

  /** As `pass`. Undefined also where the client is behind with reading: nobody knows where it is. */
  passStream(): { fd: number; state: unknown; chunked: boolean } | undefined {
    const out = this.#continued?.body ?? this.#response;
    if (this.#state === undefined || out === null || out.writableLength > 0 || out.destroyed)
      return undefined;
    if (out.writableEnded) return undefined;
    const state = this.#state();
    if (this.#continued !== undefined) {
      const { body } = this.#continued;
      const fd = body.pass();
      return fd === undefined ? undefined : { fd, state, chunked: body.chunked };
    }
    if (this.#response === null) return undefined;
    const chunked = this.#response.req.httpVersion !== '1.0';
    const fd = passConnection(this.#response, this.#socket);
    return fd === undefined ? undefined : { fd, state, chunked };
  }

  error(error: unknown): void {
    const { status, message } = httpStatus(error);
    if (status === 304) this.empty(304);
    else this.json(status, { message });
  }
}

/** Of messages that may wait for a client that does not read. */
const BACKLOG_MAX_BYTES = 16 * 1024 * 1024;

/** A body that is written piece by piece, with the client's speed as the limit. */
export class ResponseStream {
  readonly #out: Writable;

  constructor(out: Writable) {
    this.#out = out;
  }

  /** Resolves when there is room for more; at once where the client is gone. */
  async write(chunk: string | Uint8Array): Promise<void> {
    if (this.#out.destroyed) return;
    if (this.#out.write(chunk)) return;
    const controller = new AbortController();
    try {
      await Promise.race([
        once(this.#out, 'drain', { signal: controller.signal }),
        once(this.#out, 'close', { signal: controller.signal }),
      ]);
    } finally {
      controller.abort();
    }
  }

  /**
   * One JSON message and a line end, as Docker's progress streams have them. Does not wait for the client: one that lags
   * 16 MiB behind loses its connection, and what is done for it ends as if it had gone.
   */
  message(value: unknown): void {
    if (this.#out.destroyed) return;
    if (this.#out.writableLength > BACKLOG_MAX_BYTES) this.#out.destroy();
    else this.#out.write(`${JSON.stringify(value)}\r\n`);
  }

  end(): void {
    if (this.#out.destroyed) return;
    if (this.#out instanceof Socket) endConnection(this.#out, '');
    else this.#out.end();
  }
}

/** A client that has its answer and sends on is listened to for so long. */
const LINGER_MS = 5_000;

/**
 * Ends a bare connection behind `last`. What the client still sends is read and dropped, for a connection that is closed
 * with unread bytes may lose the answer (RFC 9112, section 9.6).
 */
function endConnection(socket: Socket, last: string): void {
  if (socket.destroyed) return;
  const timer = setTimeout(() => socket.destroy(), LINGER_MS);
  socket.once('close', () => clearTimeout(timer));
  socket.end(last);
  socket.resume();
}

const REASONS: Record<number, string> = { 200: 'OK', 201: 'Created', 204: 'No Content', 304: 'Not Modified' };

function rawHead(status: number, headers: Record<string, string>): string {
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  return `HTTP/1.1 ${status} ${REASONS[status] ?? 'Error'}\r\n${lines.join('')}\r\n`;
}
