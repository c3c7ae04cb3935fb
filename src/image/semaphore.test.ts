import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Semaphore } from './semaphore.ts';

test('slots are handed on in order, and whoever gives up loses none', async () => {
  const semaphore = new Semaphore(1);
  const signal = new AbortController().signal;
  await semaphore.acquire(signal);
  assert.equal(semaphore.tryAcquire(), false);
  const order: number[] = [];
  const cancelled = new AbortController();
  const gone = semaphore.acquire(cancelled.signal);
  const first = semaphore.acquire(signal).then(() => order.push(1));
  const second = semaphore.acquire(signal).then(() => order.push(2));
  cancelled.abort(new Error('gone'));
  await assert.rejects(gone, /gone/);
  semaphore.release();
  await first;
  assert.deepEqual(order, [1]);
  semaphore.release();
  await second;
  semaphore.release();
  assert.equal(semaphore.tryAcquire(), true);
});
