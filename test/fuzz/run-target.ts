/**
 * Runs one target over changes of its seeds. Whatever is thrown must be an error that the parser refuses inputs with, no
 * input may take two seconds of the processor, and none more memory than a bound.
 */
import { Random } from '../soak/random.ts';
import { mutate } from './mutate.ts';
import type { FuzzTarget } from './target.ts';

const CASE_MAX_MS = 2000;
/** Of buffers, which the thread's limit on its heap does not count. */
const BUFFERS_MAX_BYTES = 256 * 1024 * 1024;
/** Inputs that were let through are changed further, these many of them. */
const KEPT = 200;

/** The number of inputs that were run. Throws for the first that does not hold; `keep` is then given it. */
export function fuzz(
  target: FuzzTarget,
  limits: { seed: number; milliseconds: number; casesMax: number },
  keep: (input: Buffer) => void,
): number {
  const random = new Random(limits.seed);
  const pool = [...target.seeds];
  const endMs = performance.now() + limits.milliseconds;
  let cases = 0;
  for (const seed of target.seeds) check(target, seed, keep);
  for (; cases < limits.casesMax && performance.now() < endMs; cases++) {
    const input = mutate(random.pick(pool) ?? Buffer.alloc(0), target.words, random);
    if (!check(target, input, keep)) continue;
    if (pool.length < target.seeds.length + KEPT) pool.push(input);
    else pool[target.seeds.length + random.below(KEPT)] = input;
  }
  return cases;
}

/** Whether the target takes the input; false: it refuses it. */
function check(target: FuzzTarget, input: Buffer, keep: (input: Buffer) => void): boolean {
  const before = process.threadCpuUsage();
  let taken = true;
  try {
    target.run(input);
  } catch (error) {
    const name =
      error instanceof Error ? ('kind' in error ? String(error.kind) : error.constructor.name) : '';
    const known = error instanceof Error && target.refusals.includes(name);
    const isFault = ['TypeError', 'RangeError', 'SyntaxError', 'ReferenceError'].includes(name) && !known;
    if (!known && (isFault || !target.refusals.includes('Error'))) {
      keep(input);
      throw new Error(`${target.name}: ${name} is no refusal`, { cause: error });
    }
    taken = false;
  }
  const { user, system } = process.threadCpuUsage(before);
  const ms = (user + system) / 1000;
  const { external } = process.memoryUsage();
  if (ms > CASE_MAX_MS || external > BUFFERS_MAX_BYTES) {
    keep(input);
    throw new Error(
      `${target.name}: an input of ${input.length} bytes took ${ms} ms, buffers have ${external} bytes`,
    );
  }
  return taken;
}
