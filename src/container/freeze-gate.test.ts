import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FreezeGate } from './freeze-gate.ts';

test('a freeze waits for the starts under way, also where they fail, and later starts wait for the freeze', async () => {
  const gate = new FreezeGate();
  const order: string[] = [];
  const first = Promise.withResolvers<void>();
  const second = Promise.withResolvers<void>();
  const starts = [
    gate.start(async () => {
      await first.promise;
      order.push('first start');
    }),
    gate.start(() => second.promise),
  ];
  const thawed = Promise.withResolvers<void>();
  const freeze = gate.freeze(async () => {
    order.push('freeze');
    await thawed.promise;
    order.push('frozen');
  });
  const late = gate.start(async () => {
    order.push('late start');
  });
  first.resolve();
  await starts[0];
  second.reject(new Error('no such program'));
  await assert.rejects(starts[1] ?? Promise.resolve(), /no such program/);
  thawed.resolve();
  await Promise.all([freeze, late]);
  assert.deepEqual(order, ['first start', 'freeze', 'frozen', 'late start']);
});

test('a freeze that fails lets starts through again', async () => {
  const gate = new FreezeGate();
  await assert.rejects(
    gate.freeze(() => Promise.reject(new Error('no cgroup'))),
    /no cgroup/,
  );
  assert.equal(await gate.start(async () => 'started'), 'started');
});
