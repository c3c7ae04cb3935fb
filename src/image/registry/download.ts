/**
 * Downloads one layer into an ingest: resumes by Range behind what is already there, restarts where the server
 * ignores ranges, retries with growing pauses, and ends with the digest verified or with one clear error. A server
 * that sends more or fewer bytes than the descriptor says is not believed.
 */
import type { Response } from 'node-fetch';
import { errorMessage, InternalError } from '../../base/errors.ts';
import { log } from '../../base/log.ts';
import type { Descriptor } from '../manifest.ts';
import type { RateLimit } from '../rate-limit.ts';
import type { Ingest } from '../store/ingest.ts';
import { bodyChunks, releaseBody } from './body.ts';
import type { RepositoryClient } from './client.ts';
import { parseErrorResponse, TransportError } from './errors.ts';
import type { ResolvedRegistryOptions } from './options.ts';
import { pause, retryDelayMs } from './retry.ts';

/** An attempt that brought this much was worth it: the count of failures begins again. */
const PROGRESS_BYTES = 1 << 20;
/** How often a blob whose digest turned out wrong after a resume is fetched again from its beginning. */
const MAX_RESTARTS = 2;

export interface DownloadRequest {
  client: RepositoryClient;
  descriptor: Descriptor;
  ingest: Ingest;
  registry: ResolvedRegistryOptions;
  /** What all downloads together are held to; undefined for no limit. */
  rate: RateLimit | undefined;
  signal: AbortSignal;
  /** Bytes that are here, those of earlier attempts included. Called for every chunk. */
  onBytes: (sizeBytes: number) => void;
  /** A pause begins, in whole seconds. */
  onRetry: (seconds: number) => void;
}

/**
 * Brings the whole blob into the ingest, verified. Throws RegistryError, TransportError or Internal; what was
 * received stays in the ingest, unless it is known to be wrong: then the ingest is empty.
 */
export async function downloadBlob(request: DownloadRequest): Promise<void> {
  const { descriptor, ingest, signal } = request;
  await ingest.resume(descriptor.sizeBytes);
  let failures = 0;
  let restarts = 0;
  for (;;) {
    const before = ingest.sizeBytes;
    try {
      await fetchRest(request);
      if (ingest.verified()) return;
      await ingest.restart();
      restarts += 1;
      if (before === 0 || restarts > MAX_RESTARTS) {
        throw new InternalError(`filesystem layer verification failed for digest ${descriptor.digest}`);
      }
    } catch (error) {
      signal.throwIfAborted();
      failures = ingest.sizeBytes - before >= PROGRESS_BYTES ? 1 : failures + 1;
      await waitBeforeRetry(request, error, failures);
    }
  }
}

async function waitBeforeRetry(request: DownloadRequest, error: unknown, failures: number): Promise<void> {
  const { registry, signal, descriptor } = request;
  const policy = {
    attempts: registry.maxDownloadAttempts,
    delayMs: registry.retryDelayMs,
    established: true,
  };
  const waitMs = retryDelayMs(error, failures, policy);
  if (waitMs === undefined) throw error;
  log.info(
    { digest: descriptor.digest, failures, error: errorMessage(error) },
    'layer download interrupted, retrying',
  );
  request.onRetry(Math.max(1, Math.round(waitMs / 1000)));
  await pause(waitMs, signal);
}

/** One attempt: opens the blob behind what is here and reads to its end. */
async function fetchRest(request: DownloadRequest): Promise<void> {
  const { client, descriptor, ingest, signal } = request;
  if (ingest.sizeBytes === descriptor.sizeBytes && descriptor.sizeBytes > 0) return;
  const { response, url } = await client.openBlob(descriptor.digest, ingest.sizeBytes, signal);
  try {
    await positionAt(response, url, request);
    checkLength(response, request);
    const stallTimeoutMs = request.registry.stallTimeoutMs;
    for await (const chunk of bodyChunks(response, { url, signal, stallTimeoutMs })) {
      if (ingest.sizeBytes + chunk.length > descriptor.sizeBytes) throw await wrongSize(request, 'more');
      const { length } = chunk;
      await ingest.append(chunk, { owned: true });
      request.onBytes(ingest.sizeBytes);
      await request.rate?.take(length, signal);
    }
  } catch (error) {
    releaseBody(response);
    throw error;
  }
  if (ingest.sizeBytes < descriptor.sizeBytes) {
    throw new TransportError(`GET "${url.origin}${url.pathname}": unexpected EOF`, 'EOF');
  }
}

/** Makes the ingest fit what the server is about to send. */
async function positionAt(
  response: Response,
  url: URL,
  { ingest, descriptor }: DownloadRequest,
): Promise<void> {
  if (ingest.sizeBytes === 0 && response.status === 200) return;
  if (response.status === 206) {
    const range = /^bytes (\d+)-(\d+)\/(\d+|\*)$/.exec(response.headers.get('content-range') ?? '');
    const total = range?.[3] ?? '';
    if (Number(range?.[1]) === ingest.sizeBytes && (total === '*' || Number(total) === descriptor.sizeBytes))
      return;
  }
  await ingest.restart();
  if (response.status === 200) return;
  throw new TransportError(
    `GET "${url.origin}${url.pathname}": the server does not resume where asked`,
    'RANGE',
  );
}

/** A length that is announced wrong need not be downloaded to be known as wrong. */
function checkLength(response: Response, { descriptor, ingest }: DownloadRequest): void {
  if (!response.ok) throw parseErrorResponse(response.status, response.statusText, '');
  const announced = response.headers.get('content-length');
  if (announced === null || response.headers.has('content-encoding')) return;
  const expected = descriptor.sizeBytes - ingest.sizeBytes;
  if (Number(announced) === expected) return;
  throw new InternalError(
    `layer ${descriptor.digest} has ${descriptor.sizeBytes} bytes according to its manifest, but the registry sends ${Number(announced) + ingest.sizeBytes}`,
  );
}

async function wrongSize({ descriptor, ingest }: DownloadRequest, how: string): Promise<Error> {
  await ingest.restart();
  return new InternalError(
    `layer ${descriptor.digest} has ${descriptor.sizeBytes} bytes according to its manifest, but the registry sends ${how}`,
  );
}
