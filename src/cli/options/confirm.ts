/** The question before something is deleted that cannot be brought back. */
import type { Io } from '../io.ts';

/** Prints the warning and reads one line of stdin: true for `y` and `yes`, also in capitals. */
export async function confirm(io: Io, warning: string): Promise<boolean> {
  io.stdout.write(`${warning}\nAre you sure you want to continue? [y/N] `);
  let text = '';
  for await (const chunk of io.stdin) {
    text += String(chunk);
    if (text.includes('\n')) break;
  }
  return /^(y|yes)$/i.test((text.split('\n')[0] ?? '').trim());
}
