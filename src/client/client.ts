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
import { type DirectAnswer, DirectConnection } from './direct-connection.ts';
import type { Host } from './host.ts';
import type { HttpAnswer, HttpConnection, HttpRequest } from './http-connection.ts';
import type { AnswerHead, HttpHeaders, RequestHeaders } from './http-head.ts';
import type { NativePart } from './native-part.ts';

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

/** An answer whose head is there, with a status below 400, and whose body is read later. */
export interface BegunAnswer {
  text(): Promise<string>;
}

/** A connection that the daemon handed over, of which only the output is wanted. */
export interface OutputStream {
  /** Resolves at the output's end. A piece lives as long as the call; promises that it gives hold back the next. */
  each(take: (piece: Buffer) => Promise<void> | undefined): Promise<void>;
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
  readonly #direct: { native: NativePart; path: string } | undefined;
  readonly #directIdle: { connection: DirectConnection; since: number }[] = [];
  readonly #directOpen = new Set<DirectConnection>();
  readonly #beforeFirst: (() => Promise<void>) | undefined;
  #version: string;
  #versionIsFixed: boolean;
  #prepared: Promise<void> | undefined;
  #server: string | undefined;

  /**
   * `beforeFirst` runs once, ahead of the first request (it may start the daemon). With `native` a Unix socket is used
   * by system calls wherever no stream is asked for.
   */
  constructor(
    host: Host,
    dial: Dial,
    options: {
      version?: string | undefined;
      beforeFirst?: () => Promise<void>;
      native?: NativePart | undefined;
    } = {},
  ) {
    this.host = host;
    this.#dial = () => this.#track(dial());
    this.#beforeFirst = options.beforeFirst;
    const { native } = options;
    this.#direct = native !== undefined && host.kind === 'unix' ? { native, path: host.path } : undefined;
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
    const text = await (await this.begin(method, path, options)).text();
    return (text === '' ? undefined : JSON.parse(text)) as T;
  }

  /** Resolves once the head is there with a status below 400. Throws `ApiError` otherwise. */
  async begin(method: string, path: string, options: RequestOptions = {}): Promise<BegunAnswer> {
    if (this.#direct !== undefined && options.body === undefined) {
      return await this.#withVersion(method !== 'HEAD', (prefix) =>
        this.#sendDirect(this.#request(method, prefix + path, options)),
      );
    }
    const body = await this.stream(method, path, options);
    return { text: () => readText(body) };
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
      const connection = await httpConnection(this.#dial(), ({ stream }) => stream.destroy());
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

  /** As `hijack`, for output alone; undefined where the connection to this host is no plain descriptor. */
  async output(path: string, options: Omit<RequestOptions, 'body'> = {}): Promise<OutputStream | undefined> {
    if (this.#direct === undefined) return undefined;
    return await this.#withVersion(true, (prefix) => {
      const headers = { ...options.headers, connection: 'Upgrade', upgrade: 'tcp' };
      return this.#sendDirect(this.#request('POST', prefix + path, { ...options, headers }));
    });
  }

  /** A connection that speaks another protocol from now on (`h2c`); throws where the daemon does not switch to it. */
  async upgrade(path: string, protocol: string, options: Omit<RequestOptions, 'body'> = {}): Promise<Duplex> {
    return await this.#withVersion(true, async (prefix) => {
      const headers = { ...options.headers, connection: 'Upgrade', upgrade: protocol };
      const connection = await httpConnection(this.#dial(), ({ stream }) => stream.destroy());
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
    for (const connection of this.#directOpen) connection.destroy();
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
    return await this.#exchange(this.#takeIdle() ?? (await this.#connect()), request);
  }

  async #connect(): Promise<HttpConnection> {
    return await httpConnection(this.#dial(), (connection) => {
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

  /** Throws `ApiError` for a status of 400 and above. */
  async #sendDirect(request: HttpRequest): Promise<DirectAnswer> {
    const { body, ...rest } = request;
    const text = typeof body === 'string' ? { body } : {};
    const answer = await this.#told(request, async () => {
      const value = await this.#takeDirect().exchange({ ...rest, ...text });
      return { value, head: value.head };
    });
    if (answer.head.status >= 400) throw apiErrorOf(answer.head, await answer.text());
    return answer;
  }

  /** One that rests, or a new one. */
  #takeDirect(): DirectConnection {
    for (let entry = this.#directIdle.pop(); entry !== undefined; entry = this.#directIdle.pop()) {
      if (!entry.connection.destroyed && Date.now() - entry.since < MAX_IDLE_MS) return entry.connection;
      entry.connection.destroy();
    }
    if (this.#direct === undefined) throw new Error('no direct connection to this host');
    const connection = new DirectConnection(
      this.#direct.native,
      this.#direct.path,
      (idle) => this.#directIdle.push({ connection: idle, since: Date.now() }),
      (closed) => this.#directOpen.delete(closed),
    );
    this.#directOpen.add(connection);
    return connection;
  }

  async #exchange(connection: HttpConnection, request: HttpRequest): Promise<HttpAnswer> {
    return await this.#told(request, async () => {
      const answer = await connection.exchange(request);
      return { value: answer, head: answer };
    });
  }

  /** An exchange in the trace, its failure in words. */
  async #told<T>(
    { method, path }: HttpRequest,
    exchange: () => Promise<{ value: T; head: AnswerHead }>,
  ): Promise<T> {
    const ended = beginSpan('request', `${method} ${path.split('?', 1)[0] ?? ''}`);
    try {
      const { value, head } = await exchange();
      this.#server = head.headers['server'] ?? this.#server;
      ended({ status: head.status });
      return value;
    } catch (error) {
      ended({ error: (error as Error).message });
      throw connectionError(this.host, error as Error);
    }
  }
}

/** With streams and sockets, which take a while to load, come what needs them. */
async function httpConnection(
  stream: Duplex,
  onIdle: (connection: HttpConnection) => void,
): Promise<HttpConnection> {
  const { HttpConnection } = await import('./http-connection.ts');
  return new HttpConnection(stream, onIdle);
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

async function apiError(answer: HttpAnswer): Promise<ApiError> {
  return apiErrorOf(answer, await readText(answer.body));
}

function apiErrorOf({ status, reason }: AnswerHead, body: string): ApiError {
  const text = body.trim();
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
