/**
 * The clock of the process, in all of its threads, goes by what a file says: how many milliseconds it is wrong. What
 * measures time from the process's start (performance.now, timers) goes on, as it does when a machine's clock is set.
 */
import { existsSync, readFileSync } from 'node:fs';
import { getEnvironmentData, isMainThread, setEnvironmentData } from 'node:worker_threads';

const KEY = 'mydock-fault-clock';

if (isMainThread) setEnvironmentData(KEY, new SharedArrayBuffer(8));
const shared = getEnvironmentData(KEY);
const offsetMs = shared instanceof SharedArrayBuffer ? new Float64Array(shared) : new Float64Array(1);

const RightDate = Date;

function now(): number {
  return RightDate.now() + (offsetMs[0] ?? 0);
}

globalThis.Date = new Proxy(RightDate, {
  construct: (target, args: unknown[], newTarget) =>
    Reflect.construct(target, args.length === 0 ? [now()] : args, newTarget) as object,
  get: (target, name, receiver) => (name === 'now' ? now : (Reflect.get(target, name, receiver) as unknown)),
});

/** Nothing changes where there is no file, nor where there is no descriptor to read it with. */
export function setClock(file: string): void {
  if (!existsSync(file)) return;
  try {
    offsetMs[0] = Number(readFileSync(file, 'utf8'));
  } catch {
    // Descriptors are among what is taken away from this process.
  }
}
