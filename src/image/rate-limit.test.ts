/** The limit holds for all together, over any time; an abort ends the wait. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Clock, RateLimit } from './rate-limit.ts';

/** Time that passes only where somebody waits. */
function fakeClock(): Clock & { now: number } {
  const clock = {
    now: 0,
    nowMs: () => clock.now,
    pause: async (ms: number) => {
      const until = clock.now + ms;
      await Promise.resolve();
      clock.now = Math.max(clock.now, until);
    },
  };
  return clock;
}

test('bytes take their time, whoever sends them', async () => {
  const clock = fakeClock();
  const limit = new RateLimit(1000, clock);
  const signal = new AbortController().signal;
  for (let i = 0; i < 10; i += 1) await limit.take(500, signal);
  assert.equal(clock.now, 5000);
  await Promise.all([limit.take(1000, signal), limit.take(1000, signal), limit.take(2000, signal)]);
  assert.equal(clock.now, 9000);
});

test('a second at most is saved up', async () => {
  const clock = fakeClock();
  const limit = new RateLimit(1000, clock);
  const signal = new AbortController().signal;
  clock.now = 60_000;
  await limit.take(1000, signal);
  assert.equal(clock.now, 60_000);
  await limit.take(1000, signal);
  assert.equal(clock.now, 61_000);
});

test('an abort ends the wait', async () => {
  const limit = new RateLimit(1);
  const abort = new AbortController();
  const waiting = limit.take(1_000_000, abort.signal);
  abort.abort(new Error('enough'));
  await assert.rejects(waiting, /enough/);
  await assert.rejects(limit.take(1, abort.signal), /enough/);
});
