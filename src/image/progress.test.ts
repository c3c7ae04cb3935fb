import assert from 'node:assert/strict';
import { test } from 'node:test';
import { humanSize, ProgressMeter, type PullProgress, progressBar } from './progress.ts';

test('sizes and bars look as Docker prints them', () => {
  assert.deepEqual([0, 999, 1000, 1_466_000_000, 28_230_000].map(humanSize), [
    '0B',
    '999B',
    '1kB',
    '1.466GB',
    '28.23MB',
  ]);
  assert.equal(progressBar(0, 100), `[>${' '.repeat(50)}]       0B/100B`);
  assert.equal(progressBar(50, 100), `[${'='.repeat(25)}>${' '.repeat(25)}]      50B/100B`);
  assert.equal(progressBar(100, 100), `[${'='.repeat(50)}>]     100B/100B`);
  assert.equal(progressBar(2_000_000, 0), '     2MB');
});

test('a meter thins out, but always tells the end', () => {
  const messages: PullProgress[] = [];
  const meter = new ProgressMeter('abc', 'Downloading', 10, (message) => messages.push(message));
  for (let i = 1; i <= 10; i += 1) meter.update(i);
  assert.deepEqual(
    messages.map(({ progressDetail }) => progressDetail?.current),
    [1, 10],
  );
  assert.deepEqual([messages[0]?.id, messages[0]?.status], ['abc', 'Downloading']);
});
