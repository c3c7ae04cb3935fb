import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseGpus } from './gpus.ts';

test('--gpus as Docker reads it', () => {
  const plain = { Driver: '', Count: 0, DeviceIDs: [], Capabilities: [['gpu']], Options: {} };
  assert.deepEqual(parseGpus('all'), { ...plain, Count: -1 });
  assert.deepEqual(parseGpus('2'), { ...plain, Count: 2 });
  assert.deepEqual(parseGpus('driver=nvidia'), { ...plain, Driver: 'nvidia', Count: 1 });
  assert.deepEqual(parseGpus('"device=0,GPU-a"'), { ...plain, DeviceIDs: ['0', 'GPU-a'] });
  assert.deepEqual(parseGpus('count=1,"capabilities=utility,compute","options=a=b,c=d"'), {
    ...plain,
    Count: 1,
    Capabilities: [['utility', 'compute', 'gpu']],
    Options: { a: 'b', c: 'd' },
  });
});

test('what --gpus cannot be', () => {
  for (const [text, message] of [
    ['x=1', "unexpected key 'x' in 'x=1'"],
    ['many', 'invalid count (many): value must be either "all" or an integer'],
    ['all,count=1', "gpu request key 'count' can be specified only once"],
  ] as const) {
    assert.throws(() => parseGpus(text), { message });
  }
});
