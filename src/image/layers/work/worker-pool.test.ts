import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { type IdleTimes, WorkerPool } from './worker-pool.ts';

const LONG_MS = 600_000;

/** Layer workers of this process. */
function threads(): number {
  return readdirSync('/proc/self/task').filter((id) => nameOf(id) === 'layer-worker').length;
}

function nameOf(id: string): string {
  try {
    return readFileSync(`/proc/self/task/${id}/comm`, 'utf8').trim();
  } catch {
    return ''; // It has ended meanwhile.
  }
}

/** A pool of one place in which two threads have done a job that needs none. */
async function poolAfterTwoJobs(context: TestContext, times: IdleTimes): Promise<WorkerPool> {
  const pool = new WorkerPool(1, times);
  context.after(() => pool.close());
  const job = { kind: 'sync', path: tmpdir() } as const;
  await Promise.all([pool.run(job), pool.run(job)]);
  return pool;
}

async function untilFewerThan(count: number): Promise<void> {
  while (threads() >= count) await sleep(5);
}

test('threads that have worked little end when they are idle', { timeout: 60_000 }, async (context) => {
  await poolAfterTwoJobs(context, { idleMs: 1, warmMs: LONG_MS, warmIdleMs: LONG_MS });
  await untilFewerThan(1);
});

test('of those that have worked long, as many are kept as have places', {
  timeout: 60_000,
}, async (context) => {
  const pool = await poolAfterTwoJobs(context, { idleMs: 1, warmMs: 0, warmIdleMs: LONG_MS });
  await untilFewerThan(2);
  assert.equal(threads(), 1);
  await pool.run({ kind: 'sync', path: tmpdir() });
  assert.equal(threads(), 1);
});
