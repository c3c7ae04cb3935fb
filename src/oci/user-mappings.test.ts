import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  freeRange,
  mappingOf,
  mapText,
  parseSubordinateRanges,
  parseUsernsMode,
  rangesOf,
  toContainer,
  toHost,
} from './user-mappings.ts';

test('the words of --userns', () => {
  assert.deepEqual(parseUsernsMode(''), { kind: 'default' });
  assert.deepEqual(parseUsernsMode('host'), { kind: 'host' });
  assert.deepEqual(parseUsernsMode('auto'), { kind: 'auto', size: 65536 });
  assert.deepEqual(parseUsernsMode('auto:size=1000'), { kind: 'auto', size: 1000 });
  assert.deepEqual(parseUsernsMode('container:web'), { kind: 'container', name: 'web' });
  for (const wrong of [
    'private',
    'auto:',
    'auto:size=0',
    'auto:size=-1',
    'auto:size=9999999999',
    'container:',
    'keep-id',
  ]) {
    assert.throws(() => parseUsernsMode(wrong), new RegExp(`invalid user namespace mode "${wrong}"`));
  }
});

test('ranges of a user, by name and number, several lines', () => {
  const text = '# none\n\nalice:100000:65536\n1000:300000:10\nbob:200000:65536\nalice:165536:4\n';
  const all = parseSubordinateRanges(text, '/etc/subuid');
  const ranges = rangesOf(all, ['alice', '1000'], '/etc/subuid');
  assert.equal(
    mapText(mappingOf(ranges, '/etc/subuid')),
    '0 100000 65536\n65536 165536 4\n65540 300000 10\n',
  );
  assert.deepEqual(rangesOf(all, ['carol'], '/etc/subuid'), []);
});

test('broken ranges are refused by line', () => {
  for (const line of [
    'alice:100000',
    'alice:x:1',
    'alice:1:0',
    'alice:4294967294:2',
    ':1:1',
    'alice:1:1:1',
  ]) {
    assert.throws(
      () => parseSubordinateRanges(`a:1:1\n${line}`, '/etc/subuid'),
      /\/etc\/subuid, line 2: ".*" is no range/,
    );
  }
  const overlap = parseSubordinateRanges('a:100:10\na:105:1\n', 'f');
  assert.throws(() => rangesOf(overlap, ['a'], 'f'), /f: ranges of "a" overlap at 105/);
  assert.throws(() => rangesOf(parseSubordinateRanges('a:0:10', 'f'), ['a'], 'f'), /holds root of the host/);
});

test('IDs of the host and of the container', () => {
  const mappings = [
    { containerID: 0, hostID: 100_000, size: 10 },
    { containerID: 10, hostID: 500, size: 5 },
  ];
  assert.deepEqual(
    [0, 9, 10, 14, 15].map((id) => toHost(mappings, id)),
    [100_000, 100_009, 500, 504, undefined],
  );
  assert.deepEqual(
    [100_000, 504, 505, 0].map((id) => toContainer(mappings, id)),
    [0, 14, undefined, undefined],
  );
});

test('the first gap that is large enough, never one that somebody has', () => {
  const pool = [
    { first: 100, size: 50 },
    { first: 1000, size: 100 },
  ];
  const find = (size: number, ...taken: [number, number][]) =>
    freeRange(
      pool,
      taken.map(([first, length]) => ({ first, size: length })),
      size,
    )?.first;
  assert.equal(find(50), 100);
  assert.equal(find(51), 1000);
  assert.equal(find(101), undefined);
  assert.equal(find(10, [100, 10], [115, 10]), 125);
  assert.equal(find(5, [115, 10], [100, 10]), 110);
  assert.equal(find(10, [90, 15], [100, 45]), 1000);
  assert.equal(find(50, [120, 1], [1040, 20]), undefined);
});
