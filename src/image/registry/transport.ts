/**
 * HTTP to registries and token servers: keep-alive connection pools per host, TLS with that host's certificates,
 * proxies, a limit on how long a server may stay silent or take nothing, and redirects that never carry credentials to
 * another origin. What the answers mean is the client's business.
 */
import { Agent as HttpAgent } from 'node:http';
import { Agent as HttpsAgent } from 'node:https';
import type { Readable } from 'node:stream';
import fetch, { type Response } from 'node-fetch';
import { InvalidParameterError } from '../../base/errors.ts';
import { releaseBody } from './body.ts';
import { registryContext } from './certificates.ts';
import { stalledError, TransportError, transportError } from './errors.ts';
import type { ResolvedRegistryOptions } from './options.ts';
import { proxyFor } from './proxy.ts';

const MAX_REDIRECTS = 10;
/** Pools for hosts that were not asked lately go first; redirects can name any number of hosts. */
const MAX_POOLS = 64;
const REDIRECTS = new Set([301, 302, 303, 307, 308]);
/** Those that keep method and body (RFC 9110, section 15.4). */
const REPEATING_REDIRECTS = new Set([307, 308]);

/** How an upload's body tells that it moves. */
export interface BodyActivity {
  /** The connection took a chunk. */
  moved(): void;
  /** The connection took the last one: from now on the server works. */
  sent(): void;
}

/** Makes a request's body; called again for each hop of a redirect. Whoever made it destroys what was not read. */
export type BodySource = (activity: BodyActivity) => Readable;

export interface TransportRequest {
  method: 'GET' | 'HEAD' | 'POST' | 'PATCH' | 'PUT' | 'DELETE';
  url: URL;
  headers: Readonly<Record<string, string>>;
  /** A text holds secrets (a form for a token server) and is not sent on to where a redirect leads. */
  body?: string | BodySource;
  /** How long the answer may take once the body is sent; default the stall timeout. */
  answerTimeoutMs?: number;
  /** Hosts (`host[:port]`) whose certificates are not checked. */
  insecureHosts: ReadonlySet<string>;
  signal: AbortSignal;
}

export interface TransportResponse {
  response: Response;
  /** Where the answer came from, after redirects. */
  url: URL;
}

export class Transport {
  readonly #options: ResolvedRegistryOptions;
  readonly #agents = new Map<string, HttpAgent>();

  constructor(options: ResolvedRegistryOptions) {
    this.#options = options;
  }

  /**
   * Sends a request and follows redirects. Returns with the answer's head; the body is read by the caller, under
   * `readBody` or the like. Throws TransportError, or the signal's reason.
   */
  async send(request: TransportRequest): Promise<TransportResponse> {
    let { url } = request;
    let { headers } = request;
    for (let hop = 0; hop <= MAX_REDIRECTS; hop += 1) {
      const response = await this.#once({ ...request, url, headers });
      const location = response.headers.get('location');
      if (!followed(request, response.status) || location === null) return { response, url };
      releaseBody(response);
      const next = redirectTarget(location, url);
      if (typeof request.body === 'function') refuseDowngrade(url, next, request.insecureHosts);
      if (next.origin !== url.origin) headers = withoutAuthorization(headers);
      url = next;
    }
    throw new TransportError(
      `${request.method} "${request.url.origin}${request.url.pathname}": stopped after ${MAX_REDIRECTS} redirects`,
      'REDIRECTS',
    );
  }

  async #once(request: TransportRequest): Promise<Response> {
    const { url, method, signal } = request;
    signal.throwIfAborted();
    const { stallTimeoutMs } = this.#options;
    const answerTimeoutMs = request.answerTimeoutMs ?? stallTimeoutMs;
    const silence = new Silence(typeof request.body === 'function' ? stallTimeoutMs : answerTimeoutMs);
    const body =
      typeof request.body === 'function'
        ? request.body({
            moved: () => silence.extend(stallTimeoutMs),
            sent: () => silence.extend(answerTimeoutMs),
          })
        : request.body;
    try {
      return await fetch(url, {
        method,
        headers: { 'User-Agent': this.#options.userAgent, 'Accept-Encoding': 'identity', ...request.headers },
        ...(body === undefined ? {} : { body }),
        redirect: 'manual',
        compress: false,
        agent: this.#agent(url, request.insecureHosts.has(url.host)),
        signal: AbortSignal.any([signal, silence.signal]),
      });
    } catch (error) {
      signal.throwIfAborted();
      if (silence.signal.aborted) throw stalledError(method, url, silence.timeoutMs);
      if (error instanceof InvalidParameterError) throw error;
      throw transportError(method, url, error);
    } finally {
      silence.end();
    }
  }

  #agent(url: URL, insecure: boolean): HttpAgent {
    const key = `${url.origin} ${insecure}`;
    let agent = this.#agents.get(key);
    this.#agents.delete(key);
    agent ??= this.#makeAgent(url, insecure);
    this.#agents.set(key, agent);
    const oldest = this.#agents.keys().next().value;
    if (this.#agents.size > MAX_POOLS && oldest !== undefined) this.#agents.delete(oldest);
    return agent;
  }

  #makeAgent(url: URL, insecure: boolean): HttpAgent {
    const proxy = proxyFor(url, this.#options.env);
    const base = { keepAlive: true, maxFreeSockets: 4, scheduling: 'lifo' as const };
    if (url.protocol === 'http:') {
      return new HttpAgent({ ...base, ...(proxy === undefined ? {} : { proxyEnv: { HTTP_PROXY: proxy } }) });
    }
    return new HttpsAgent({
      ...base,
      rejectUnauthorized: !insecure,
      secureContext: registryContext(url.host, this.#options.certificateDirectories),
      ...(proxy === undefined ? {} : { proxyEnv: { HTTPS_PROXY: proxy } }),
    });
  }

  /** Forgets all connection pools, so that certificates are read again. Requests under way go on. */
  reset(): void {
    for (const agent of this.#agents.values()) agent.destroy();
    this.#agents.clear();
  }
}

/** Reads are led anywhere; what writes only where method and body stay as they are, and no text of secrets goes along. */
function followed({ method, body }: TransportRequest, status: number): boolean {
  if (method === 'GET' || method === 'HEAD') return REDIRECTS.has(status);
  return typeof body !== 'string' && REPEATING_REDIRECTS.has(status);
}

/** Aborts after a time in which nothing moved. */
class Silence {
  readonly #controller = new AbortController();
  readonly signal = this.#controller.signal;
  timeoutMs = 0;
  #timer: NodeJS.Timeout | undefined;
  #ended = false;

  constructor(timeoutMs: number) {
    this.extend(timeoutMs);
  }

  extend(timeoutMs: number): void {
    if (this.#ended) return;
    if (timeoutMs === this.timeoutMs) {
      this.#timer?.refresh();
      return;
    }
    clearTimeout(this.#timer);
    this.timeoutMs = timeoutMs;
    this.#timer = setTimeout(() => this.#controller.abort(), timeoutMs);
  }

  end(): void {
    this.#ended = true;
    clearTimeout(this.#timer);
  }
}

/** What is uploaded may be private: no server makes us send it in plain text after TLS. Throws TransportError. */
export function refuseDowngrade(from: URL, to: URL, insecureHosts: ReadonlySet<string>): void {
  if (from.protocol !== 'https:' || to.protocol === 'https:' || insecureHosts.has(from.host)) return;
  throw new TransportError(
    `${from.origin} wants the content to be sent to ${to.origin}, which is not encrypted`,
    'REDIRECTS',
  );
}

function redirectTarget(location: string, from: URL): URL {
  let target: URL;
  try {
    target = new URL(location, from);
  } catch (error) {
    throw new TransportError(
      `GET "${from.origin}${from.pathname}": redirect to an invalid URL`,
      'REDIRECTS',
      error,
    );
  }
  if (target.protocol !== 'http:' && target.protocol !== 'https:') {
    throw new TransportError(
      `GET "${from.origin}${from.pathname}": redirect to a ${target.protocol} URL`,
      'REDIRECTS',
    );
  }
  target.username = '';
  target.password = '';
  return target;
}

function withoutAuthorization(headers: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(headers).filter(([name]) => name.toLowerCase() !== 'authorization'),
  );
}
