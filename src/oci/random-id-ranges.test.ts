import assert from 'node:assert/strict';
import { test } from 'node:test';
import { InvalidParameterError } from '../base/errors.ts';
import {
  ID_END,
  mappingOf,
  parseSubordinateRanges,
  parseUsernsMode,
  rangesOf,
  toContainer,
  toHost,
} from './user-mappings.ts';

const ROUNDS = 5000;

/** xorshift32 with a fixed seed: what fails once fails again. */
function numbers(seed: number): (bound: number) => number {
  let state = seed;
  return (bound) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % bound;
  };
}

const PIECES = [
  'alice',
  'bob',
  '1000',
  ':',
  ':',
  ':',
  '\n',
  '\n',
  '0',
  '1',
  '65536',
  '100000',
  '4294967295',
  '4294967294',
  '-1',
  ' ',
  '#',
  '\r',
  '\t',
  '9999999999',
  '99999999999',
  '1e3',
  '0x10',
  '\u0000',
  '\ud800',
  '\u0661',
  'alice:100000:65536\n',
  'bob:200000:10\n',
];

/** One of a whole form, three times in four. */
function line(below: (bound: number) => number): string {
  if (below(4) !== 0) {
    return `${['alice', 'bob', '1000'][below(3)]}:${below(40) * 1000}:${below(30) * 100}\n`;
  }
  return Array.from({ length: below(8) }, () => PIECES[below(PIECES.length)]).join('');
}

test('whatever subuid(5) holds, what is taken from it is disjoint ranges of IDs without the host root', () => {
  const below = numbers(7);
  let read = 0;
  for (let round = 0; round < ROUNDS; round++) {
    const text = Array.from({ length: below(8) }, () => line(below)).join('');
    try {
      const ranges = rangesOf(parseSubordinateRanges(text, '/etc/subuid'), ['alice', '1000'], '/etc/subuid');
      const mapping = mappingOf(ranges, '/etc/subuid');
      let end = 1;
      let inside = 0;
      for (const { containerID, hostID, size } of mapping) {
        assert.ok(
          Number.isSafeInteger(hostID) && hostID >= end && size >= 1 && hostID + size <= ID_END,
          text,
        );
        assert.equal(containerID, inside, text);
        assert.equal(toHost(mapping, containerID + size - 1), hostID + size - 1);
        assert.equal(toContainer(mapping, hostID), containerID);
        end = hostID + size;
        inside += size;
      }
      assert.equal(toHost(mapping, inside), undefined);
      read += ranges.length > 0 ? 1 : 0;
    } catch (error) {
      assert.ok(error instanceof InvalidParameterError, `${error}: ${JSON.stringify(text)}`);
      assert.match(error.message, /^\/etc\/subuid/);
    }
  }
  assert.ok(read > ROUNDS / 50, `${read} of ${ROUNDS} have ranges`);
});

test('whatever --userns says, it is a mode or refused', () => {
  const below = numbers(11);
  const words = [
    'host',
    'auto',
    'container',
    ':',
    'size=',
    '1',
    '65536',
    '4294967295',
    '4294967296',
    '-',
    ' ',
    '\n',
    'x',
  ];
  for (let round = 0; round < ROUNDS; round++) {
    const text = Array.from({ length: below(5) }, () => words[below(words.length)]).join('');
    try {
      const mode = parseUsernsMode(text);
      if (mode.kind === 'auto') assert.ok(mode.size >= 1 && mode.size <= ID_END, text);
      if (mode.kind === 'container') assert.equal(text, `container:${mode.name}`);
      if (mode.kind === 'host') assert.equal(text, 'host');
    } catch (error) {
      assert.ok(error instanceof InvalidParameterError, `${error}: ${JSON.stringify(text)}`);
    }
  }
});
