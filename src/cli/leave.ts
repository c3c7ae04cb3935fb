/** The end of the process, when nothing is left to do: without Node's own, which takes its heap apart block by block. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';

/** Ends the process with its exit code where leave.node is beside the program; else returns, and Node ends it. */
export function leave(): void {
  const path = join(import.meta.dirname, 'leave.node');
  if (!existsSync(path)) return;
  const code = Number(process.exitCode ?? 0);
  const module: { exports: unknown } = { exports: {} };
  process.dlopen(module as NodeJS.Module, path);
  process.emit('exit', code);
  (module.exports as (code: number) => never)(code);
}
