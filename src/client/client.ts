/**
 * Engine API client: requests, JSON answers, streamed answers and hijacked connections over one host.
 * It speaks version 1.51 and steps down to what an older daemon names as its newest. It knows no resource: the
 * verbs name their own paths.
 */
import {
  Agent,
  type ClientRequest,
  request as httpRequest,
  type IncomingMessage,
  type OutgoingHttpHeaders,
} from 'node:http';
import type { Duplex, Readable, Writable } from 'node:stream';
import { API_VERSION } from '../api/version.ts';
import { ApiError, ConnectionError } from './client-error.ts';
import type { Dial } from './dial.ts';
import type { Host } from './host.ts';

export type QueryValue = string | number | boolean | readonly string[] | undefined;

export interface RequestOptions {
  /** Undefined values are left out, lists repeat the name, booleans are `1` and `0`. */
  query?: Record<string, QueryValue>;
  /** Sent as JSON. */
  json?: unknown;
  /** Sent chunked as it comes; not together with `json`. */
  body?: AsyncIterable<Uint8Array>;
  headers?: OutgoingHttpHeaders;
  signal?: AbortSignal;
}

/** A connection that the daemon handed over. Ending `input` closes stdin at the far end; `output` goes on. */
export interface HijackedStream {
  readonly output: Readable;
  readonly input: Writable;
  readonly contentType: string | undefined;
  /** Closes both ways at once. */
  destroy(): void;
}

export class Client {
  readonly host: Host;
  readonly #dial: Dial;
  readonly #agent: Agent;
  readonly #open = new Set<Duplex>();
  readonly #beforeFirst: (() => Promise<void>) | undefined;
  #version: string;
  #versionIsFixed: boolean;
  #prepared: Promise<void> | undefined;

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
    this.#agent = this.#newAgent(true);
  }

  /** The version in use; what was agreed on once the first answer has come. */
  get apiVersion(): string {
    return this.#version;
  }

  /** The parsed answer. An empty body (204, 304) gives undefined: name it in `T` where that can be. */
  async json<T>(method: string, path: string, options: RequestOptions = {}): Promise<T> {
    const text = await readText(await this.stream(method, path, options));
    return (text === '' ? undefined : JSON.parse(text)) as T;
  }

  /** The answer's body as it comes, once the head is there with a status below 400. Throws `ApiError` otherwise. */
  async stream(method: string, path: string, options: RequestOptions = {}): Promise<IncomingMessage> {
    return await this.#withVersion(options.body === undefined, async (prefix) => {
      const { response } = await this.#send(method, prefix + path, options, this.#agent);
      if ((response.statusCode ?? 500) >= 400) throw await apiError(response);
      return response;
    });
  }

  /**
   * Asks for the connection itself (`Upgrade: tcp`). Works with daemons that answer 101 and with those that
   * answer 200. The socket is half-open: `end()` closes the container's stdin, and output goes on.
   */
  async hijack(path: string, options: Omit<RequestOptions, 'body'> = {}): Promise<HijackedStream> {
    return await this.#withVersion(true, async (prefix) => {
      const headers = { ...options.headers, connection: 'Upgrade', upgrade: 'tcp' };
      const { request, response, upgraded } = await this.#send(
        'POST',
        prefix + path,
        { ...options, headers },
        this.#newAgent(false),
      );
      const status = response.statusCode ?? 500;
      if (status >= 400) throw await apiError(response);
      const contentType = response.headers['content-type'];
      const socket = upgraded?.socket ?? request.socket;
      if (socket === null)
        throw new ConnectionError('the daemon closed the connection before handing it over');
      if (upgraded !== undefined && upgraded.head.length > 0) socket.unshift(upgraded.head);
      // Without an upgrade the output is the answer's body; what is written follows the request on its socket.
      const output = upgraded === undefined ? response : socket;
      return { output, input: socket, contentType, destroy: () => socket.destroy() };
    });
  }

  /** Asks the daemon for its newest version and uses it where it is older; for requests that cannot be repeated. */
  async negotiate(): Promise<void> {
    if (this.#versionIsFixed) return;
    await this.#prepare();
    const { response } = await this.#send('GET', '/_ping', {}, this.#agent);
    const offered = response.headers['api-version'];
    await readText(response);
    if (typeof offered === 'string') this.#stepDownTo(offered);
  }

  /** A raw stream to the daemon, for `dial-stdio`. */
  async dial(): Promise<Duplex> {
    await this.#prepare();
    return this.#dial();
  }

  /** Closes every connection, those in use too, so that the process can end. */
  close(): void {
    this.#agent.destroy();
    for (const stream of this.#open) stream.destroy();
  }

  #track(stream: Duplex): Duplex {
    this.#open.add(stream);
    stream.once('close', () => this.#open.delete(stream));
    return stream;
  }

  #newAgent(keepAlive: boolean): Agent {
    const agent = new Agent({ keepAlive });
    agent.createConnection = () => this.#dial();
    return agent;
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

  #send(method: string, path: string, options: RequestOptions, agent: Agent): Promise<Exchange> {
    const base = this.host.kind === 'tcp' ? this.host.basePath : '';
    const payload = options.json === undefined ? undefined : JSON.stringify(options.json);
    const headers: OutgoingHttpHeaders = {
      host: 'api.moby.localhost',
      'user-agent': 'mydock',
      ...options.headers,
    };
    if (payload !== undefined) {
      headers['content-type'] = 'application/json';
      headers['content-length'] = Buffer.byteLength(payload);
    } else if (options.body === undefined && method === 'POST') {
      headers['content-length'] = 0;
    }
    return new Promise((resolve, reject) => {
      const request = httpRequest({
        method,
        path: base + path + queryString(options.query),
        headers,
        agent,
        setHost: false,
        ...(options.signal === undefined ? {} : { signal: options.signal }),
      });
      request.on('error', (cause) => reject(connectionError(this.host, cause)));
      request.on('response', (response) => resolve({ request, response }));
      request.on('upgrade', (response, socket, head) =>
        resolve({ request, response, upgraded: { socket, head } }),
      );
      if (options.body === undefined) request.end(payload);
      else {
        sendBody(options.body, request).catch((error) => {
          reject(error);
          request.destroy();
        });
      }
    });
  }
}

interface Exchange {
  request: ClientRequest;
  response: IncomingMessage;
  upgraded?: { socket: Duplex; head: Buffer };
}

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

/** Writes with backpressure; a body that fails takes the request with it. */
async function sendBody(body: AsyncIterable<Uint8Array>, request: ClientRequest): Promise<void> {
  for await (const chunk of body) {
    if (request.destroyed) return;
    if (!request.write(chunk)) await drained(request);
  }
  request.end();
}

function drained(request: ClientRequest): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      request.off('drain', done);
      request.off('close', done);
      resolve();
    };
    request.on('drain', done);
    request.on('close', done);
  });
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

async function apiError(response: IncomingMessage): Promise<ApiError> {
  const status = response.statusCode ?? 500;
  const text = (await readText(response)).trim();
  try {
    const body: unknown = JSON.parse(text);
    if (typeof body === 'object' && body !== null && 'message' in body && typeof body.message === 'string') {
      return new ApiError(status, body.message);
    }
  } catch {
    // Not JSON: a proxy or a very old daemon; its text is all there is to show.
  }
  return new ApiError(status, text === '' ? `request returned ${response.statusMessage ?? status}` : text);
}

function connectionError(host: Host, cause: Error): Error {
  if (cause.name === 'AbortError') return cause;
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
