/** How long a command of an engine takes, from its start to its end. */
import { spawn } from 'node:child_process';
import type { Engine } from './engines.ts';

/** No command that is measured takes as long as this unless it hangs. */
const LIMIT_MS = 300_000;

/** Throws with what it wrote to stderr where it fails, or does not end. */
export async function timedMs(
  engine: Pick<Engine, 'name' | 'command' | 'env'>,
  args: readonly string[],
): Promise<number> {
  const [file = '', ...flags] = engine.command;
  const startedAt = performance.now();
  const child = spawn(file, [...flags, ...args], {
    env: engine.env,
    stdio: ['ignore', 'ignore', 'pipe'],
    timeout: LIMIT_MS,
    killSignal: 'SIGKILL',
  });
  let errors = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    errors += text;
  });
  const code = await new Promise<number | null>((done, fail) => {
    child.once('error', fail);
    child.once('close', done);
  });
  const elapsedMs = performance.now() - startedAt;
  if (code !== 0)
    throw new Error(
      `${engine.name} ${args.join(' ')}: ${code ?? `ended after ${Math.round(elapsedMs / 1000)} s`}: ${errors}`,
    );
  return elapsedMs;
}
