/**
 * The requests of one blob upload (OCI distribution-spec, "Pushing blobs"): begin or mount, chunks, where it stands,
 * finish. Each is one attempt; which follows on which, also after failures, is blob-upload.ts's business.
 */
import { Readable } from 'node:stream';
import { InternalError } from '../../base/errors.ts';
import { releaseBody } from '../registry/body.ts';
import type { RepositoryClient } from '../registry/client.ts';
import { TransportError } from '../registry/errors.ts';
import type { BodyActivity, BodySource, TransportResponse } from '../registry/transport.ts';
import type { BlobContent } from './blob-content.ts';

/** Registries check and copy whole layers before they answer. */
const DEFAULT_COMMIT_TIMEOUT_MS = 300_000;
const MAX_LEAST_CHUNK_BYTES = 1 << 30;
const CANCEL_TIMEOUT_MS = 5000;

/** Bounds how fast bytes leave. */
export interface UploadLimiter {
  /** Resolves when this many bytes may be sent. Rejects with the signal's reason. */
  take(sizeBytes: number, signal: AbortSignal): Promise<void>;
}

export interface SessionOptions {
  client: RepositoryClient;
  content: BlobContent;
  limiter?: UploadLimiter;
  commitTimeoutMs?: number;
  /** Where in the blob the upload is. */
  onBytes: (offset: number) => void;
  signal: AbortSignal;
}

export class UploadSession {
  readonly #options: SessionOptions;
  #url: URL;
  /** Bytes that the registry has. */
  offset = 0;
  /** Chunks but the last must not be smaller. */
  readonly leastChunkBytes: number;

  private constructor(options: SessionOptions, answer: TransportResponse) {
    this.#options = options;
    this.#url = locationOf(answer);
    const least = Number(answer.response.headers.get('oci-chunk-min-length') ?? 0);
    this.leastChunkBytes = Number.isSafeInteger(least)
      ? Math.min(Math.max(least, 0), MAX_LEAST_CHUNK_BYTES)
      : 0;
  }

  /**
   * Begins an upload, or has the registry take the blob over from its repository `source`: then there is nothing to
   * send, and the result is undefined.
   */
  static async begin(options: SessionOptions, source?: string): Promise<UploadSession | undefined> {
    const { client, content, signal } = options;
    const query =
      source === undefined ? '' : `?${new URLSearchParams({ mount: content.digest, from: source })}`;
    const answer = await client.request({
      method: 'POST',
      target: `blobs/uploads/${query}`,
      ...(source === undefined ? {} : { source }),
      signal,
    });
    releaseBody(answer.response);
    if (source === undefined || answer.response.status !== 201) return new UploadSession(options, answer);
    checkDigest(answer, content);
    return undefined;
  }

  /** Sends the bytes from the offset to `end`, and moves the offset to what the registry says that it has. */
  async sendChunk(end: number): Promise<void> {
    const { content } = this.#options;
    const start = this.offset;
    const answer = await this.#send('PATCH', this.#url, start, end, {
      'Content-Range': `${start}-${end - 1}`,
    });
    this.#follow(answer);
    const range = answer.response.headers.get('range');
    const has = range === null ? end : lengthOf(range);
    if (has <= start || has > end) {
      const { origin, pathname } = answer.url;
      throw new TransportError(
        `PATCH "${origin}${pathname}": the registry has ${has} bytes of ${content.digest} after ${end} were sent`,
        'RANGE',
      );
    }
    this.offset = has;
  }

  /** Asks how much has arrived, after a failure. A claim to more than the blob throws TransportError. */
  async locate(): Promise<void> {
    const { client, content, signal } = this.#options;
    const answer = await client.request({ method: 'GET', target: this.#url, signal });
    releaseBody(answer.response);
    this.#follow(answer);
    const has = lengthOf(answer.response.headers.get('range') ?? '');
    if (has > content.sizeBytes) {
      throw new TransportError(
        `registry claims ${has} bytes of ${content.digest}, which is smaller`,
        'RANGE',
      );
    }
    this.offset = has;
    this.#options.onBytes(has);
  }

  /** Closes an upload that has all bytes. Throws Internal where the registry stored something else. */
  async finish(): Promise<void> {
    const { client, content, signal, commitTimeoutMs } = this.#options;
    const answer = await client.request({
      method: 'PUT',
      target: this.#closingUrl(),
      answerTimeoutMs: commitTimeoutMs ?? DEFAULT_COMMIT_TIMEOUT_MS,
      signal,
    });
    releaseBody(answer.response);
    checkDigest(answer, content);
  }

  /** Sends everything and closes the upload in one request. */
  async sendWhole(): Promise<void> {
    const { content } = this.#options;
    checkDigest(await this.#send('PUT', this.#closingUrl(), 0, content.sizeBytes, {}), content);
  }

  /** Tells the registry to forget the upload; it would do so by itself in some days. */
  cancel(): void {
    const { client } = this.#options;
    const signal = AbortSignal.timeout(CANCEL_TIMEOUT_MS);
    client
      .request({ method: 'DELETE', target: this.#url, signal })
      .then(({ response }) => releaseBody(response))
      .catch(() => {
        // Nobody depends on it, and many registries do not know the request.
      });
  }

  #closingUrl(): URL {
    const url = new URL(this.#url);
    url.searchParams.set('digest', this.#options.content.digest);
    return url;
  }

  #follow(answer: TransportResponse): void {
    if (answer.response.headers.has('location')) this.#url = locationOf(answer);
  }

  async #send(
    method: 'PATCH' | 'PUT',
    target: URL,
    start: number,
    end: number,
    headers: Record<string, string>,
  ): Promise<TransportResponse> {
    const { client, signal, commitTimeoutMs } = this.#options;
    const body = new RangeBody(this.#options, start, end);
    try {
      const answer = await client.request({
        method,
        target,
        headers: {
          ...headers,
          'Content-Type': 'application/octet-stream',
          'Content-Length': String(end - start),
        },
        body: body.source,
        answerTimeoutMs: commitTimeoutMs ?? DEFAULT_COMMIT_TIMEOUT_MS,
        signal,
      });
      releaseBody(answer.response);
      return answer;
    } catch (error) {
      throw body.failure ?? error;
    } finally {
      body.end();
    }
  }
}

/** A part of the content as a request's body, with the limit on speed, and the failure to read it if there was one. */
class RangeBody {
  failure: unknown;
  readonly #options: SessionOptions;
  readonly #start: number;
  readonly #end: number;
  #stream: Readable | undefined;

  constructor(options: SessionOptions, start: number, end: number) {
    this.#options = options;
    this.#start = start;
    this.#end = end;
  }

  readonly source: BodySource = (activity) => {
    this.end();
    this.#stream = Readable.from(this.#chunks(activity), { objectMode: false });
    return this.#stream;
  };

  end(): void {
    this.#stream?.destroy();
  }

  async *#chunks(activity: BodyActivity): AsyncGenerator<Buffer, void, undefined> {
    const { limiter, onBytes, signal } = this.#options;
    let at = this.#start;
    for await (const chunk of this.#content()) {
      await limiter?.take(chunk.length, signal);
      activity.moved();
      yield chunk;
      at += chunk.length;
      activity.moved();
      onBytes(at);
    }
    activity.sent();
  }

  /** Apart from the above, which is also told when the connection breaks. */
  async *#content(): AsyncGenerator<Buffer, void, undefined> {
    try {
      yield* this.#options.content.read(this.#start, this.#end);
    } catch (error) {
      this.failure = error;
      throw error;
    }
  }
}

/** Where the upload goes on: relative, or on another host, which then gets no credentials. */
function locationOf({ response, url }: TransportResponse): URL {
  const location = response.headers.get('location');
  let target: URL;
  try {
    if (location === null || location === '') throw new Error('there is no Location header');
    target = new URL(location, url);
  } catch (error) {
    throw new InternalError(`registry ${url.host} does not say where to upload to`, error);
  }
  if (target.protocol !== 'http:' && target.protocol !== 'https:') {
    throw new InternalError(`registry ${url.host} names a ${target.protocol} URL to upload to`);
  }
  target.username = '';
  target.password = '';
  return target;
}

/** `0-99` is 100 bytes; `0-0` is how registries write that there are none. */
function lengthOf(range: string): number {
  const last = Number(/^(?:bytes=)?0-(\d{1,15})$/.exec(range.trim())?.[1] ?? 0);
  return last === 0 ? 0 : last + 1;
}

function checkDigest({ response, url }: TransportResponse, { digest }: BlobContent): void {
  const stated = response.headers.get('docker-content-digest') ?? digest;
  if (stated !== digest) throw new InternalError(`registry ${url.host} stored blob ${digest} as ${stated}`);
}
