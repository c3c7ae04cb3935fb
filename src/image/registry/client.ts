/**
 * One repository of one registry: reading it (OCI distribution-spec, "Pull" and "Content Discovery"), and the requests
 * that writing to it is made of, whose order is the push's business. Bytes that have a digest are checked against it
 * here, except blobs that are streamed: their reader checks them.
 */
import { Readable } from 'node:stream';
import type { Response } from 'node-fetch';
import { InternalError, InvalidParameterError } from '../../base/errors.ts';
import { type Digest, digestOf } from '../digest.ts';
import { JsonReader } from '../json.ts';
import { MAX_MANIFEST_BYTES } from '../manifest.ts';
import { MANIFEST_TYPES } from '../media-types.ts';
import { Authorizer, refusal } from './auth.ts';
import { readBody, releaseBody } from './body.ts';
import type { RegistryAuth } from './credentials.ts';
import type { Endpoint } from './endpoints.ts';
import { parseErrorResponse, requestName } from './errors.ts';
import type { ResolvedRegistryOptions } from './options.ts';
import { parseRetryAfter, type RetryPolicy, withRetries } from './retry.ts';
import {
  type BodySource,
  refuseDowngrade,
  type Transport,
  type TransportRequest,
  type TransportResponse,
} from './transport.ts';

const MAX_ERROR_BYTES = 64 << 10;
const MAX_TAG_PAGES = 1000;
const MAX_TAGS = 100_000;
const SHA256 = /^sha256:[0-9a-f]{64}$/;

export interface FetchedManifest {
  bytes: Buffer;
  /** As the registry states it. */
  mediaType: string;
  digest: Digest;
}

export interface RepositoryClientOptions {
  endpoint: Endpoint;
  /** The repository inside the registry: `library/ubuntu`. */
  path: string;
  auth: RegistryAuth;
  transport: Transport;
  registry: ResolvedRegistryOptions;
  /** What is going to be done; tokens are asked for that. Default `pull`. */
  actions?: 'pull' | 'pull,push';
}

export interface RepositoryRequest {
  method: TransportRequest['method'];
  /** A path below the repository (`blobs/uploads/`), or a URL that the registry gave. */
  target: string | URL;
  headers?: Readonly<Record<string, string>>;
  body?: BodySource;
  answerTimeoutMs?: number;
  /** Statuses besides 2xx that are answers and not failures. */
  accepted?: readonly number[];
  /** Another repository of the registry that the request reads from. */
  source?: string;
  signal: AbortSignal;
}

export class RepositoryClient {
  readonly endpoint: Endpoint;
  readonly #options: RepositoryClientOptions;
  readonly #baseUrl: URL;
  /** By the repository that is read besides this one; empty for none. */
  readonly #authorizers = new Map<string, Authorizer>();
  readonly #insecureHosts: ReadonlySet<string>;
  #reached = false;

  constructor(options: RepositoryClientOptions) {
    this.#options = options;
    this.endpoint = options.endpoint;
    this.#baseUrl = new URL(options.endpoint.baseUrl);
    this.#insecureHosts = new Set(options.endpoint.insecure ? [this.#baseUrl.host] : []);
  }

  /** The repository inside the registry. */
  get path(): string {
    return this.#options.path;
  }

  /** Reads another repository of the same registry over the same endpoint. */
  sibling(path: string): RepositoryClient {
    return new RepositoryClient({ ...this.#options, path, actions: 'pull' });
  }

  #authorizer(source: string): Authorizer {
    const { transport, registry, path, auth, actions = 'pull' } = this.#options;
    const own = `repository:${path}:${actions}`;
    const found = this.#authorizers.get(source);
    if (found !== undefined) return found;
    const authorizer = new Authorizer({
      transport,
      registry,
      baseUrl: this.#baseUrl,
      scope: source === '' ? own : `${own} repository:${source}:pull`,
      credentials: auth,
      insecureHosts: this.#insecureHosts,
    });
    this.#authorizers.set(source, authorizer);
    return authorizer;
  }

  /** Whether the registry ever answered over this endpoint: if so, its TLS settings are right. */
  get reached(): boolean {
    return this.#reached;
  }

  /** The digest that a tag or digest has now; undefined where the registry does not tell it without the content. */
  async manifestDigest(tagOrDigest: string, signal: AbortSignal): Promise<Digest | undefined> {
    return await this.#retrying(signal, async () => {
      const target = `manifests/${tagOrDigest}`;
      const headers = manifestHeaders();
      const { response } = await this.request({
        method: 'HEAD',
        target,
        headers,
        signal,
        accepted: [404, 405],
      });
      releaseBody(response);
      const digest = response.headers.get('docker-content-digest') ?? '';
      return response.ok && SHA256.test(digest) ? (digest as Digest) : undefined;
    });
  }

  /** A manifest, checked against the digest that it was asked by, or else against the one that the registry states. */
  async manifest(tagOrDigest: string, signal: AbortSignal): Promise<FetchedManifest> {
    return await this.#retrying(signal, async () => {
      const target = `manifests/${tagOrDigest}`;
      const headers = manifestHeaders();
      const { response, url } = await this.request({ method: 'GET', target, headers, signal });
      const bytes = await this.#body(response, url, MAX_MANIFEST_BYTES, 'image manifest', signal);
      const stated = response.headers.get('docker-content-digest') ?? '';
      const digest = digestOf(bytes);
      const expected = tagOrDigest.includes(':') ? tagOrDigest : SHA256.test(stated) ? stated : digest;
      if (digest !== expected) throw new InternalError(`manifest verification failed for digest ${expected}`);
      return { bytes, digest, mediaType: response.headers.get('content-type') ?? '' };
    });
  }

  /** A small blob whole, as the configuration. Its size and digest must be the given ones. */
  async smallBlob(digest: Digest, sizeBytes: number, maxBytes: number, signal: AbortSignal): Promise<Buffer> {
    if (sizeBytes > maxBytes) {
      throw new InvalidParameterError(
        `image config ${digest} has ${sizeBytes} bytes, more than the ${maxBytes} allowed`,
      );
    }
    return await this.#retrying(signal, async () => {
      const { response, url } = await this.request({ method: 'GET', target: `blobs/${digest}`, signal });
      const bytes = await this.#body(response, url, sizeBytes, 'image config', signal);
      if (bytes.length !== sizeBytes || digestOf(bytes) !== digest) {
        throw new InternalError(`image config verification failed for digest ${digest}`);
      }
      return bytes;
    });
  }

  /**
   * Opens a blob at `offset`. The answer is 206 with the rest, 200 with everything where the server ignores ranges, or
   * 416. One attempt; the caller resumes.
   */
  async openBlob(
    digest: Digest,
    offset: number,
    signal: AbortSignal,
  ): Promise<{ response: Response; url: URL }> {
    const headers = offset > 0 ? { Range: `bytes=${offset}-` } : {};
    const target = `blobs/${digest}`;
    return await this.request({ method: 'GET', target, headers, signal, accepted: [416] });
  }

  /** All tags, in order. */
  async tags(signal: AbortSignal): Promise<string[]> {
    const tags = new Set<string>();
    let next: string | undefined = 'tags/list';
    for (let page = 0; next !== undefined; page += 1) {
      if (page >= MAX_TAG_PAGES)
        throw new InternalError(`registry lists more than ${MAX_TAG_PAGES} pages of tags`);
      const target: string = next;
      next = await this.#retrying(signal, async () => {
        const { response, url } = await this.request({ method: 'GET', target, signal });
        const bytes = await this.#body(response, url, MAX_MANIFEST_BYTES, 'tag list', signal);
        for (const tag of JsonReader.parse(bytes, 'tag list').strings('tags') ?? []) tags.add(tag);
        if (tags.size > MAX_TAGS) throw new InternalError(`registry lists more than ${MAX_TAGS} tags`);
        return nextPage(response.headers.get('link'));
      });
    }
    return [...tags].sort();
  }

  #retrying<T>(signal: AbortSignal, attempt: () => Promise<T>): Promise<T> {
    const { registry } = this.#options;
    // Behind a mirror stands the registry itself: going on there is better than waiting.
    const attempts = this.endpoint.mirror ? 1 : registry.maxDownloadAttempts;
    const policy: RetryPolicy = { attempts, delayMs: registry.retryDelayMs, established: this.#reached };
    return withRetries(policy, signal, attempt);
  }

  /** Whether the registry has a blob of this length here. */
  async hasBlob(digest: Digest, sizeBytes: number, signal: AbortSignal): Promise<boolean> {
    return await this.#retrying(signal, async () => {
      const target = `blobs/${digest}`;
      const { response } = await this.request({ method: 'HEAD', target, signal, accepted: [404] });
      releaseBody(response);
      const length = response.headers.get('content-length');
      return response.ok && (length === null || Number(length) === sizeBytes);
    });
  }

  /**
   * Stores a manifest under a tag or its digest, all that it names being there. Throws Internal where the registry
   * says that it stored something else.
   */
  async putManifest(tagOrDigest: string, manifest: FetchedManifest, signal: AbortSignal): Promise<void> {
    const { bytes, digest, mediaType } = manifest;
    await this.#retrying(signal, async () => {
      const { response } = await this.request({
        method: 'PUT',
        target: `manifests/${tagOrDigest}`,
        headers: { 'Content-Type': mediaType, 'Content-Length': String(bytes.length) },
        body: () => Readable.from([bytes], { objectMode: false }),
        signal,
      });
      releaseBody(response);
      const stated = response.headers.get('docker-content-digest') ?? digest;
      if (stated !== digest) {
        throw new InternalError(`registry ${this.#baseUrl.host} stored manifest ${digest} as ${stated}`);
      }
    });
  }

  /**
   * Sends one request, with authorisation where it goes to the registry itself. Statuses other than 2xx and `accepted`
   * throw RegistryError. One attempt, but for a token that the registry no longer takes.
   */
  async request(request: RepositoryRequest): Promise<TransportResponse> {
    const { signal, accepted = [], headers = {} } = request;
    const url = this.#url(request.target);
    const ours = url.origin === this.#baseUrl.origin;
    const authorizer = ours ? this.#authorizer(request.source ?? '') : undefined;
    for (let attempt = 0; ; attempt += 1) {
      const authorization = await authorizer?.header(signal);
      const { method, body, answerTimeoutMs } = request;
      const answer = await this.#options.transport.send({
        method,
        url,
        headers: authorization === undefined ? headers : { ...headers, Authorization: authorization },
        ...(body === undefined ? {} : { body }),
        ...(answerTimeoutMs === undefined ? {} : { answerTimeoutMs }),
        insecureHosts: this.#insecureHosts,
        signal,
      });
      this.#reached = true;
      const { response } = answer;
      if (response.ok || accepted.includes(response.status)) return answer;
      const challenge = response.headers.get('www-authenticate') ?? '';
      const answered = answer.url.origin === url.origin;
      if (response.status === 401 && answered && attempt === 0 && authorizer !== undefined) {
        if (await authorizer.answer(challenge, authorization, signal)) {
          releaseBody(response);
          continue;
        }
      }
      throw await this.#refused(response, requestName(method, answer.url), answer.url, signal);
    }
  }

  #url(target: string | URL): URL {
    if (target instanceof URL) {
      refuseDowngrade(this.#baseUrl, target, this.#insecureHosts);
      return target;
    }
    const base = `${this.endpoint.baseUrl}/v2/${this.#options.path}/`;
    return new URL(target.startsWith('?') ? `tags/list${target}` : target, base);
  }

  async #refused(response: Response, asked: string, url: URL, signal: AbortSignal): Promise<Error> {
    if (response.status === 401) {
      const known = refusal(response.headers.get('www-authenticate') ?? '');
      if (known !== undefined) return known;
    }
    const { stallTimeoutMs } = this.#options.registry;
    const options = { url, signal, stallTimeoutMs, maxBytes: MAX_ERROR_BYTES, tooLong: 'cut' as const };
    let text = '';
    try {
      if (!response.bodyUsed) text = (await readBody(response, options)).toString();
    } catch {
      // The status alone says what happened; the text would only have explained it.
      signal.throwIfAborted();
    }
    const retryAfter = parseRetryAfter(response.headers.get('retry-after'));
    return parseErrorResponse(response.status, response.statusText, text, retryAfter, asked);
  }

  async #body(
    response: Response,
    url: URL,
    maxBytes: number,
    what: string,
    signal: AbortSignal,
  ): Promise<Buffer> {
    const { stallTimeoutMs } = this.#options.registry;
    const tooLong = (): Error => new InvalidParameterError(`${what} is larger than ${maxBytes} bytes`);
    return await readBody(response, { url, signal, stallTimeoutMs, maxBytes, tooLong });
  }
}

function manifestHeaders(): Record<string, string> {
  return { Accept: MANIFEST_TYPES.join(', ') };
}

/** The query of the next page (`Link: <…?n=100&last=x>; rel="next"`); its host and path are not followed. */
function nextPage(link: string | null): string | undefined {
  const target = /<([^>]*)>\s*;[^,]*rel="?next"?/i.exec(link ?? '')?.[1];
  if (target === undefined || !target.includes('?')) return undefined;
  return target.slice(target.indexOf('?'));
}
