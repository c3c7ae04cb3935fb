/** Keeps the size of a container's terminal equal to the user's. */
import type { Client } from '../../client/client.ts';
import type { Io, Output } from '../io.ts';

export interface TerminalSize {
  readonly rows: number;
  readonly columns: number;
}

/** Undefined where the output is no terminal or its size is unknown. */
export function terminalSize(output: Output): TerminalSize | undefined {
  const { rows, columns } = output;
  return output.isTTY === true && rows && columns ? { rows, columns } : undefined;
}

/**
 * Sends the size now and at every change to `path` (`/containers/x/resize`, `/exec/x/resize`). A size that is
 * refused is let go: the process may have ended. Returns the function that stops it.
 */
export function followTerminalSize(client: Client, io: Io, path: string): () => void {
  const send = (): void => {
    const size = terminalSize(io.stdout);
    if (size !== undefined) void resizeTerminal(client, path, size);
  };
  send();
  io.stdout.on('resize', send);
  return () => {
    io.stdout.off('resize', send);
  };
}

/** Never throws. */
export async function resizeTerminal(client: Client, path: string, size: TerminalSize): Promise<void> {
  try {
    await client.json('POST', path, { query: { h: size.rows, w: size.columns } });
  } catch {
    // The process has ended or not yet begun; the next change of size tries again.
  }
}
