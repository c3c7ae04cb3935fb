import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FDS_AT_ONCE, KEY_MAX_BYTES, KEYS_AT_ONCE_BYTES } from './channel.ts';
import { portions } from './offer.ts';

test('what is handed over is cut into messages of bounded length, in order', () => {
  const short = Array.from({ length: 2 * FDS_AT_ONCE + 1 }, (_, fd): [string, number] => [`key ${fd}`, fd]);
  assert.deepEqual(
    portions(short).map(({ length }) => length),
    [FDS_AT_ONCE, FDS_AT_ONCE, 1],
  );
  assert.deepEqual(portions(short).flat(), short);
  assert.deepEqual(portions([]), []);
  // A client decides what it asks for, and so how long its key is: quotes take two bytes in JSON.
  const long = Array.from({ length: 20 }, (_, fd): [string, number] => [
    `${fd}${'"'.repeat(KEY_MAX_BYTES / 4)}`,
    fd,
  ]);
  for (const portion of portions(long)) {
    const bytes = Buffer.byteLength(JSON.stringify(portion.map(([key]) => key)));
    assert.ok(bytes < KEYS_AT_ONCE_BYTES + 1024, String(bytes));
  }
  assert.deepEqual(portions(long).flat(), long);
});

test('one whose key is too long is left out', () => {
  const all: [string, number][] = [
    ['a', 1],
    ['"'.repeat(KEY_MAX_BYTES / 2 + 1), 2],
    ['b', 3],
  ];
  assert.deepEqual(portions(all).flat(), [
    ['a', 1],
    ['b', 3],
  ]);
});
