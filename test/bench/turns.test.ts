import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type FirstRound, type Measurement, pointRounds, rowRounds, takeTurns } from './turns.ts';

interface Fake {
  readonly name: string;
  readonly roundSec: number;
}

/** A machine whose clock moves by what engines take. */
function measurement(
  plan: (first: FirstRound) => ReturnType<typeof rowRounds>,
  order: string[] = [],
): Measurement<Fake> {
  let clock = 0;
  return {
    name: 'job',
    unit: 's',
    plan,
    measure: (engine) => {
      order.push(engine.name);
      clock += engine.roundSec;
      if (engine.name === 'broken' && order.filter((name) => name === 'broken').length > 2)
        return Promise.reject(new Error('it broke'));
      return Promise.resolve(engine.name === 'absent' ? undefined : engine.roundSec);
    },
    recover: (engine) => {
      order.push(`recover ${engine.name}`);
      return Promise.reject(new Error('nor does this work'));
    },
    now: () => clock,
  };
}

const rows = (first: FirstRound): ReturnType<typeof rowRounds> => rowRounds(10, first);

test('quick rounds are many behind one that does not count; slow ones few', async () => {
  const running = [
    { name: 'quick', roundSec: 1 },
    { name: 'slow', roundSec: 6 },
    { name: 'long', roundSec: 30 },
    { name: 'longest', roundSec: 80 },
  ];
  const order: string[] = [];
  const measured = await takeTurns(running, measurement(rows, order));
  assert.deepEqual(measured.rounds, { quick: 10, slow: 3, long: 3, longest: 2 });
  assert.deepEqual(measured.values, { quick: 1, slow: 6, long: 30, longest: 80 });
  const times = (name: string): number => order.filter((one) => one === name).length;
  assert.deepEqual(
    running.map(({ name }) => times(name)),
    [11, 4, 3, 2],
  );
  assert.deepEqual(order.slice(0, 8), [
    'quick',
    'slow',
    'long',
    'longest',
    'quick',
    'slow',
    'long',
    'longest',
  ]);
});

test('what rounds do not make better is measured once', () => {
  assert.deepEqual(rowRounds(1, { measuredSec: 0.1, wholeSec: 0.1 }), { count: 1, isFirstCounted: true });
});

test('a quick result of a long round does not make it many', () => {
  assert.deepEqual(rowRounds(10, { measuredSec: 0.1, wholeSec: 20 }), { count: 3, isFirstCounted: true });
});

test('points of curves are measured once where a round takes seconds, and a long one is the last', async () => {
  const running = [
    { name: 'quick', roundSec: 1 },
    { name: 'slow', roundSec: 4 },
    { name: 'long', roundSec: 13 },
  ];
  const measured = await takeTurns(
    running,
    measurement((first) => pointRounds(3, first)),
  );
  assert.deepEqual(measured.rounds, { quick: 3, slow: 1, long: 1 });
  assert.deepEqual(measured.exhausted, ['long']);
});

test('an engine that fails, or has nothing to measure, leaves the others their rounds', async () => {
  const order: string[] = [];
  const running = ['broken', 'absent', 'good'].map((name) => ({ name, roundSec: 1 }));
  const measured = await takeTurns(running, measurement(rows, order));
  assert.deepEqual(measured.values, { good: 1 });
  assert.deepEqual(measured.rounds, { good: 10 });
  assert.deepEqual(measured.failures, { broken: 'it broke' });
  assert.deepEqual(measured.exhausted, ['broken']);
  assert.ok(order.includes('recover broken'));
});

test('rounds that become long do not go on for ever', async () => {
  let clock = 0;
  const measured = await takeTurns([{ name: 'one', roundSec: 1 }], {
    ...measurement(rows),
    measure: () => {
      clock += clock === 0 ? 1 : 120;
      return Promise.resolve(1);
    },
    now: () => clock,
  });
  assert.deepEqual(measured.rounds, { one: 3 });
});
