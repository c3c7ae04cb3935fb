/** Reading response bodies from servers that may be slow, endless or cut short. */
import type { Response } from 'node-fetch';
import { stalledError, TransportError, transportError } from './errors.ts';

export interface BodyOptions {
  url: URL;
  stallTimeoutMs: number;
  signal: AbortSignal;
}

/**
 * The body's chunks as they come. Throws TransportError when the connection breaks or stays silent for longer than
 * `stallTimeoutMs` while the reader waits, or the signal's reason. Leaving the loop early closes the connection.
 */
export async function* bodyChunks(response: Response, options: BodyOptions): AsyncGenerator<Buffer> {
  const { url, stallTimeoutMs, signal } = options;
  const body = response.body as (NodeJS.ReadableStream & { destroy(error?: Error): void }) | null;
  if (body === null) return;
  let waiting = true;
  const timer = setTimeout(() => {
    if (waiting) body.destroy(stalledError('GET', url, stallTimeoutMs));
    else timer.refresh();
  }, stallTimeoutMs);
  const onAbort = (): void => body.destroy(new Error('aborted'));
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    signal.throwIfAborted();
    for await (const chunk of body) {
      waiting = false;
      yield typeof chunk === 'string' ? Buffer.from(chunk) : chunk;
      waiting = true;
      timer.refresh();
    }
  } catch (error) {
    signal.throwIfAborted();
    if (error instanceof TransportError) throw error;
    throw transportError('GET', url, error);
  } finally {
    clearTimeout(timer);
    signal.removeEventListener('abort', onAbort);
  }
}

/**
 * The whole body. One longer than `maxBytes` makes `tooLong` be thrown; `cut` returns the first `maxBytes` instead,
 * which is enough for an error message.
 */
export async function readBody(
  response: Response,
  options: BodyOptions & { maxBytes: number; tooLong: (() => Error) | 'cut' },
): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let length = 0;
  const { maxBytes, tooLong } = options;
  if (tooLong !== 'cut' && Number(response.headers.get('content-length') ?? 0) > maxBytes) {
    releaseBody(response);
    throw tooLong();
  }
  for await (const chunk of bodyChunks(response, options)) {
    chunks.push(chunk);
    length += chunk.length;
    if (length <= maxBytes) continue;
    if (tooLong === 'cut') break;
    throw tooLong();
  }
  return Buffer.concat(chunks).subarray(0, maxBytes);
}

/** Bodies up to this size are read to their end, so that the connection can be used again. */
const DRAIN_BYTES = 64 << 10;

/** Gives a body up: a short one is drained, with a longer one the connection closes. */
export function releaseBody(response: Response): void {
  const body = response.body as (NodeJS.ReadableStream & { destroy(): void }) | null;
  if (body === null) return;
  body.on('error', () => {
    // The error of a body that nobody reads says nothing.
  });
  const length = response.headers.get('content-length');
  if (length !== null && Number(length) <= DRAIN_BYTES) body.resume();
  else body.destroy();
}
