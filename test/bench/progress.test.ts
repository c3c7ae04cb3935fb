import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Progress } from './progress.ts';

test('what is left is scaled by how the run has gone so far; its time is over at the limit', () => {
  let now = 1000;
  const parts = [{ expectedSec: 10 }, { expectedSec: 60 }, { expectedSec: 120 }] as const;
  const progress = new Progress(parts, 300, () => now);
  assert.equal(progress.begin('one'), '[1 of 3, about 3 min left] one');
  now += 20;
  progress.end(parts[0], 1000);
  // Twice as slow as expected, so that 180 s are 360.
  assert.equal(progress.begin('two'), '[2 of 3, about 6 min left] two');
  now += 60;
  progress.end(parts[1], 1020);
  assert.equal(progress.begin('three'), '[3 of 3, about 2 min left] three');
  assert.equal(progress.isOver, false);
  now = 1300;
  assert.equal(progress.isOver, true);
});
