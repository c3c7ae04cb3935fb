import assert from 'node:assert/strict';
import { test } from 'node:test';
import { InvalidFilterError, parseFilters, requireKnownFilters, serialiseFilters } from './filters.ts';
import { encodeFrame, encodeFrameHeader, FrameDecoder } from './stream.ts';
import { compareApiVersions } from './version.ts';

test('api versions compare as numbers', () => {
  assert.ok(compareApiVersions('1.9', '1.24') < 0);
  assert.ok(compareApiVersions('1.51', '1.24') > 0);
  assert.equal(compareApiVersions('1.51', '1.51'), 0);
});

test('filters are read in both forms and written as lists', () => {
  const expected = { status: ['running', 'exited'], label: ['a=b'] };
  assert.deepEqual(
    parseFilters('{"status":{"running":true,"exited":true,"dead":false},"label":["a=b"]}'),
    expected,
  );
  assert.deepEqual(parseFilters(serialiseFilters(expected)), expected);
  assert.deepEqual(parseFilters(undefined), {});
  assert.equal(serialiseFilters({}), undefined);
});

test('malformed and unknown filters are refused', () => {
  for (const bad of ['{', '[]', '3', '{"a":3}', '{"a":[1]}']) {
    assert.throws(() => parseFilters(bad), InvalidFilterError, bad);
  }
  assert.throws(() => requireKnownFilters({ nope: ['x'] }, ['status']), /invalid filter 'nope'/);
});

test('frames survive every split of the byte stream', () => {
  const bytes = Buffer.concat([
    encodeFrame(1, Buffer.from('out')),
    encodeFrame(2, Buffer.from('')),
    encodeFrame(2, Buffer.from('error')),
    encodeFrameHeader(1, 1),
    Buffer.from('!'),
  ]);
  for (let size = 1; size <= bytes.length; size++) {
    const got: Record<number, string> = {};
    const decoder = new FrameDecoder((code, payload) => {
      got[code] = (got[code] ?? '') + payload.toString();
    });
    for (let at = 0; at < bytes.length; at += size) decoder.push(bytes.subarray(at, at + size));
    assert.deepEqual(got, { 1: 'out!', 2: 'error' });
    assert.equal(decoder.complete, true);
  }
});

test('a cut frame is seen, a raw stream is refused', () => {
  const decoder = new FrameDecoder(() => {});
  decoder.push(encodeFrameHeader(1, 5));
  assert.equal(decoder.complete, false);
  assert.throws(() => new FrameDecoder(() => {}).push(Buffer.from('plain text')), /unknown stream code 112/);
});
