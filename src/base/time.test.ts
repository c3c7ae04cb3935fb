import assert from 'node:assert/strict';
import { test } from 'node:test';
import { rfc3339Ns, unixSecondsNs } from './time.ts';

test('RFC 3339 with and without fraction and zone', () => {
  assert.equal(rfc3339Ns('1970-01-01T00:00:01.000000002Z'), 1_000_000_002n);
  assert.equal(rfc3339Ns('1970-01-01T01:00:00+01:00'), 0n);
  assert.equal(rfc3339Ns('1970-01-01T00:00:00.5Z'), 500_000_000n);
  assert.equal(rfc3339Ns('yesterday'), undefined);
  assert.equal(rfc3339Ns('2026-13-01T00:00:00Z'), undefined);
});

test('Unix seconds with a fraction', () => {
  assert.equal(unixSecondsNs('1.000000002'), 1_000_000_002n);
  assert.equal(unixSecondsNs('12'), 12_000_000_000n);
  assert.equal(unixSecondsNs('-1.5'), -1_500_000_000n);
  assert.equal(unixSecondsNs('1h'), undefined);
});
