/**
 * One repository of one registry, read-only (OCI distribution-spec, "Pull" and "Content Discovery"). Bytes that have a
 * digest are checked against it here, except blobs that are streamed: their reader checks them.
 */
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
import { parseErrorResponse } from './errors.ts';
import type { ResolvedRegistryOptions } from './options.ts';
import { parseRetryAfter, type RetryPolicy, withRetries } from './retry.ts';
import type { Transport } from './transport.ts';

const MAX_ERROR_BYTES = 64 << 10;
const MAX_TAG_PAGES = 1000;
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
}

export class RepositoryClient {
  readonly endpoint: Endpoint;
  readonly #options: RepositoryClientOptions;
  readonly #authorizer: Authorizer;
  readonly #insecureHosts: ReadonlySet<string>;
  #reached = false;

  constructor(options: RepositoryClientOptions) {
    this.#options = options;
    this.endpoint = options.endpoint;
    const baseUrl = new URL(options.endpoint.baseUrl);
    this.#insecureHosts = new Set(options.endpoint.insecure ? [baseUrl.host] : []);
    this.#authorizer = new Authorizer({
      transport: options.transport,
      registry: options.registry,
      baseUrl,
      scope: `repository:${options.path}:pull`,
      credentials: options.auth,
      insecureHosts: this.#insecureHosts,
    });
  }

  /** Whether the registry ever answered over this endpoint: if so, its TLS settings are right. */
  get reached(): boolean {
    return this.#reached;
  }

  /** The digest that a tag or digest has now; undefined where the registry does not tell it without the content. */
  async manifestDigest(tagOrDigest: string, signal: AbortSignal): Promise<Digest | undefined> {
    return await this.#retrying(signal, async () => {
      const { response } = await this.#request(
        'HEAD',
        `manifests/${tagOrDigest}`,
        manifestHeaders(),
        signal,
        [404, 405],
      );
      releaseBody(response);
      const digest = response.headers.get('docker-content-digest') ?? '';
      return response.ok && SHA256.test(digest) ? (digest as Digest) : undefined;
    });
  }

  /** A manifest, checked against the digest that it was asked by, or else against the one that the registry states. */
  async manifest(tagOrDigest: string, signal: AbortSignal): Promise<FetchedManifest> {
    return await this.#retrying(signal, async () => {
      const { response, url } = await this.#request(
        'GET',
        `manifests/${tagOrDigest}`,
        manifestHeaders(),
        signal,
      );
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
      const { response, url } = await this.#request('GET', `blobs/${digest}`, {}, signal);
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
    return await this.#request('GET', `blobs/${digest}`, headers, signal, [416]);
  }

  /** All tags, in order. */
  async tags(signal: AbortSignal): Promise<string[]> {
    const tags = new Set<string>();
    let next: string | undefined = 'tags/list';
    for (let page = 0; next !== undefined; page += 1) {
      if (page >= MAX_TAG_PAGES)
        throw new InternalError(`registry lists more than ${MAX_TAG_PAGES} pages of tags`);
      const path: string = next;
      next = await this.#retrying(signal, async () => {
        const { response, url } = await this.#request('GET', path, {}, signal);
        const bytes = await this.#body(response, url, MAX_MANIFEST_BYTES, 'tag list', signal);
        for (const tag of JsonReader.parse(bytes, 'tag list').strings('tags') ?? []) tags.add(tag);
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

  /** Sends one request with authorisation; statuses other than 2xx and `accepted` throw RegistryError. */
  async #request(
    method: 'GET' | 'HEAD',
    path: string,
    headers: Readonly<Record<string, string>>,
    signal: AbortSignal,
    accepted: readonly number[] = [],
  ): Promise<{ response: Response; url: URL }> {
    const base = `${this.endpoint.baseUrl}/v2/${this.#options.path}/`;
    const url = new URL(path.startsWith('?') ? `tags/list${path}` : path, base);
    for (let attempt = 0; ; attempt += 1) {
      const authorization = await this.#authorizer.header(signal);
      const sent = authorization === undefined ? headers : { ...headers, Authorization: authorization };
      const insecureHosts = this.#insecureHosts;
      const answer = await this.#options.transport.send({
        method,
        url,
        headers: sent,
        insecureHosts,
        signal,
      });
      this.#reached = true;
      const { response } = answer;
      if (response.ok || accepted.includes(response.status)) return answer;
      const challenge = response.headers.get('www-authenticate') ?? '';
      const ours = answer.url.origin === url.origin;
      if (response.status === 401 && ours && attempt === 0) {
        if (await this.#authorizer.answer(challenge, authorization, signal)) {
          releaseBody(response);
          continue;
        }
      }
      throw await this.#refused(response, answer.url, signal);
    }
  }

  async #refused(response: Response, url: URL, signal: AbortSignal): Promise<Error> {
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
    return parseErrorResponse(response.status, response.statusText, text, retryAfter);
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
