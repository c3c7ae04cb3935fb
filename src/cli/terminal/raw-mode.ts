/** Raw mode of the user's terminal, and its way back on every path out of the program. */
import { spawnSync } from 'node:child_process';
import type { Input } from '../io.ts';

/**
 * Hands keys through as they are typed, and output as it comes. Returns the function that restores the terminal;
 * it may be called twice. Node itself restores at a normal end, an uncaught error, SIGINT and SIGTERM; SIGHUP and
 * SIGQUIT are handled here.
 */
export function enterRawMode(stdin: Input): () => void {
  if (stdin.isTTY !== true || stdin.setRawMode === undefined) return () => {};
  stdin.setRawMode(true);
  // libuv's raw mode still turns "\n" into "\r\n" on output, which breaks full-screen programs that use "\n" to
  // move the cursor down. Without an stty program the output stays as libuv left it.
  spawnSync('stty', ['-opost'], { stdio: ['inherit', 'ignore', 'ignore'] });
  let raw = true;
  const restore = (): void => {
    if (!raw) return;
    raw = false;
    process.off('SIGHUP', restoreAndDie);
    process.off('SIGQUIT', restoreAndDie);
    stdin.setRawMode?.(false);
  };
  const restoreAndDie = (signal: NodeJS.Signals): void => {
    const proxied = process.listenerCount(signal) > 1;
    if (proxied) return;
    restore();
    process.kill(process.pid, signal);
  };
  process.on('SIGHUP', restoreAndDie);
  process.on('SIGQUIT', restoreAndDie);
  return restore;
}
