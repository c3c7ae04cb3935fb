import assert from 'node:assert/strict';
import { test } from 'node:test';
import { codedError, parseErrorResponse, TransportError } from './errors.ts';
import { parseRetryAfter, retryDelayMs, withRetries } from './retry.ts';

const POLICY = { attempts: 5, delayMs: 100 };

test('what passes by itself is tried again, later and later', () => {
  const reset = new TransportError('reset', 'ECONNRESET');
  const delays = [1, 2, 3, 4].map((failures) => retryDelayMs(reset, failures, POLICY) ?? 0);
  delays.forEach((delay, i) => {
    assert.ok(delay >= 80 * 2 ** i && delay <= 120 * 2 ** i, `${i}: ${delay}`);
  });
  assert.equal(retryDelayMs(reset, 5, POLICY), undefined);
});

test('what does not pass is not tried again', () => {
  const permanent = [
    new TransportError('x', 'ENOTFOUND'),
    new TransportError('x', 'SELF_SIGNED_CERT_IN_CHAIN'),
    new TransportError('x', 'CERT_HAS_EXPIRED'),
    new TransportError('x', 'ECONNREFUSED'),
    codedError(404, 'MANIFEST_UNKNOWN'),
    codedError(401, 'UNAUTHORIZED'),
    new Error('bug'),
    parseErrorResponse(429, '', '', 3_600_000),
  ];
  for (const error of permanent) assert.equal(retryDelayMs(error, 1, POLICY), undefined, String(error));
  const refused = new TransportError('x', 'ECONNREFUSED');
  assert.ok(retryDelayMs(refused, 1, { ...POLICY, established: true }) !== undefined);
});

test('Retry-After is honoured', () => {
  assert.equal(retryDelayMs(parseErrorResponse(429, '', '', 5000), 1, POLICY), 5000);
  assert.equal(parseRetryAfter('7'), 7000);
  assert.equal(parseRetryAfter('Wed, 21 Oct 2015 07:28:00 GMT', Date.UTC(2015, 9, 21, 7, 27, 30)), 30_000);
  assert.equal(parseRetryAfter('soon'), undefined);
  assert.equal(parseRetryAfter(null), undefined);
});

test('waiting for another attempt can be given up', async () => {
  const cancelled = new AbortController();
  const running = withRetries({ attempts: 5, delayMs: 60_000 }, cancelled.signal, () =>
    Promise.reject(new TransportError('x', 'ECONNRESET')),
  );
  cancelled.abort(new Error('enough'));
  await assert.rejects(running, /enough/);
});
