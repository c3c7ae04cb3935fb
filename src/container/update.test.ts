import assert from 'node:assert/strict';
import { test } from 'node:test';
import { changedLimits, mergeResources } from './update.ts';

test('what is 0, empty or absent stays as it is', () => {
  const current = { Memory: 5, CpuShares: 7, CpusetCpus: '0', RestartPolicy: { Name: 'no' as const } };
  const merged = mergeResources(current, {
    Memory: 0,
    CpusetCpus: '',
    CpuShares: 9,
    RestartPolicy: { Name: '' },
  });
  assert.deepEqual(merged, { ...current, CpuShares: 9 });
});

test('0 and -1 take the limit of processes away, null does not', () => {
  assert.equal(mergeResources({ PidsLimit: 5 }, { PidsLimit: 0 }).PidsLimit, 0);
  assert.equal(mergeResources({ PidsLimit: 5 }, { PidsLimit: -1 }).PidsLimit, 0);
  assert.equal(mergeResources({ PidsLimit: 5 }, { PidsLimit: null }).PidsLimit, 5);
});

test('only limits that differ are written, those that belong together as a pair', () => {
  const before = { Memory: 100, MemorySwap: 200, CpuShares: 512 };
  assert.deepEqual(changedLimits(before, { ...before, Memory: 150, PidsLimit: 9 }), {
    memory: { limit: 150, swap: 200 },
    pids: { limit: 9 },
  });
  assert.deepEqual(changedLimits(before, { ...before, MemorySwap: -1 }), {
    memory: { limit: 100, swap: -1 },
  });
  assert.deepEqual(changedLimits({}, { NanoCpus: 5e8 }), { cpu: { quota: 50_000, period: 100_000 } });
  assert.deepEqual(changedLimits(before, before), {});
});
