/**
 * Brings one blob into a repository, whatever happens on the way: mounted from another repository where the registry
 * has it there, else in chunks that go on where a broken connection stopped, begun anew where the registry lost them,
 * and in one piece for registries that take no chunks.
 */
import { EngineError, errorMessage, InternalError } from '../../base/errors.ts';
import { log } from '../../base/log.ts';
import type { RepositoryClient } from '../registry/client.ts';
import { RegistryError } from '../registry/errors.ts';
import { pause, retryDelayMs } from '../registry/retry.ts';
import type { BlobContent } from './blob-content.ts';
import { type UploadLimiter, UploadSession } from './upload-session.ts';

/** Proxies in front of registries commonly refuse bodies above 100 MB. */
const CHUNK_BYTES = 64 << 20;
const LEAST_CHUNK_BYTES = 1 << 20;
/** A failure after this much progress counts as the first. */
const PROGRESS_BYTES = 1 << 20;
/** Refusals of uploads that were begun: each leads to a new one, up to here. */
const MAX_RESTARTS = 3;

export interface BlobUploadRequest {
  client: RepositoryClient;
  content: BlobContent;
  /** Repositories of the same registry that may have the blob, best first. */
  sources: readonly string[];
  attempts: number;
  retryDelayMs: number;
  chunkBytes?: number;
  commitTimeoutMs?: number;
  limiter?: UploadLimiter;
  /** Bytes that are there; may fall back after a failure. */
  onBytes: (sizeBytes: number) => void;
  /** A pause begins, in whole seconds. */
  onRetry: (seconds: number) => void;
  signal: AbortSignal;
}

/**
 * Returns the repository that the blob was mounted from, or undefined where it was sent. Throws RegistryError,
 * TransportError, Unauthorized, Internal or the signal's reason; the upload is then cancelled at the registry.
 */
export async function uploadBlob(request: BlobUploadRequest): Promise<string | undefined> {
  return await new BlobUpload(request).run();
}

/** Has the registry take the blob over from the first of `sources` that has it; undefined where none does. */
export async function mountBlob(request: BlobUploadRequest): Promise<string | undefined> {
  return await new BlobUpload(request).mount();
}

class BlobUpload {
  readonly #request: BlobUploadRequest;
  readonly #content: BlobContent;
  #session: UploadSession | undefined;
  #chunkBytes: number;
  /** Where the session is must be asked for before anything else is sent. */
  #uncertain = false;
  #whole = false;
  #furthest = 0;
  #failures = 0;
  #restarts = 0;

  constructor(request: BlobUploadRequest) {
    this.#request = request;
    this.#content = request.content;
    this.#chunkBytes = request.chunkBytes ?? CHUNK_BYTES;
  }

  async mount(): Promise<string | undefined> {
    try {
      return await this.#mountFirst();
    } finally {
      this.#session?.cancel();
    }
  }

  async run(): Promise<string | undefined> {
    const { signal } = this.#request;
    try {
      const source = await this.#mountFirst();
      if (source !== undefined) return source;
      for (;;) {
        try {
          await this.#attempt();
          return undefined;
        } catch (error) {
          signal.throwIfAborted();
          this.#failures += 1;
          if (await this.#recover(error)) return undefined;
        }
      }
    } catch (error) {
      this.#session?.cancel();
      throw error;
    }
  }

  async #mountFirst(): Promise<string | undefined> {
    for (const source of this.#request.sources) {
      if (!(await this.#mount(source))) continue;
      this.#session?.cancel();
      this.#session = undefined;
      return source;
    }
    return undefined;
  }

  /** One that is refused is no failure; the upload that a registry begins in place of it is used. */
  async #mount(source: string): Promise<boolean> {
    try {
      const session = await UploadSession.begin(this.#request, source);
      if (session === undefined) return true;
      this.#session?.cancel();
      this.#session = session;
    } catch (error) {
      this.#request.signal.throwIfAborted();
      if (!(error instanceof RegistryError) && !(error instanceof EngineError)) throw error;
      log.debug(
        { digest: this.#content.digest, source, error: errorMessage(error) },
        'blob cannot be mounted',
      );
    }
    return false;
  }

  async #attempt(): Promise<void> {
    this.#session ??= await UploadSession.begin(this.#request);
    const session = this.#session;
    if (session === undefined) throw new InternalError(`upload of ${this.#content.digest} has no session`);
    if (this.#whole) return await session.sendWhole();
    if (this.#uncertain) {
      await session.locate();
      this.#uncertain = false;
      this.#countProgress(session.offset);
    }
    const { sizeBytes } = this.#content;
    const chunkBytes = Math.max(this.#chunkBytes, session.leastChunkBytes);
    while (session.offset < sizeBytes) {
      await session.sendChunk(Math.min(sizeBytes, session.offset + chunkBytes));
      this.#countProgress(session.offset);
    }
    await session.finish();
  }

  #countProgress(offset: number): void {
    if (offset - this.#furthest < PROGRESS_BYTES) return;
    this.#furthest = offset;
    this.#failures = 0;
  }

  /** Prepares the next attempt, or throws the failure. Returns whether the blob is there after all. */
  async #recover(error: unknown): Promise<boolean> {
    const refusal = error instanceof RegistryError ? error.status : 0;
    if (this.#session === undefined) {
      await this.#wait(error);
      return false;
    }
    if (this.#isTooLarge(refusal)) return false;
    if (refusal === 400 || refusal === 404 || refusal === 405 || refusal === 415 || refusal === 416) {
      await this.#beginAnew(error, refusal);
      return false;
    }
    await this.#wait(error);
    const { client, content, signal } = this.#request;
    const complete = this.#whole || this.#session.offset === content.sizeBytes;
    if (complete && (await client.hasBlob(content.digest, content.sizeBytes, signal))) return true;
    this.#uncertain = true;
    if (this.#whole) this.#session = undefined;
    return false;
  }

  /** 413 is often a proxy's word on one request, not the registry's on the blob. */
  #isTooLarge(refusal: number): boolean {
    if (refusal !== 413 || this.#whole) return false;
    const least = Math.max(LEAST_CHUNK_BYTES, this.#session?.leastChunkBytes ?? 0);
    const next = Math.floor(Math.min(this.#chunkBytes, this.#content.sizeBytes) / 4);
    if (next < least) return false;
    this.#chunkBytes = next;
    this.#session = undefined;
    return true;
  }

  /** The registry does not know the upload any more, does not like the content, or takes no chunks. */
  async #beginAnew(error: unknown, refusal: number): Promise<void> {
    const { content } = this.#request;
    const forgotten = this.#uncertain;
    const inTheMiddle = this.#failures === 1 && (this.#session?.offset ?? 0) > 0;
    this.#session = undefined;
    this.#uncertain = false;
    this.#furthest = 0;
    this.#request.onBytes(0);
    if (forgotten) {
      // The break that led here was counted already.
      this.#failures -= 1;
      return;
    }
    this.#restarts += 1;
    if (this.#restarts > MAX_RESTARTS || this.#whole) {
      if (await content.intact()) throw error;
      throw new InternalError(
        `content ${content.digest} is damaged on this machine: pull or build it again`,
        error,
      );
    }
    this.#whole = refusal === 405 || refusal === 415 || refusal === 416 || inTheMiddle || this.#restarts > 1;
  }

  async #wait(error: unknown): Promise<void> {
    const { attempts, retryDelayMs: delayMs, onRetry, signal } = this.#request;
    const waitMs = retryDelayMs(error, this.#failures, { attempts, delayMs, established: true });
    if (waitMs === undefined) throw error;
    const { digest } = this.#content;
    log.info(
      { digest, failures: this.#failures, error: errorMessage(error) },
      'upload interrupted, retrying',
    );
    onRetry(Math.max(1, Math.round(waitMs / 1000)));
    await pause(waitMs, signal);
  }
}
