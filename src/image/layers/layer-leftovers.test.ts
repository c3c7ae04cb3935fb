/** What a failed call leaves is removed in the background where it takes long, and no end of the daemon waits for it. */
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { LayerLeftovers } from './layer-leftovers.ts';
import { archiveAddon } from './native-archive.ts';
import { byteString } from './tar/byte-string.ts';
import { WorkerPool } from './work/worker-pool.ts';
import { type Job, NO_RESULT } from './work/worker-protocol.ts';

test('a tree goes, and one that is not there is no error', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'mydock-leftovers-'));
  const pool = new WorkerPool();
  const leftovers = new LayerLeftovers(pool);
  try {
    mkdirSync(join(folder, 'a/b'), { recursive: true });
    writeFileSync(join(folder, 'a/b/c'), '');
    await leftovers.removeOrLeave(join(folder, 'a'));
    await leftovers.remove(join(folder, 'a'));
    assert.deepEqual(readdirSync(folder), []);
  } finally {
    await leftovers.close();
    await pool.close();
    rmSync(folder, { recursive: true });
  }
});

test('a removal that is told to stop leaves the rest, and says so', () => {
  const folder = mkdtempSync(join(tmpdir(), 'mydock-leftovers-'));
  try {
    mkdirSync(join(folder, 'a/b'), { recursive: true });
    const stop = new Int32Array(new SharedArrayBuffer(4));
    stop[0] = 1;
    const path = byteString(join(folder, 'a'));
    assert.throws(() => archiveAddon().archiveRemoveTree(path, stop), { code: 'ECANCELED' });
    assert.ok(existsSync(join(folder, 'a/b')));
    stop[0] = 0;
    archiveAddon().archiveRemoveTree(path, stop);
    assert.deepEqual(readdirSync(folder), []);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

/** Removes for ever, until it is told to stop. */
async function removeForEver(job: Job): Promise<typeof NO_RESULT> {
  assert.ok(job.kind === 'remove' && job.stop !== undefined);
  while (Atomics.load(job.stop, 0) === 0) await new Promise((resolve) => setTimeout(resolve, 10));
  throw Object.assign(new Error('canceled'), { code: 'ECANCELED' });
}

test('whoever gives up does not wait for many files; the end stops their removal', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'mydock-leftovers-'));
  try {
    mkdirSync(join(folder, 'a'));
    for (let i = 0; i < 3000; i++) writeFileSync(join(folder, `a/${i}`), '');
    let ended = false;
    const leftovers = new LayerLeftovers({
      run: (job) =>
        removeForEver(job).finally(() => {
          ended = true;
        }),
    });
    await leftovers.removeOrLeave(folder);
    assert.equal(ended, false);
    await leftovers.close();
    assert.equal(ended, true);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('what cannot be removed at first is tried again, and not any more after the end', async () => {
  const tried: string[] = [];
  const { promise: gone, resolve } = Promise.withResolvers<void>();
  const leftovers = new LayerLeftovers({
    run: async (job: Job): Promise<typeof NO_RESULT> => {
      assert.ok(job.kind === 'remove');
      tried.push(job.path);
      if (job.path === '/second' || tried.length === 1)
        throw Object.assign(new Error('EMFILE: too many open files'), { code: 'EMFILE' });
      resolve();
      return NO_RESULT;
    },
  });
  await leftovers.remove('/first');
  // The timer keeps no daemon up, nor this test.
  const waiting = setTimeout(() => undefined, 60_000);
  await gone;
  await leftovers.remove('/second');
  await leftovers.close();
  await leftovers.remove('/second');
  clearTimeout(waiting);
  assert.deepEqual(tried, ['/first', '/first', '/second', '/second']);
});
