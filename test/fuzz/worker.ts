/** The thread that main.ts runs one target in: changes of its inputs until the time is up, or until one does not hold. */
import { writeFileSync } from 'node:fs';
import { workerData } from 'node:worker_threads';
import { fuzz } from './run-target.ts';
import { fuzzTargets } from './targets.ts';

const { name, seed, milliseconds, caseFile } = workerData as {
  name: string;
  seed: number;
  milliseconds: number;
  caseFile: string;
};
const target = fuzzTargets.find((one) => one.name === name);
if (target === undefined) throw new Error(`no target ${name}`);
const cases = fuzz(target, { seed, milliseconds, casesMax: Number.POSITIVE_INFINITY }, (input) =>
  writeFileSync(caseFile, input),
);
console.log(`${name}: ${cases} inputs, none does not hold`);
