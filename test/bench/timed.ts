/** How long a command of an engine takes, from its start to its end. */
import { spawn } from 'node:child_process';
import type { Engine } from './engines.ts';

/** Throws with what it wrote to stderr where it fails. */
export async function timedMs(
  engine: Pick<Engine, 'name' | 'command' | 'env'>,
  args: readonly string[],
): Promise<number> {
  const [file = '', ...flags] = engine.command;
  const startedAt = performance.now();
  const child = spawn(file, [...flags, ...args], { env: engine.env, stdio: ['ignore', 'ignore', 'pipe'] });
  let errors = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    errors += text;
  });
  const code = await new Promise<number | null>((done, fail) => {
    child.once('error', fail);
    child.once('close', done);
  });
  const elapsedMs = performance.now() - startedAt;
  if (code !== 0) throw new Error(`${engine.name} ${args.join(' ')}: ${code}: ${errors}`);
  return elapsedMs;
}
