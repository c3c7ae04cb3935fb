/** `mydock __complete WORDS…`, which the shells' scripts call. */
import type { Client } from '../../client/client.ts';
import { parseCommandLine } from '../flags/parse.ts';
import { type GlobalOptions, globalFlags } from '../global-flags.ts';
import type { Io } from '../io.ts';
import { complete } from './complete.ts';

/** How long a shell's user waits for names of objects. */
const COMPLETION_TIMEOUT_MS = 2000;

/** Global flags among the words win over `globals`. Silent whatever goes wrong: a message would end up in the line that the user types. */
export async function printCompletion(
  words: readonly string[],
  globals: GlobalOptions,
  io: Io,
): Promise<number> {
  let client: Client | undefined;
  let timer: NodeJS.Timeout | undefined;
  const timeout = new Promise<never[]>((resolve) => {
    timer = setTimeout(resolve, COMPLETION_TIMEOUT_MS, []);
  });
  try {
    const program = globalFlags();
    const line = parseCommandLine(program, words.slice(0, -1), true);
    const found = complete({
      before: line.args,
      current: words.at(-1) ?? '',
      globalFlags: program.flags,
      async client() {
        const { openClient } = await import('../open-client.ts');
        client = await openClient({ ...globals, ...line.options }, io, { mayStart: false });
        return client;
      },
    });
    for (const { value, description } of await Promise.race([found, timeout])) {
      io.stdout.write(`${value}\t${description}`.trimEnd());
      io.stdout.write('\n');
    }
  } catch {
    // No daemon, or words that make no sense: nothing to offer.
  } finally {
    clearTimeout(timer);
    client?.close();
  }
  return 0;
}
