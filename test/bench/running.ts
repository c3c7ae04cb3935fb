/** Containers that run while something else is timed, and the verbs that are timed on one of them. */
import { drive, type Engine } from './engines.ts';
import { timedMs } from './timed.ts';

const AT_ONCE = 4;
/** Ends at once when it is asked to: the wait of a shell is interrupted by signals. */
const OBEDIENT = ['sh', '-c', 'trap "exit 0" TERM; sleep 1000 & wait'];

const counts = new Map<Engine, number>();

/** Brings the number of containers that were started here to `count`, where there are fewer. */
export async function keepRunning(engine: Engine, image: string, count: number): Promise<void> {
  let have = counts.get(engine) ?? 0;
  const starter = async (): Promise<void> => {
    while (have < count) {
      have += 1;
      await timedMs(engine, ['run', '-d', image, 'sleep', '10000']);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, starter));
  counts.set(engine, have);
}

/** All containers of the engine are gone after this. */
export function removeAll(engine: Engine): void {
  const listed = (...flags: string[]): string[] =>
    drive(engine, 'ps', '--no-trunc', '-q', ...flags)
      .split('\n')
      .filter((id) => id !== '');
  // Killed first: some engines wait for the stop timeout before they remove by force.
  const running = listed();
  if (running.length > 0) drive(engine, 'kill', ...running);
  const all = listed('-a');
  if (all.length > 0) drive(engine, 'rm', '-f', ...all);
  counts.delete(engine);
  targets.delete(engine);
}

const targets = new Map<Engine, string>();

/** `exec` of nothing in a container that runs for the purpose. */
export async function execMs(engine: Engine, image: string): Promise<number> {
  const id = targets.get(engine) ?? drive(engine, 'run', '-d', image, 'sleep', '10000');
  targets.set(engine, id);
  return await timedMs(engine, ['exec', id, 'true']);
}

/** `stop` of a container whose process obeys at once. */
export async function stopMs(engine: Engine, image: string): Promise<number> {
  const id = drive(engine, 'run', '-d', image, ...OBEDIENT);
  // Its shell has to have come as far as to listen.
  drive(engine, 'exec', id, 'sh', '-c', 'until pidof sleep > /dev/null; do :; done');
  const elapsedMs = await timedMs(engine, ['stop', id]);
  drive(engine, 'rm', '-f', id);
  return elapsedMs;
}
