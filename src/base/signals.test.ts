import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseSignal, signalName } from './signals.ts';

test('signals are named with and without SIG, in any case, or numbered', () => {
  assert.equal(parseSignal('SIGTERM'), 15);
  assert.equal(parseSignal('usr1'), 10);
  assert.equal(parseSignal('9'), 9);
  assert.equal(parseSignal('RTMIN+3'), 37);
  assert.equal(parseSignal('SIGRTMAX-1'), 63);
});

test('what is no signal is refused by name', () => {
  for (const text of ['0', '65', 'RTMAX+1', 'RTMIN-1', 'SIGNOPE', '']) {
    assert.throws(() => parseSignal(text), { kind: 'InvalidParameter', message: `invalid signal: ${text}` });
  }
});

test('a number has a name, real-time signals their number', () => {
  assert.equal(signalName(9), 'KILL');
  assert.equal(signalName(6), 'ABRT');
  assert.equal(signalName(40), '40');
});
