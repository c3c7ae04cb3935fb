/**
 * Engine API client: requests, JSON answers, streamed answers and hijacked connections over one host.
 * It speaks version 1.51 and steps down to what an older daemon names as its newest. It knows no resource: the
 * verbs name their own paths.
 */
import type { Duplex, Readable, Writable } from 'node:stream';
import { API_VERSION } from '../api/version.ts';
import { beginSpan, spansAreWanted } from '../base/spans.ts';
import { ApiError, ConnectionError } from './client-error.ts';
import type { Dial } from './dial.ts';
import type { Host } from './host.ts';
import { type HttpAnswer, HttpConnection, type HttpRequest } from './http-connection.ts';
import type { HttpHeaders, RequestHeaders } from './http-head.ts';

export type QueryValue = string | number | boolean | readonly string[] | undefined;

export interface RequestOptions {
  /** Undefined values are left out, lists repeat the name, booleans are `1` and `0`. */
  query?: Record<string, QueryValue>;
  /** Sent as JSON. */
  json?: unknown;
  /** Sent chunked as it comes; not together with `json`. */
  body?: AsyncIterable<Uint8Array>;
  headers?: RequestHeaders;
}

/** A connection that the daemon handed over. Ending `input` closes stdin at the far end; `output` goes on. */
export interface HijackedStream {
  readonly output: Readable;
  readonly input: Writable;
  readonly contentType: string | undefined;
  /** Closes both ways at once. */
  destroy(): void;
}

/** An answer with a status below 400. Header names are in lower case. */
export interface Answer {
  readonly headers: HttpHeaders;
  readonly body: Readable;
}

export class Client {
  readonly host: Host;
  readonly #dial: Dial;
  readonly #idle: { connection: HttpConnection; since: number }[] = [];
  readonly #open = new Set<Duplex>();
  readonly #beforeFirst: (() => Promise<void>) | undefined;
  #version: string;
  #versionIsFixed: boolean;
  #prepared: Promise<void> | undefined;
  #server: string | undefined;

  /** `beforeFirst` runs once, ahead of the first request (it may start the daemon). */
  constructor(
    host: Host,
    dial: Dial,
    options: { version?: string | undefined; beforeFirst?: () => Promise<void> } = {},
  ) {
    this.host = host;
    this.#dial = () => this.#track(dial());
    this.#beforeFirst = options.beforeFirst;
    this.#version = options.version ?? API_VERSION;
    this.#versionIsFixed = options.version !== undefined;
  }

  /** The version in use; what was agreed on once the first answer has come. */
  get apiVersion(): string {
    return this.#version;
  }

  /** What the daemon says that it is (`mydock (linux)`), once an answer has come. */
  get server(): string | undefined {
    return this.#server;
  }

  /** The parsed answer. An empty body (204, 304) gives undefined: name it in `T` where that can be. */
  async json<T>(method: string, path: string, options: RequestOptions = {}): Promise<T> {
    const text = await readText(await this.stream(method, path, options));
    return (text === '' ? undefined : JSON.parse(text)) as T;
  }

  /** The answer's body as it comes, once the head is there with a status below 400. Throws `ApiError` otherwise. */
  async stream(method: string, path: string, options: RequestOptions = {}): Promise<Readable> {
    return (await this.answer(method, path, options)).body;
  }

  /** As `stream`, with the answer's headers; for answers that say something there (archives). */
  async answer(method: string, path: string, options: RequestOptions = {}): Promise<Answer> {
    // An answer to HEAD could not say which version is the newest.
    const repeatable = options.body === undefined && method !== 'HEAD';
    return await this.#withVersion(repeatable, async (prefix) => {
      const answer = await this.#send(this.#request(method, prefix + path, options));
      if (answer.status >= 400) throw await apiError(answer);
      if (spansAreWanted()) answer.body.once('close', beginSpan('answer', `${method} ${path}: body`));
      return answer;
    });
  }

  /**
   * Asks for the connection itself (`Upgrade: tcp`). Works with daemons that answer 101 and with those that
   * answer 200. The connection is half-open: ending the input closes the container's stdin, and output goes on.
   */
  async hijack(path: string, options: Omit<RequestOptions, 'body'> = {}): Promise<HijackedStream> {
    return await this.#withVersion(true, async (prefix) => {
      const headers = { ...options.headers, connection: 'Upgrade', upgrade: 'tcp' };
      const connection = new HttpConnection(this.#dial(), ({ stream }) => stream.destroy());
      const answer = await this.#exchange(
        connection,
        this.#request('POST', prefix + path, { ...options, headers }),
      );
      if (answer.status >= 400) throw await apiError(answer);
      const { stream } = connection;
      // What is written follows the request, also without an upgrade.
      const contentType = answer.headers['content-type'];
      return { output: answer.body, input: stream, contentType, destroy: () => stream.destroy() };
    });
  }

  /** A connection that speaks another protocol from now on (`h2c`); throws where the daemon does not switch to it. */
  async upgrade(path: string, protocol: string, options: Omit<RequestOptions, 'body'> = {}): Promise<Duplex> {
    return await this.#withVersion(true, async (prefix) => {
      const headers = { ...options.headers, connection: 'Upgrade', upgrade: protocol };
      const connection = new HttpConnection(this.#dial(), ({ stream }) => stream.destroy());
      const request = this.#request('POST', prefix + path, { ...options, headers });
      const answer = await this.#exchange(connection, request);
      if (answer.status >= 400) throw await apiError(answer);
      if (answer.status === 101) return connection.stream;
      connection.stream.destroy();
      throw new ConnectionError(`the daemon does not speak ${protocol}: it answered ${answer.status}`);
    });
  }

  /** Asks the daemon for its newest version and uses it where it is older; for requests that cannot be repeated. */
  async negotiate(): Promise<void> {
    if (this.#versionIsFixed) return;
    await this.#prepare();
    const answer = await this.#send(this.#request('GET', '/_ping', {}));
    await readText(answer.body);
    const offered = answer.headers['api-version'];
    if (offered !== undefined) this.#stepDownTo(offered);
    this.#versionIsFixed = true;
  }

  /** A raw stream to the daemon, for `dial-stdio`. */
  async dial(): Promise<Duplex> {
    await this.#prepare();
    return this.#dial();
  }

  /** Closes every connection, those in use too, so that the process can end. */
  close(): void {
    for (const stream of this.#open) stream.destroy();
  }

  #track(stream: Duplex): Duplex {
    this.#open.add(stream);
    stream.once('close', () => this.#open.delete(stream));
    return stream;
  }

  #prepare(): Promise<void> {
    this.#prepared ??= this.#beforeFirst?.() ?? Promise.resolve();
    return this.#prepared;
  }

  async #withVersion<T>(repeatable: boolean, attempt: (prefix: string) => Promise<T>): Promise<T> {
    await this.#prepare();
    if (!repeatable) await this.negotiate();
    const used = this.#version;
    try {
      return await attempt(`/v${used}`);
    } catch (error) {
      if (!repeatable || !(error instanceof ApiError)) throw error;
      const newest = /client version \S+ is too new.*API version is (\d+\.\d+)/.exec(error.message)?.[1];
      if (newest === undefined) throw error;
      // Of several requests in flight the first to fail has stepped down for all.
      if (!this.#versionIsFixed) this.#stepDownTo(newest);
      if (this.#version === used) throw error;
      return await attempt(`/v${this.#version}`);
    }
  }

  #stepDownTo(offered: string): void {
    if (Number(offered.split('.')[1]) < Number(this.#version.split('.')[1])) this.#version = offered;
    this.#versionIsFixed = true;
  }

  #request(method: string, path: string, options: RequestOptions): HttpRequest {
    const base = this.host.kind === 'tcp' ? this.host.basePath : '';
    const body = options.json === undefined ? options.body : JSON.stringify(options.json);
    return {
      method,
      path: base + path + queryString(options.query),
      headers: {
        host: this.host.kind === 'tcp' ? `${this.host.hostname}:${this.host.port}` : 'localhost',
        'user-agent': 'mydock',
        ...(options.json === undefined ? {} : { 'content-type': 'application/json' }),
        ...options.headers,
      },
      ...(body === undefined ? {} : { body }),
    };
  }

  async #send(request: HttpRequest): Promise<HttpAnswer> {
    return await this.#exchange(this.#takeIdle() ?? this.#connect(), request);
  }

  #connect(): HttpConnection {
    return new HttpConnection(this.#dial(), (connection) => {
      this.#idle.push({ connection, since: Date.now() });
    });
  }

  /** Daemons close connections that have been idle for some seconds; those are not tried again. */
  #takeIdle(): HttpConnection | undefined {
    for (let entry = this.#idle.pop(); entry !== undefined; entry = this.#idle.pop()) {
      const { connection, since } = entry;
      if (!connection.stream.destroyed && Date.now() - since < MAX_IDLE_MS) return connection;
      connection.stream.destroy();
    }
    return undefined;
  }

  async #exchange(connection: HttpConnection, request: HttpRequest): Promise<HttpAnswer> {
    const path = request.path.split('?', 1)[0] ?? '';
    const ended = beginSpan('request', `${request.method} ${path}`);
    try {
      const answer = await connection.exchange(request);
      this.#server = answer.headers['server'] ?? this.#server;
      ended({ status: answer.status });
      return answer;
    } catch (error) {
      ended({ error: (error as Error).message });
      throw connectionError(this.host, error as Error);
    }
  }
}

const MAX_IDLE_MS = 1000;

/** Reads a body to its end as text. */
export async function readText(response: NodeJS.ReadableStream): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of response) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString();
}

/** An image or container name inside a path: slashes stay, everything else that is special is encoded. */
export function pathSegment(name: string): string {
  return encodeURIComponent(name).replaceAll('%2F', '/').replaceAll('%3A', ':').replaceAll('%40', '@');
}

function queryString(query: Record<string, QueryValue> | undefined): string {
  const parameters = new URLSearchParams();
  for (const [name, value] of Object.entries(query ?? {})) {
    if (value === undefined) continue;
    if (typeof value === 'object') for (const item of value) parameters.append(name, item);
    else if (typeof value === 'boolean') parameters.append(name, value ? '1' : '0');
    else parameters.append(name, String(value));
  }
  const text = parameters.toString();
  return text === '' ? '' : `?${text}`;
}

async function apiError({ status, reason, body }: HttpAnswer): Promise<ApiError> {
  const text = (await readText(body)).trim();
  try {
    const value: unknown = JSON.parse(text);
    if (
      typeof value === 'object' &&
      value !== null &&
      'message' in value &&
      typeof value.message === 'string'
    ) {
      return new ApiError(status, value.message);
    }
  } catch {
    // Not JSON: a proxy or a very old daemon; its text is all there is to show.
  }
  return new ApiError(status, text === '' ? `request returned ${reason || status}` : text);
}

function connectionError(host: Host, cause: Error): Error {
  const code = 'code' in cause ? cause.code : undefined;
  if (code === 'EACCES' || code === 'EPERM') {
    return new ConnectionError(
      `permission denied while trying to connect to the mydock daemon socket at ${host.url}`,
      cause,
    );
  }
  if (code === 'ENOENT' || code === 'ECONNREFUSED') {
    return new ConnectionError(
      `Cannot connect to the mydock daemon at ${host.url}. Is the mydock daemon running?`,
      cause,
    );
  }
  return new ConnectionError(`error during connect: ${cause.message}`, cause);
}
