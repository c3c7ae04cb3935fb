/** A few hundred inputs of each target, always the same: that the targets and what they test do not rot. */
import { test } from 'node:test';
import { fuzz } from './run-target.ts';
import { fuzzTargets } from './targets.ts';

for (const target of fuzzTargets) {
  test(`${target.name} takes or refuses what it is given`, () => {
    fuzz(target, { seed: 1, milliseconds: 60_000, casesMax: 300 }, () => undefined);
  });
}
