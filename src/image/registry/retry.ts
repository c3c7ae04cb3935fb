/** Which failures of a registry pass by themselves, and how long to wait before asking again. */
import { setTimeout as delay } from 'node:timers/promises';
import { RegistryError, TransportError } from './errors.ts';

/** A registry that asks for a longer pause is told to the user instead of waited for. */
const MAX_RETRY_AFTER_MS = 60_000;
const MAX_DELAY_MS = 30_000;

/** A wrong address or wrong TLS settings do not get better by trying again. */
const PERMANENT_CODES = new Set([
  'ENOTFOUND',
  'REDIRECTS',
  'ERR_INVALID_URL',
  'ERR_TLS_CERT_ALTNAME_INVALID',
]);

/** Worth another attempt only where the registry answered before. */
const UNREACHABLE_CODES = new Set(['ECONNREFUSED', 'EHOSTUNREACH', 'ENETUNREACH', 'ETIMEDOUT', 'STALLED']);

export interface RetryPolicy {
  /** Attempts altogether. */
  attempts: number;
  /** Pause before the second attempt; it doubles with each. */
  delayMs: number;
  /** The registry was reached before, so that a refused connection is a registry that restarts. Default false. */
  established?: boolean;
}

/**
 * Milliseconds to wait after the given failure, the first being 1; undefined where another attempt is useless.
 * A little randomness keeps clients that failed together from coming back together.
 */
export function retryDelayMs(error: unknown, failures: number, policy: RetryPolicy): number | undefined {
  if (failures >= policy.attempts) return undefined;
  const backoff = Math.min(MAX_DELAY_MS, policy.delayMs * 2 ** (failures - 1));
  const jittered = backoff * (0.8 + 0.4 * Math.random());
  if (error instanceof RegistryError) {
    const passing =
      error.status === 408 || error.status === 429 || (error.status >= 500 && error.status !== 501);
    if (!passing || (error.retryAfterMs ?? 0) > MAX_RETRY_AFTER_MS) return undefined;
    return Math.max(error.retryAfterMs ?? 0, jittered);
  }
  if (!(error instanceof TransportError)) return undefined;
  const { code } = error;
  const tls = code.startsWith('ERR_SSL_') || /CERT|SIGNATURE|ISSUER/.test(code);
  if (PERMANENT_CODES.has(code) || tls) return undefined;
  if (UNREACHABLE_CODES.has(code) && policy.established !== true) return undefined;
  return jittered;
}

/** Runs `attempt` until it succeeds or its failure is not worth another one. */
export async function withRetries<T>(
  policy: RetryPolicy,
  signal: AbortSignal,
  attempt: () => Promise<T>,
): Promise<T> {
  for (let failures = 1; ; failures += 1) {
    try {
      return await attempt();
    } catch (error) {
      signal.throwIfAborted();
      const waitMs = retryDelayMs(error, failures, policy);
      if (waitMs === undefined) throw error;
      await pause(waitMs, signal);
    }
  }
}

/** Waits; rejects with the signal's reason. */
export async function pause(ms: number, signal: AbortSignal): Promise<void> {
  try {
    await delay(ms, undefined, { signal });
  } catch (error) {
    signal.throwIfAborted();
    throw error;
  }
}

/** `Retry-After` (RFC 9110, section 10.2.3): seconds or a date. Undefined where it is absent or senseless. */
export function parseRetryAfter(header: string | null, nowMs: number = Date.now()): number | undefined {
  if (header === null) return undefined;
  const text = header.trim();
  if (/^\d{1,9}$/.test(text)) return Number(text) * 1000;
  const date = Date.parse(text);
  return Number.isNaN(date) ? undefined : Math.max(0, date - nowMs);
}
