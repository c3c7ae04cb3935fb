/** Output is clipped once, wherever its pieces end, and its last lines are kept. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { StepOutput } from './step-output.ts';

const MIB = 1024 * 1024;

test('what is too much is dropped, and that is said once', () => {
  for (const sizes of [
    [MIB, 10, 10],
    [MIB - 1, 10, 10],
    [2 * MIB, 10],
  ]) {
    const logged: string[] = [];
    const output = new StepOutput({ log: (data) => logged.push(Buffer.from(data).toString()) }, MIB);
    for (const size of sizes) output.write(Buffer.alloc(size, 'x'), 'stdout');
    const text = logged.join('');
    assert.equal(text.match(/\[output clipped, log limit 1MiB reached\]/g)?.length, 1, sizes.join());
    assert.equal(text.match(/x+/)?.[0]?.length, MIB, sizes.join());
  }
});

test('the last lines are whole, few, and bounded', () => {
  const output = new StepOutput({ log: () => undefined });
  for (let i = 0; i < 5000; i++) output.write(Buffer.from(`line ${i}\n`), i % 2 === 0 ? 'stdout' : 'stderr');
  const lines = output.lastLines().split('\n');
  assert.deepEqual([lines.length, lines[0], lines.at(-1)], [20, 'line 4980', 'line 4999']);
  output.write(Buffer.alloc(MIB, 'y'), 'stdout');
  assert.equal(output.lastLines().length, 8192);
});
