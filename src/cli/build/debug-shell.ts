/** `--on-error shell`: a terminal in the state of the step that failed. */
import type { Client } from '../../client/client.ts';
import { type Io, printError } from '../io.ts';
import { followTerminalSize, terminalSize } from '../terminal/resize.ts';
import { copyStreams } from '../terminal/stream-copy.ts';

/** Returns when the shell has ended; the state is let go then. */
export async function debugShell(client: Client, io: Io, step: string): Promise<void> {
  const path = `/build/debug/${encodeURIComponent(step)}`;
  printError(
    io,
    'A shell in the step that failed, as it was then. Leave it with "exit" or ctrl-d; nothing of it is kept.',
  );
  const size = terminalSize(io.stdout);
  let stopResize: (() => void) | undefined;
  try {
    const query = size === undefined ? {} : { h: size.rows, w: size.columns };
    const stream = await client.hijack(path, { query });
    stopResize = followTerminalSize(client, io, `${path}/resize`);
    await copyStreams(io, stream, { tty: true, stdin: true });
  } finally {
    stopResize?.();
    await client.json('DELETE', path);
  }
}
