/**
 * `make fuzz`, the part in TypeScript: every target for its part of SECONDS, each in a thread whose memory is limited and
 * that is ended where one input takes a minute. SEED (printed) repeats a run; TARGET picks one. An input that does not
 * hold lies in build/fuzz afterwards.
 */
import { mkdirSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { Worker } from 'node:worker_threads';
import { fuzzTargets } from './targets.ts';

const HANG_MS = 60_000;
const HEAP_MAX_MIB = 512;

const seconds = Number(process.env['SECONDS'] ?? 60);
const seed = Number(process.env['SEED'] ?? Date.now() % 1_000_000);
const wanted = process.env['TARGET'] ?? '';
const folder = resolve(import.meta.dirname, '../../build/fuzz');
const targets = fuzzTargets.filter(({ name }) => wanted === '' || name === wanted);
const milliseconds = (seconds * 1000) / targets.length;

function run(name: string): Promise<string | undefined> {
  return new Promise((done) => {
    const caseFile = join(folder, `${name}-${seed}`);
    const worker = new Worker(join(import.meta.dirname, 'worker.ts'), {
      workerData: { name, seed, milliseconds, caseFile },
      resourceLimits: { maxOldGenerationSizeMb: HEAP_MAX_MIB },
    });
    const timer = setTimeout(() => {
      done(`${name}: an input takes longer than ${HANG_MS} ms`);
      void worker.terminate();
    }, milliseconds + HANG_MS);
    worker.once('error', (error) => {
      const cause = error.cause instanceof Error ? `\n${error.cause.stack}` : '';
      done(`${error.message}${cause}\nthe input: ${caseFile}`);
    });
    worker.once('exit', () => {
      clearTimeout(timer);
      done(undefined);
    });
  });
}

mkdirSync(folder, { recursive: true });
console.log(`seed ${seed}, ${(milliseconds / 1000).toFixed(1)} s a target`);
for (const { name } of targets) {
  const problem = await run(name);
  if (problem === undefined) continue;
  console.log(problem);
  process.exitCode = 1;
}
