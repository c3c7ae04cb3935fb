import assert from 'node:assert/strict';
import { it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { QueryGate } from './query-gate.ts';

const limits = {
  total: 4,
  perContainer: 3,
  perContainerPerSecond: 1000,
  waitingPerContainer: 5,
  waitMs: 1000,
};

/** Work that ends when told. */
function held(): { work: () => Promise<string>; end: () => void } {
  const { promise, resolve } = Promise.withResolvers<string>();
  return { work: () => promise, end: () => resolve('done') };
}

it('runs what a container may have at a time, lets the rest wait, and turns away what is beyond', async () => {
  const gate = new QueryGate(limits);
  const first = held();
  let started = 0;
  const work = () => {
    started += 1;
    return first.work();
  };
  const runs = Array.from({ length: 10 }, () => gate.run('a', work));
  await sleep(1);
  assert.equal(started, 3);
  first.end();
  const results = await Promise.all(runs);
  assert.equal(results.filter((result) => result === 'done').length, 8);
  assert.equal(started, 8);
});

it('lets containers that wait take turns', async () => {
  const gate = new QueryGate({ ...limits, total: 2 });
  const order: string[] = [];
  const blockers = [held(), held()];
  const running = blockers.map(({ work }) => gate.run('a', work));
  const note = (name: string) =>
    gate.run(name, async () => {
      order.push(name);
      await sleep(1);
    });
  const waiting = ['a', 'a', 'a', 'b', 'b', 'c'].map(note);
  await sleep(1);
  assert.equal(order.length, 0);
  for (const { end } of blockers) end();
  await Promise.all([...running, ...waiting]);
  assert.deepEqual(order.toSorted(), ['a', 'a', 'a', 'b', 'b', 'c']);
  assert.ok(order.indexOf('c') < 4, order.join(' '));
  assert.ok(order.indexOf('b') < 3, order.join(' '));
});

it('drops who waited too long, and everybody of a container that is gone', async () => {
  const gate = new QueryGate({ ...limits, perContainer: 1, waitMs: 20 });
  const first = held();
  const running = gate.run('a', first.work);
  const late = gate.run('a', () => Promise.resolve('late'));
  await sleep(40);
  first.end();
  assert.equal(await running, 'done');
  assert.equal(await late, undefined);
  assert.equal(await gate.run('a', () => Promise.resolve('again')), 'again');
  const second = held();
  const other = gate.run('b', second.work);
  const forgotten = gate.run('b', () => Promise.resolve('late'));
  gate.forget('b');
  assert.equal(await forgotten, undefined);
  second.end();
  assert.equal(await other, 'done');
});

it('gives a place back when the work fails', async () => {
  const gate = new QueryGate({ ...limits, total: 1 });
  await assert.rejects(
    gate.run('a', () => Promise.reject(new Error('no'))),
    /no/,
  );
  assert.equal(await gate.run('b', () => Promise.resolve(1)), 1);
});

it('starts no more in a second than a container may, and the rest as soon as it may', async () => {
  const gate = new QueryGate({
    ...limits,
    perContainerPerSecond: 50,
    waitingPerContainer: 100,
    waitMs: 5000,
  });
  let started = 0;
  const run = (id: string) =>
    gate.run(id, () => {
      started += 1;
      return Promise.resolve(true);
    });
  const begin = performance.now();
  const runs = Array.from({ length: 75 }, () => run('a'));
  await sleep(50);
  const early = started;
  // Fifty at once, and what the time since has earned.
  const allowed = 50 + ((performance.now() - begin) / 1000) * 50;
  assert.ok(early >= 50 && early <= allowed, `${early} of ${allowed}`);
  assert.equal(await run('b'), true);
  assert.deepEqual(await Promise.all(runs), Array(75).fill(true));
  const took = performance.now() - begin;
  assert.ok(took > 400, `${took} ms`);
});
